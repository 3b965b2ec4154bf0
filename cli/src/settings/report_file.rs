//! `--metadata-file` and `--iidfile`: whether the file can be written, known before the build and not after it.

use std::path::{Path, PathBuf};

use super::{SettingsError, Surroundings, ValueError};

/// Returns the file's absolute path.
///
/// # Errors
/// It is a directory, its directory is not there, or no file can be made in it.
pub fn resolve(
    path: Option<&Path>,
    option: &'static str,
    around: &Surroundings,
) -> Result<Option<PathBuf>, SettingsError> {
    let Some(written) = path else { return Ok(None) };
    let path = around.resolve(written);
    let wrong = |reason: String| Err(ValueError::new(&written.display().to_string(), reason).of(option));
    match path.metadata() {
        Ok(meta) if meta.is_dir() => return wrong("it is a directory".to_owned()),
        // A pipe or device is written to, not replaced; opening it now would wake its reader.
        Ok(meta) if !meta.is_file() => return Ok(Some(path)),
        _ => {}
    }
    // As it will be written: a new file beside the old one, or beside what a link points at.
    let real = path.canonicalize().unwrap_or_else(|_| path.clone());
    let dir = real.parent().unwrap_or(Path::new("/"));
    match tempfile::Builder::new().prefix(".polyarch-").tempfile_in(dir) {
        Ok(_) => Ok(Some(path)),
        Err(_) if !dir.exists() => wrong(format!("there is no directory {}", dir.display())),
        Err(error) => wrong(format!("no file can be made in {}: {}", dir.display(), error.kind())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Env, Spool, Terminals};
    use super::*;

    #[test]
    fn what_cannot_be_written_is_found_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let around = Surroundings {
            env: Env::default(),
            cwd: dir.path().to_owned(),
            stdin: Box::new(std::io::empty()),
            terminals: Terminals::default(),
            spool: Spool::default(),
        };
        std::fs::write(dir.path().join("file"), "").unwrap();
        let get = |path: &str| resolve(Some(Path::new(path)), "--iidfile", &around);
        for good in ["new", "file", "/dev/stdout", "/dev/null"] {
            assert_eq!(get(good).unwrap(), Some(dir.path().join(good)), "{good}");
        }
        for (bad, want) in [
            (".", "it is a directory".to_owned()),
            ("absent/file", format!("there is no directory {}", dir.path().join("absent").display())),
            ("file/below", format!("no file can be made in {}: not a directory", dir.path().join("file").display())),
            ("/proc/new", "no file can be made in /proc: ".to_owned()),
        ] {
            let SettingsError::Value { option: "--iidfile", source } = get(bad).unwrap_err() else { panic!("{bad}") };
            assert!(source.reason.starts_with(&want), "{bad}: {}", source.reason);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
