//! Where a single file goes: a path, or standard output.
//!
//! Owns: that a file appears complete or not at all, and that standard output gets the bytes alone. Never: replaces a
//! pipe or device by a file.

use std::fs::File;
use std::io;
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
        // A link stays one: what it points at is written.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if path.metadata().is_ok_and(|meta| !meta.is_file()) {
            return File::options().write(true).open(&path).map(Self::Stream);
        }
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir)?;
        Ok(Self::Path { temporary: NamedTempFile::new_in(dir)?, path })
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
