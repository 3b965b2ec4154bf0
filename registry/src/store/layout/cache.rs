//! Which compressed blob a layer became: `cache/diff-ids/FORM/ALG-HEX`, so that a layer that was
//! compressed here once is not compressed again.
//!
//! Owns: the side table. Never: keeps a blob alive (gc does not look here), trusts an entry whose blob
//! is gone or has another size. Losing or deleting the table costs time only.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::disk::{blocking, io_error, make_dir, read_small, write_atomic};
use super::paths::Paths;
use super::{LayoutStore, StoreError};
use crate::oci::Digest;
use crate::oci::media_type::LayerCompression;

/// An entry is four short fields.
const ENTRY_LIMIT: u64 = 4 * 1024;

/// How a layer was compressed, as far as it changes the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LayerForm {
    /// The format.
    pub compression: LayerCompression,
    /// The level asked for; `None` is the writer's default.
    pub level: Option<i32>,
}

impl LayerForm {
    fn folder(self) -> String {
        let name = self.compression.name();
        self.level.map_or_else(|| name.to_owned(), |level| format!("{name}{level:+}"))
    }
}

/// A compressed layer in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachedLayer {
    /// Media type it was made with.
    pub media_type: String,
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// Size of the compressed bytes.
    pub size: u64,
    /// Size of the uncompressed layer; tables of older versions do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_size: Option<u64>,
}

/// The table of one store.
#[derive(Debug, Clone)]
pub struct DiffIdCache {
    store: LayoutStore,
}

impl LayoutStore {
    /// Returns the store's table of compressed layers.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`].
    pub fn diff_ids(&self) -> Result<DiffIdCache, StoreError> {
        self.writable()?;
        Ok(DiffIdCache { store: self.clone() })
    }
}

impl DiffIdCache {
    /// Returns the compressed blob of an uncompressed layer, if one is in the store now. Hold a lease while using it.
    ///
    /// # Errors
    /// I/O only; a damaged entry is a miss.
    pub async fn lookup(&self, diff_id: &Digest, form: LayerForm) -> Result<Option<CachedLayer>, StoreError> {
        let paths = Arc::clone(&self.store.paths);
        let entry = entry_path(&paths, diff_id, form);
        blocking(move || {
            let bytes = match read_small(&entry, ENTRY_LIMIT) {
                Ok(bytes) => bytes,
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::FileTooLarge) => return Ok(None),
                Err(error) => return Err(io_error("read", &entry)(error)),
            };
            let layer: Option<CachedLayer> = serde_json::from_slice(&bytes).ok();
            Ok(layer.filter(|layer| is_present(&paths, layer)))
        })
        .await
    }

    /// Records what a layer became. The blob must be in the store.
    ///
    /// # Errors
    /// I/O.
    pub async fn insert(&self, diff_id: &Digest, form: LayerForm, layer: CachedLayer) -> Result<(), StoreError> {
        let lease = self.store.lease().await?;
        let paths = Arc::clone(&self.store.paths);
        let entry = entry_path(&paths, diff_id, form);
        blocking(move || {
            entry.parent().map_or(Ok(()), make_dir)?;
            let bytes = serde_json::to_vec(&layer).unwrap_or_default();
            write_atomic(&paths.ingest(), &entry, &bytes)?;
            drop(lease);
            Ok(())
        })
        .await
    }
}

fn entry_path(paths: &Paths, diff_id: &Digest, form: LayerForm) -> PathBuf {
    let name = format!("{}-{}", diff_id.algorithm().as_str(), diff_id.encoded());
    paths.cache().join("diff-ids").join(form.folder()).join(name)
}

fn is_present(paths: &Paths, layer: &CachedLayer) -> bool {
    fs::metadata(paths.blob(&layer.digest)).is_ok_and(|meta| meta.is_file() && meta.len() == layer.size)
}

/// Removes entries whose blob is gone.
pub(super) fn prune(paths: &Paths) -> Result<(), StoreError> {
    let Ok(forms) = fs::read_dir(paths.cache().join("diff-ids")) else { return Ok(()) };
    for entry in forms.flatten().filter_map(|form| fs::read_dir(form.path()).ok()).flatten().flatten() {
        let layer: Option<CachedLayer> =
            read_small(&entry.path(), ENTRY_LIMIT).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if !layer.is_some_and(|layer| is_present(paths, &layer)) {
            fs::remove_file(entry.path()).map_err(io_error("remove", &entry.path()))?;
        }
    }
    Ok(())
}
