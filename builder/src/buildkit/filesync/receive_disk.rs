//! Writing received entries below one directory.
//!
//! What exists is replaced, never followed: every directory on the way to an entry was announced in this transfer and
//! is a real directory, and files appear by renaming a temporary file.

use std::fs::{self, File, FileTimes, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bollard_buildkit_proto::fsutil::types::Stat;
use tempfile::NamedTempFile;

use super::error::ReceiveError;
use super::mode;

/// The destination of one transfer.
pub(super) struct Disk {
    root: PathBuf,
    /// Directories with the mode and time they get at the end, when nothing is written into them any more.
    dirs: Vec<(PathBuf, Stat)>,
    /// Hard links, made at the end, when their targets are complete: (new path, target).
    links: Vec<(PathBuf, PathBuf)>,
}

/// A file being received; removed if dropped before [`Disk::finish_file`].
pub(super) struct Incoming {
    stat: Stat,
    temporary: NamedTempFile,
    target: PathBuf,
    got: u64,
}

impl Disk {
    /// Creates the destination if it does not exist.
    pub(super) fn new(root: &Path) -> Result<Self, ReceiveError> {
        fs::create_dir_all(root).map_err(write_error(root))?;
        Ok(Self { root: root.to_owned(), dirs: Vec::new(), links: Vec::new() })
    }

    /// Makes a directory, writable until the end; one that exists is kept, anything else at its place is removed.
    pub(super) fn directory(&mut self, stat: Stat) -> Result<(), ReceiveError> {
        let path = self.root.join(&stat.path);
        let made = match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => Ok(()),
            _ => remove(&path).and_then(|()| fs::DirBuilder::new().mode(0o700).create(&path)),
        };
        let writable = || fs::set_permissions(&path, Permissions::from_mode(mode::permissions(stat.mode) | 0o700));
        made.and_then(|()| writable()).map_err(write_error(&path))?;
        self.dirs.push((path, stat));
        Ok(())
    }

    /// Makes a symbolic link. Its target is content, not a path this side resolves; it is written as it is.
    pub(super) fn symlink(&self, stat: &Stat) -> Result<(), ReceiveError> {
        let path = self.root.join(&stat.path);
        remove(&path).and_then(|()| symlink(&stat.linkname, &path)).map_err(write_error(&path))
    }

    /// Notes a hard link to a file of this transfer.
    pub(super) fn hard_link(&mut self, stat: &Stat) {
        self.links.push((self.root.join(&stat.path), self.root.join(&stat.linkname)));
    }

    /// Starts a file.
    pub(super) fn file(&self, stat: Stat) -> Result<Incoming, ReceiveError> {
        let target = self.root.join(&stat.path);
        let dir = target.parent().unwrap_or(&self.root);
        let temporary = tempfile::Builder::new().prefix(".polyarch-").tempfile_in(dir).map_err(write_error(&target))?;
        Ok(Incoming { stat, temporary, target, got: 0 })
    }

    /// Gives a complete file its mode, time and name.
    pub(super) fn finish_file(&self, file: Incoming) -> Result<(), ReceiveError> {
        let want = u64::try_from(file.stat.size).unwrap_or(0);
        if file.got != want {
            return Err(ReceiveError::Size { path: file.stat.path, want, got: file.got });
        }
        let Incoming { stat, temporary, target, .. } = file;
        let dressed = dress(temporary.as_file(), &stat);
        dressed.and_then(|()| clear_dir(&target)).map_err(write_error(&target))?;
        temporary.persist(&target).map_err(|e| ReceiveError::Write { path: target, source: e.error })?;
        Ok(())
    }

    /// Makes hard links, then gives directories their modes and times, deepest first.
    pub(super) fn finish(self) -> Result<(), ReceiveError> {
        for (path, target) in &self.links {
            remove(path).and_then(|()| fs::hard_link(target, path)).map_err(write_error(path))?;
        }
        for (path, stat) in self.dirs.iter().rev() {
            let dressed = File::open(path).and_then(|dir| dress(&dir, stat));
            dressed.map_err(write_error(path))?;
        }
        Ok(())
    }
}

impl Incoming {
    /// Appends data; more than was announced is an error.
    pub(super) fn write(&mut self, data: &[u8]) -> Result<(), ReceiveError> {
        self.got += data.len() as u64;
        let want = u64::try_from(self.stat.size).unwrap_or(0);
        if self.got > want {
            return Err(ReceiveError::Size { path: self.stat.path.clone(), want, got: self.got });
        }
        self.temporary.write_all(data).map_err(write_error(&self.target))
    }
}

fn dress(file: &File, stat: &Stat) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode::permissions(stat.mode)))?;
    file.set_times(FileTimes::new().set_modified(time_of(stat.mod_time)))
}

fn time_of(nanos: i64) -> SystemTime {
    let distance = Duration::from_nanos(nanos.unsigned_abs());
    let time = match nanos < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(distance),
        false => SystemTime::UNIX_EPOCH.checked_add(distance),
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Removes whatever is at `path`, without following a link.
fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// A rename replaces anything but a directory.
fn clear_dir(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        _ => Ok(()),
    }
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> ReceiveError {
    let path = path.to_owned();
    move |source| ReceiveError::Write { path, source }
}
