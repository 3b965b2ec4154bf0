//! containerd's content service over our stores.
//!
//! Owns: which stores a session offers, and the service BuildKit's exporters, caches and layout
//! contexts call. Never: trusts a digest or size it is told; the store's writer computes them.

mod ingest;
mod locks;
mod service;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use polyarch_registry::store::{BlobStore, StoreError};
use tonic::Status;

pub(super) use service::ContentService;

/// Stores by the name BuildKit asks for.
#[derive(Clone, Default)]
pub struct ContentStores(BTreeMap<String, Arc<dyn BlobStore>>);

impl ContentStores {
    /// Adds the store every `tar=false` export of the session writes to.
    #[must_use]
    pub fn export(mut self, store: Arc<dyn BlobStore>) -> Self {
        self.0.insert("export".into(), store);
        self
    }

    /// Adds a `type=local` cache, imported from or exported to `path` as written in its attributes.
    #[must_use]
    pub fn local_cache(mut self, path: &str, store: Arc<dyn BlobStore>) -> Self {
        self.0.insert(format!("local:{path}"), store);
        self
    }

    /// Adds a layout used as a named context ([`crate::buildkit::attrs::LayoutName`]).
    #[must_use]
    pub fn layout(mut self, key: &str, store: Arc<dyn BlobStore>) -> Self {
        self.0.insert(format!("oci:{key}"), store);
        self
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn get(&self, name: &str) -> Option<&Arc<dyn BlobStore>> {
        self.0.get(name)
    }
}

/// Errors of a store remembered at a time.
const FAULTS: usize = 16;

/// The last errors of the stores, kept with their types: the daemon returns only their text.
#[derive(Debug, Clone, Default)]
pub(in crate::buildkit) struct StoreFault(Arc<Mutex<VecDeque<Arc<StoreError>>>>);

impl StoreFault {
    /// Returns the last error whose text the daemon repeats in `message`. Another failure of the same session, such as
    /// that of a later solve, does not become the store's.
    pub(in crate::buildkit) fn cause_of(&self, message: &str) -> Option<Arc<StoreError>> {
        let faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.iter().rev().find(|fault| message.contains(&fault.to_string())).cloned()
    }

    /// Keeps the error and returns what the daemon is told.
    pub(in crate::buildkit::session) fn tell(&self, error: StoreError) -> Status {
        let text = error.to_string();
        let status = match &error {
            // Asking for what is not there is the daemon's affair, not a fault of the store.
            StoreError::NotFound(_) => return Status::not_found(text),
            StoreError::Digest(_) => return Status::invalid_argument(text),
            StoreError::DigestMismatch { .. } | StoreError::TooShort { .. } | StoreError::TooLong { .. } => {
                Status::failed_precondition(text)
            }
            StoreError::Full { .. } => Status::resource_exhausted(text),
            StoreError::ReadOnly { .. } => Status::permission_denied(text),
            StoreError::Layout { .. }
            | StoreError::Io { .. }
            | StoreError::InUse { .. }
            | StoreError::OverLimit { .. } => Status::internal(text),
        };
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.len() >= FAULTS {
            faults.pop_front();
        }
        faults.push_back(Arc::new(error));
        status
    }
}
