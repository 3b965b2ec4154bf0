//! A blob shared by two layouts of one file system.
//!
//! Owns: the hard link. Blobs never change once they have their name, so one file may have several. Never: replaces
//! what is there.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::disk::{blocking, make_dir, sync_dir};
use super::{LayoutStore, StoreError};
use crate::oci::Digest;

impl LayoutStore {
    /// Gives a blob of another layout, verified when it came there, a name in this one without copying it. Returns
    /// `false` where that is not possible: another file system or owner, or a blob of another size.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], or I/O in this layout.
    pub async fn link_from(&self, other: &Self, digest: &Digest, size: u64) -> Result<bool, StoreError> {
        self.writable()?;
        let (from, to) = (other.paths.blob(digest), self.paths.blob(digest));
        blocking(move || {
            if !fs::symlink_metadata(&from).is_ok_and(|meta| meta.is_file() && meta.len() == size) {
                return Ok(false);
            }
            let parent = to.parent().unwrap_or(Path::new("."));
            make_dir(parent)?;
            match fs::hard_link(&from, &to) {
                Ok(()) => sync_dir(parent).map(|()| true),
                // Another process was first.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    Ok(fs::metadata(&to).is_ok_and(|meta| meta.len() == size))
                }
                // A copy says what is really wrong, if anything is.
                Err(_) => Ok(false),
            }
        })
        .await
    }
}
