//! Leases: while a process adds blobs that nothing refers to yet, gc must not run.
//!
//! Owns: the shared and exclusive locks on `polyarch.lock`. They are advisory `flock`s: the kernel
//! releases them when the process dies, however it dies.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::disk::{blocking, io_error, open_lock};
use super::{LayoutStore, StoreError};

/// How long to wait before looking again whether gc is done.
const POLL: Duration = Duration::from_millis(20);

/// Keeps gc away from the store until it is dropped.
#[derive(Debug)]
pub struct Lease {
    _lock: File,
}

impl LayoutStore {
    /// Waits until no gc runs, then keeps gc away until the lease is dropped. Many leases may be held at once.
    ///
    /// A run takes one before its first write and keeps it until its result is in the root index.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`] or I/O.
    pub async fn lease(&self) -> Result<Lease, StoreError> {
        self.writable()?;
        // Polling, because a blocked lock call could not be abandoned when this future is dropped.
        loop {
            let path = self.paths.lease();
            match blocking(move || try_shared(&path)).await? {
                Some(lock) => return Ok(Lease { _lock: lock }),
                None => tokio::time::sleep(POLL).await,
            }
        }
    }
}

fn try_shared(path: &Path) -> Result<Option<File>, StoreError> {
    let file = open_lock(path)?;
    let locked = file.try_lock_shared();
    settle(file, locked, path)
}

/// Takes the lock alone, or returns `None` when anyone holds a lease.
pub(super) fn try_exclusive(path: &Path) -> Result<Option<File>, StoreError> {
    let file = open_lock(path)?;
    let locked = file.try_lock();
    settle(file, locked, path)
}

fn settle(file: File, locked: Result<(), TryLockError>, path: &Path) -> Result<Option<File>, StoreError> {
    match locked {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(io_error("lock", path)(error)),
    }
}
