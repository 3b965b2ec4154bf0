//! Names that survive a crash: directories synced into their parents, files synced before they are renamed.
//!
//! Owns: the order of those steps, for the content store and the embedded registry alike. Never: async; callers run
//! it on a blocking thread.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// What was attempted, where, and why it failed. Each user has a public error of its own to turn it into.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// Such as `write`.
    pub(crate) action: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

impl Trouble {
    /// Returns whether there is no room left, on the disk or in the quota.
    pub(crate) fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// Adds what was attempted and where.
pub(crate) fn trouble(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Trouble {
    let path = path.to_owned();
    move |source| Trouble { action, path, source }
}

/// Creates a directory and its parents, each one durable in its parent.
pub(crate) fn make_dir(path: &Path) -> Result<(), Trouble> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(path);
    if parent != path {
        make_dir(parent)?;
    }
    match fs::create_dir(path) {
        // Another process may have been first; a file in the way is an error.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => {
            Err(trouble("create", path)(error))
        }
        _ => sync_dir(parent),
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), Trouble> {
    // The parent of a relative path may be the empty one.
    let dir = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(trouble("sync", dir))
}

/// Makes a temporary file's content durable, then visible at `path`, then the name durable.
pub(crate) fn publish(temp: NamedTempFile, path: &Path) -> Result<(), Trouble> {
    temp.as_file().sync_data().map_err(trouble("sync", temp.path()))?;
    let parent = path.parent().unwrap_or(path);
    make_dir(parent)?;
    temp.persist(path).map_err(|error| trouble("rename to", path)(error.error))?;
    sync_dir(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_parents_and_refuses_a_file_in_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        make_dir(&deep).unwrap();
        make_dir(&deep).unwrap();
        assert!(deep.is_dir());
        fs::write(deep.join("file"), "").unwrap();
        for path in ["file", "file/below"] {
            let trouble = make_dir(&deep.join(path)).unwrap_err();
            assert_eq!((trouble.action, trouble.path), ("create", deep.join("file")), "{path}");
        }
    }

    #[test]
    fn the_parent_of_a_relative_name_is_the_working_directory() {
        make_dir(Path::new("")).unwrap();
        sync_dir(Path::new("")).unwrap();
    }
}
