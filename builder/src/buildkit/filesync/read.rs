//! Opening a file of a directory for sending.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::source::Opened;
use super::walk::Stamp;

/// Opens `root/path`. A socket, announced as an empty file, reads as one; anything else must still be a regular file.
pub(super) fn open(root: &Path, path: &str) -> io::Result<Opened<'static>> {
    let full = root.join(path);
    let before = fs::symlink_metadata(&full)?;
    if before.file_type().is_socket() {
        return Ok(Opened { reader: Box::new(io::empty()), stamp: None });
    }
    let replaced = || io::Error::new(io::ErrorKind::InvalidInput, "no longer a regular file");
    if !before.is_file() {
        return Err(replaced());
    }
    let file = File::open(full)?;
    let opened = file.metadata()?;
    if (opened.dev(), opened.ino()) != (before.dev(), before.ino()) {
        return Err(replaced());
    }
    let again = file.try_clone()?;
    Ok(Opened { reader: Box::new(file), stamp: Some(Box::new(move || Ok(Stamp::of(&again.metadata()?)))) })
}
