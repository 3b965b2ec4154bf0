//! Garbage collection: removes blobs that no entry of the root index reaches.
//!
//! Owns: the decision and the deletion, under the exclusive lock that no lease allows.
//! Never: deletes when any reachable manifest could not be read.

use std::fs;
use std::sync::Arc;

use super::disk::{blocking, io_error, sweep};
use super::inventory::blobs;
use super::lease::try_exclusive;
use super::paths::Paths;
use super::walk::Reached;
use super::{LayoutStore, StoreError, cache, index, verified};
use crate::audit::SEEN;
use crate::resolve::REMOTE_CACHE;

/// What gc removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Unreachable blobs.
    pub blobs: u64,
    /// Files that interrupted writers left.
    pub temporary: u64,
    /// Bytes of both.
    pub bytes: u64,
}

impl LayoutStore {
    /// Removes what no root reaches. Does not wait for others who work in the store.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while anyone holds a lease; [`StoreError::Layout`] if a reachable manifest cannot be
    /// read, then nothing was removed.
    pub async fn gc(&self) -> Result<Removed, StoreError> {
        self.writable()?;
        let paths = Arc::clone(&self.paths);
        blocking(move || collect(&paths)).await
    }
}

/// What registries said is asked for again when it is needed.
fn forget_remote(paths: &Paths) -> Result<(), StoreError> {
    for dir in [paths.cache().join(REMOTE_CACHE), paths.cache().join(SEEN)] {
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error("remove", &dir)(error))?,
            _ => {}
        }
    }
    Ok(())
}

fn collect(paths: &Paths) -> Result<Removed, StoreError> {
    let in_use = || StoreError::InUse { path: paths.root().to_owned() };
    let _alone = try_exclusive(&paths.lease())?.ok_or_else(in_use)?;
    let mut reached = Reached::default();
    for root in index::read(paths)?.roots(paths)? {
        reached.add(paths, &root.descriptor)?;
    }
    let swept = sweep(&paths.ingest())?;
    let mut removed = Removed { blobs: 0, temporary: swept.files, bytes: swept.bytes };
    for (digest, size) in blobs(paths)? {
        if !reached.blobs.contains_key(&digest) {
            let path = paths.blob(&digest);
            fs::remove_file(&path).map_err(io_error("remove", &path))?;
            removed = Removed { blobs: removed.blobs + 1, bytes: removed.bytes + size, ..removed };
        }
    }
    cache::prune(paths)?;
    verified::prune(paths)?;
    forget_remote(paths)?;
    Ok(removed)
}
