//! Which blobs are in the layout, whoever refers to them.

use std::fs;
use std::sync::Arc;

use super::disk::{blocking, io_error};
use super::paths::Paths;
use super::{LayoutStore, StoreError};
use crate::oci::Digest;

impl LayoutStore {
    /// Lists every blob with its size in bytes, in no order.
    ///
    /// # Errors
    /// I/O.
    pub async fn blobs(&self) -> Result<Vec<(Digest, u64)>, StoreError> {
        let paths = Arc::clone(&self.paths);
        blocking(move || blobs(&paths)).await
    }
}

/// Lists `blobs/ALG/HEX`. A file that is not named as a digest is not ours and stays.
pub(super) fn blobs(paths: &Paths) -> Result<Vec<(Digest, u64)>, StoreError> {
    let mut found = Vec::new();
    for algorithm in fs::read_dir(paths.blobs()).map_err(io_error("list", &paths.blobs()))? {
        let dir = algorithm.map_err(io_error("list", &paths.blobs()))?;
        if !dir.path().is_dir() {
            continue;
        }
        for entry in fs::read_dir(dir.path()).map_err(io_error("list", &dir.path()))? {
            let entry = entry.map_err(io_error("list", &dir.path()))?;
            let meta = match entry.metadata() {
                // Removed since it was listed.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                meta => meta.map_err(io_error("stat", &entry.path()))?,
            };
            let name = format!("{}:{}", dir.file_name().to_string_lossy(), entry.file_name().to_string_lossy());
            if let (true, Ok(digest)) = (meta.is_file(), name.parse()) {
                found.push((digest, meta.len()));
            }
        }
    }
    Ok(found)
}
