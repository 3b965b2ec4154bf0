//! Small files that survive a crash: written aside, synced, renamed, and their directory synced.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::MetaError;
use crate::durable::{self, Trouble, trouble};

impl From<Trouble> for MetaError {
    fn from(trouble: Trouble) -> Self {
        match trouble.is_full() {
            true => Self::Full { path: trouble.path },
            false => Self::Io { action: trouble.action, path: trouble.path, source: trouble.source },
        }
    }
}

/// Adds what was attempted and where.
pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MetaError {
    let trouble = trouble(action, path);
    move |source| trouble(source).into()
}

/// Creates a directory and its parents, durably.
pub(super) fn make_dir(path: &Path) -> Result<(), MetaError> {
    Ok(durable::make_dir(path)?)
}

/// Writes a file so that readers, and a machine that lost power, see the old or the new content.
pub(super) fn write_atomic(temp: &Path, path: &Path, bytes: &[u8]) -> Result<(), MetaError> {
    let mut file = tempfile::NamedTempFile::new_in(temp).map_err(io_error("create a file in", temp))?;
    file.write_all(bytes).map_err(io_error("write", path))?;
    Ok(durable::publish(file, path)?)
}

/// How old a time of last use may be before it is written again: every read would otherwise be a write.
const FRESH: Duration = Duration::from_secs(60);

/// Returns whether a file was noted to be in use a moment ago; `None` if it is not there.
pub(super) fn is_fresh(path: &Path) -> Option<bool> {
    let modified = fs::metadata(path).ok()?.modified();
    let stale = modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age > FRESH));
    Some(!stale)
}

/// Returns whether a file is there, and notes that it is in use. That it cannot be noted is no failure.
pub(super) fn refresh(path: &Path) -> bool {
    let Some(fresh) = is_fresh(path) else { return false };
    if !fresh {
        let noted = File::options().write(true).open(path).and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = noted {
            tracing::debug!(path = %path.display(), %error, "cannot note the time of use");
        }
    }
    true
}

/// Creates an empty file, durably; it may exist already.
pub(super) fn touch(path: &Path) -> Result<(), MetaError> {
    if refresh(path) {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(path);
    make_dir(parent)?;
    File::options().write(true).create(true).truncate(false).open(path).map_err(io_error("create", path))?;
    sync_dir(parent)
}

/// Removes a file, durably. Returns whether it was there.
pub(super) fn remove(path: &Path) -> Result<bool, MetaError> {
    match fs::remove_file(path) {
        Ok(()) => sync_dir(path.parent().unwrap_or(path)).map(|()| true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(io_error("remove", path)(error)),
    }
}

/// Reads a file of at most `limit` bytes; `None` if it is not there.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, MetaError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(io_error("read", path))?;
    match bytes.len() as u64 > limit {
        true => Err(MetaError::Damaged { path: path.to_owned() }),
        false => Ok(Some(bytes)),
    }
}

/// Returns the sorted names in a directory; `None` if it is not there.
pub(super) fn list(path: &Path) -> Result<Option<Vec<String>>, MetaError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(io_error("list", path)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_error("list", path))?;
        // A name that is not UTF-8 was not written by this module.
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(Some(names))
}

/// Removes what a killed process left in the directory for temporary files.
pub(super) fn clear(temp: &Path) -> Result<(), MetaError> {
    for name in list(temp)?.unwrap_or_default() {
        let path: PathBuf = temp.join(name);
        fs::remove_file(&path).map_err(io_error("remove", &path))?;
    }
    Ok(())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn sync_dir(path: &Path) -> Result<(), MetaError> {
    Ok(durable::sync_dir(path)?)
}
