//! A layout for others: what a build writes where the user said.
//!
//! Owns: that nothing of ours stays in it. Two processes may write to one at once: the locks are on its directories, and
//! the last to go takes `ingest/` along. Never: changes how a directory is locked that is a store.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::{self, blocking, io_error};
use super::paths::{Locks, Paths, STORE_LOCK};
use super::{LayoutStore, StoreError, lease};

impl LayoutStore {
    /// Opens a layout for others, creating it if there is none. A directory that is a store is opened as one.
    ///
    /// # Errors
    /// As [`LayoutStore::open`].
    pub async fn open_output(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        let locks = if root.join(STORE_LOCK).exists() { Locks::Files } else { Locks::Directories };
        Self::open_with(Paths::new(root, locks)).await
    }

    /// Removes what writing a layout for others needed, unless somebody else writes to it now. A store stays as it is.
    ///
    /// # Errors
    /// I/O.
    pub async fn tidy(&self) -> Result<(), StoreError> {
        self.writable()?;
        let paths = Arc::clone(&self.paths);
        blocking(move || {
            if paths.locks() == Locks::Files {
                return Ok(());
            }
            let Some(_alone) = lease::try_exclusive(&paths.lease())? else { return Ok(()) };
            let ingest = paths.ingest();
            match ingest.is_dir() {
                true => drop(disk::sweep(&ingest)?),
                false => return Ok(()),
            }
            match std::fs::remove_dir(&ingest) {
                // What is left there is not ours.
                Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
                removed => removed.map_err(io_error("remove", &ingest)),
            }
        })
        .await
    }
}
