//! A blob of one layout in another of the same file system.
//!
//! Owns: the clone: a file of its own that shares its blocks until one of the two is written (`ioctl_ficlone(2)`: Btrfs, XFS
//! and others). Never: a hard link, for who edits the one file would change the other.

use std::fs::{self, File};

use super::disk::{blocking, publish, temp_file};
use super::{LayoutStore, StoreError};
use crate::oci::Digest;

impl LayoutStore {
    /// Clones a blob of another layout, verified when it came there, without copying it. Returns `false` where that is
    /// not possible: another file system, one that does not clone, or a blob of another size.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], or I/O in this layout.
    pub async fn clone_from(&self, other: &Self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        self.writable()?;
        let (from, to, ingest) = (other.paths.blob(digest), self.paths.blob(digest), self.paths.ingest());
        blocking(move || {
            if !fs::symlink_metadata(&from).is_ok_and(|meta| meta.is_file() && meta.len() == size) {
                return Ok(false);
            }
            // A copy says what is really wrong, if anything is.
            let Ok(source) = File::open(&from) else { return Ok(false) };
            let temp = temp_file(&ingest)?;
            if !reflink(&source, temp.as_file()) || temp.as_file().metadata().is_ok_and(|meta| meta.len() != size) {
                return Ok(false);
            }
            publish(temp, &to).map(|()| true)
        })
        .await
    }
}

#[cfg(target_os = "linux")]
fn reflink(from: &File, to: &File) -> bool {
    rustix::fs::ioctl_ficlone(to, from).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn reflink(_from: &File, _to: &File) -> bool {
    false
}
