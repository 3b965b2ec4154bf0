//! Where a single file goes: a path, or standard output.
//!
//! Owns: that a file appears complete or not at all, and that standard output gets the bytes alone. Never: replaces a
//! pipe or device by a file.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::export::Dest;

/// A file being written.
pub(super) enum Destination {
    /// Standard output, a pipe or a device.
    Stream(File),
    /// A file that gets its name at the end.
    Path { temporary: NamedTempFile, path: PathBuf },
}

/// Returns the name for messages.
pub(super) fn name(dest: &Dest) -> String {
    match dest {
        Dest::Stdout => "standard output".to_owned(),
        Dest::File(path) => path.display().to_string(),
    }
}

impl Destination {
    /// Begins a file, and the directory it is in.
    pub(super) fn open(dest: &Dest) -> Result<Self, Diagnostic> {
        let opened = match dest {
            Dest::Stdout => io::stdout().as_fd().try_clone_to_owned().map(|fd| Self::Stream(fd.into())),
            Dest::File(path) => Self::at(path),
        };
        opened.map_err(|error| failed(dest, &error))
    }

    fn at(path: &Path) -> io::Result<Self> {
        // What stands for a stream of this process is that stream, whatever file it is connected to.
        let own = match path.to_str() {
            Some("/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1") => Some(io::stdout().as_fd().try_clone_to_owned()),
            Some("/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2") => Some(io::stderr().as_fd().try_clone_to_owned()),
            _ => None,
        };
        if let Some(fd) = own {
            return Ok(Self::Stream(fd?.into()));
        }
        // A link stays one: what it points at is written.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if path.metadata().is_ok_and(|meta| !meta.is_file()) {
            return File::options().write(true).open(&path).map(Self::Stream);
        }
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir)?;
        Ok(Self::Path { temporary: NamedTempFile::new_in(dir)?, path })
    }

    /// Writes a whole text.
    pub(super) fn write(dest: &Dest, text: &str) -> Result<(), Diagnostic> {
        let destination = Self::open(dest)?;
        let mut file = destination.writer()?;
        file.write_all(text.as_bytes()).map_err(|error| failed(dest, &error))?;
        destination.commit()
    }

    /// Returns a handle to write through.
    pub(super) fn writer(&self) -> Result<File, Diagnostic> {
        let file = match self {
            Self::Stream(file) => file.try_clone(),
            Self::Path { temporary, .. } => temporary.as_file().try_clone(),
        };
        file.map_err(|error| Diagnostic::message(ExitCode::Publish, format!("cannot write: {error}")))
    }

    /// Gives the complete file its name.
    pub(super) fn commit(self) -> Result<(), Diagnostic> {
        let Self::Path { temporary, path } = self else { return Ok(()) };
        let readable = temporary.as_file().set_permissions(std::fs::Permissions::from_mode(0o644));
        let done = readable.and_then(|()| temporary.persist(&path).map(drop).map_err(|error| error.error));
        done.map_err(|error| failed(&Dest::File(path), &error))
    }
}

/// Why a destination has not what it should have.
pub(super) fn failed(dest: &Dest, error: &(dyn std::error::Error + 'static)) -> Diagnostic {
    Diagnostic::new(ExitCode::Publish, error).context(format!("cannot write {}", name(dest)))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_and_a_link_to_it_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        Destination::write(&Dest::File(link.clone()), "new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert!(link.is_symlink());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_pipe_is_written_to_and_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reading = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
                text
            }
        });
        Destination::write(&Dest::File(pipe.clone()), "x").unwrap();
        assert_eq!(reading.join().unwrap(), "x");
        assert!(!pipe.metadata().unwrap().is_file());
    }
}
