//! Small file system helpers: errors with paths, atomic writes, work off the async threads.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::durable::{self, Trouble, trouble};
use crate::store::StoreError;

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble.is_full() {
            true => Self::Full { path: trouble.path },
            false => Self::Io { action: trouble.action, path: trouble.path, source: trouble.source },
        }
    }
}

/// Adds what was attempted and where; a full disk or quota gets its own error.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let trouble = trouble(action, path);
    move |source| trouble(source).into()
}

/// Runs file system work on a blocking thread. Dropping the future lets the work end on its own, so it must be bounded.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    joined(tokio::task::spawn_blocking(work).await)
}

/// Unwraps a blocking task's result; a panic goes on in the caller.
pub(super) fn joined<T>(result: Result<Result<T, StoreError>, tokio::task::JoinError>) -> Result<T, StoreError> {
    match result {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => Err(io_error("finish work in", Path::new("store"))(io::Error::other(error))),
    }
}

/// Creates a directory and its parents, durably.
pub(super) fn make_dir(path: &Path) -> Result<(), StoreError> {
    Ok(durable::make_dir(path)?)
}

/// Creates a temporary file that is removed when dropped.
pub(super) fn temp_file(dir: &Path) -> Result<NamedTempFile, StoreError> {
    make_dir(dir)?;
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Blobs are as public as the umask makes them: several users may share a layout.
        builder.permissions(fs::Permissions::from_mode(0o644));
    }
    builder.prefix("ingest-").tempfile_in(dir).map_err(io_error("create a file in", dir))
}

/// Makes a temporary file's content durable, then visible at `path`, then the name durable.
pub(super) fn publish(temp: NamedTempFile, path: &Path) -> Result<(), StoreError> {
    Ok(durable::publish(temp, path)?)
}

/// Writes a small file so that readers see the old or the new content, never a mixture.
pub(super) fn write_atomic(ingest: &Path, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut temp = temp_file(ingest)?;
    temp.write_all(bytes).map_err(io_error("write", path))?;
    publish(temp, path)
}

/// Opens what is locked: a directory, or a file, which is created and never touched.
pub(super) fn open_lock(path: &Path) -> Result<File, StoreError> {
    if path.is_dir() {
        return File::open(path).map_err(io_error("open", path));
    }
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(path);
    opened.map_err(io_error("open", path))
}

/// Reads a file of at most `limit` bytes.
pub(super) fn read_small(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {limit} bytes"))),
        false => Ok(bytes),
    }
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Swept {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Removes every file in a directory. The caller makes sure that nobody uses them.
pub(super) fn sweep(dir: &Path) -> Result<Swept, StoreError> {
    let mut swept = Swept::default();
    for entry in fs::read_dir(dir).map_err(io_error("list", dir))? {
        let entry = entry.map_err(io_error("list", dir))?;
        let meta = entry.metadata().map_err(io_error("stat", &entry.path()))?;
        if meta.is_file() {
            fs::remove_file(entry.path()).map_err(io_error("remove", &entry.path()))?;
            swept = Swept { files: swept.files + 1, bytes: swept.bytes + meta.len() };
        }
    }
    Ok(swept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_its_own_error() {
        let path = Path::new("/dev/full");
        let mut full = File::options().write(true).open(path).unwrap();
        let error = full.write_all(b"x").map_err(io_error("write", path)).unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    }
}
