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
    match probe(dir) {
        Ok(()) => Ok(Some(path)),
        Err(_) if !dir.exists() => wrong(format!("there is no directory {}", dir.display())),
        Err(error) => wrong(refusal(dir, &error)),
    }
}

/// Says why a file or folder cannot be made at a path, whose missing directories are made on the way; `None` if it can.
pub(super) fn obstacle(path: &Path) -> Option<String> {
    if path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        return None;
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let dir =
        if real.is_dir() { Some(&*real) } else { real.ancestors().skip(1).find(|dir| dir.symlink_metadata().is_ok()) };
    let dir = dir.unwrap_or(Path::new("/"));
    probe(dir).err().map(|error| refusal(dir, &error))
}

fn probe(dir: &Path) -> std::io::Result<()> {
    tempfile::Builder::new().prefix(".polyarch-").tempfile_in(dir).map(drop)
}

fn refusal(dir: &Path, error: &std::io::Error) -> String {
    format!("no file can be made in {}: {}", dir.display(), error.kind())
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

    #[test]
    fn an_output_may_need_directories_but_not_a_file_as_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        for good in ["new", "file", "some/where/new", "."] {
            assert_eq!(obstacle(&dir.path().join(good)), None, "{good}");
        }
        assert_eq!(obstacle(Path::new("/dev/null")), None);
        let file = dir.path().join("file");
        let want = format!("no file can be made in {}: not a directory", file.display());
        assert_eq!(obstacle(&file.join("below")), Some(want));
        assert!(obstacle(Path::new("/proc/some/where")).unwrap().starts_with("no file can be made in /proc: "));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
