//! containerd's content service over our stores.

use std::collections::BTreeMap;
use std::sync::Arc;

use polyarch_registry::store::BlobStore;

/// Stores by the name BuildKit asks for.
#[derive(Clone, Default)]
pub struct ContentStores(pub(super) BTreeMap<String, Arc<dyn BlobStore>>);

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
}
