//! Which layers were inflated and hashed here before: `cache/verified/ALG-HEX` holds compression and diff_id,
//! so that a rebuild does not inflate an unchanged base again.
//!
//! Owns: the side table. Never: speaks for a blob that is gone (blobs are content-addressed and verified on entry,
//! so an entry stays true for as long as the digest does); gc removes such entries. Losing the table costs time only.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::{blocking, io_error, make_dir, read_small, write_atomic};
use super::paths::Paths;
use super::{LayoutStore, StoreError};
use crate::oci::Digest;
use crate::oci::media_type::LayerCompression;

/// An entry is one word and one digest.
const ENTRY_LIMIT: u64 = 256;

/// What a layer blob was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedLayer {
    /// How its tar is compressed.
    pub compression: LayerCompression,
    /// Digest of the tar.
    pub diff_id: Digest,
}

impl VerifiedLayer {
    fn to_entry(&self) -> String {
        format!("{} {}", self.compression.name(), self.diff_id)
    }

    fn from_entry(bytes: &[u8]) -> Option<Self> {
        let (name, diff_id) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
        let compression = LayerCompression::ALL.into_iter().find(|compression| compression.name() == name)?;
        Some(Self { compression, diff_id: diff_id.parse().ok()? })
    }
}

/// The table of one store.
#[derive(Debug, Clone)]
pub struct VerifiedLayers {
    store: LayoutStore,
}

impl LayoutStore {
    /// Returns the store's table of verified layers.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`].
    pub fn verified_layers(&self) -> Result<VerifiedLayers, StoreError> {
        self.writable()?;
        Ok(VerifiedLayers { store: self.clone() })
    }
}

impl VerifiedLayers {
    /// Returns what a layer blob was found to be.
    ///
    /// # Errors
    /// I/O only; a damaged entry is a miss.
    pub async fn lookup(&self, blob: &Digest) -> Result<Option<VerifiedLayer>, StoreError> {
        let entry = entry_path(&self.store.paths, blob);
        blocking(move || match read_small(&entry, ENTRY_LIMIT) {
            Ok(bytes) => Ok(VerifiedLayer::from_entry(&bytes)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::FileTooLarge) => Ok(None),
            Err(error) => Err(io_error("read", &entry)(error)),
        })
        .await
    }

    /// Records what inflating and hashing a layer blob gave.
    ///
    /// # Errors
    /// I/O.
    pub async fn insert(&self, blob: &Digest, layer: &VerifiedLayer) -> Result<(), StoreError> {
        let lease = self.store.lease().await?;
        let paths = Arc::clone(&self.store.paths);
        let (entry, text) = (entry_path(&paths, blob), layer.to_entry());
        blocking(move || {
            entry.parent().map_or(Ok(()), make_dir)?;
            write_atomic(&paths.ingest(), &entry, text.as_bytes())?;
            drop(lease);
            Ok(())
        })
        .await
    }
}

fn entry_path(paths: &Paths, blob: &Digest) -> PathBuf {
    paths.cache().join("verified").join(format!("{}-{}", blob.algorithm().as_str(), blob.encoded()))
}

/// Removes entries whose blob is gone.
pub(super) fn prune(paths: &Paths) -> Result<(), StoreError> {
    let Ok(entries) = fs::read_dir(paths.cache().join("verified")) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let blob = name.to_str().and_then(|name| name.replacen('-', ":", 1).parse::<Digest>().ok());
        if !blob.is_some_and(|blob| paths.blob(&blob).is_file()) {
            fs::remove_file(entry.path()).map_err(io_error("remove", &entry.path()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Descriptor;
    use crate::store::BlobStoreExt as _;

    #[tokio::test]
    async fn remembers_across_openings_and_ignores_damage() {
        let dir = tempfile::tempdir().unwrap();
        let blob = Digest::sha256("blob");
        let layer = VerifiedLayer { compression: LayerCompression::Gzip, diff_id: Digest::sha256("layer") };
        let table = LayoutStore::open(dir.path()).await.unwrap().verified_layers().unwrap();
        assert_eq!(table.lookup(&blob).await.unwrap(), None);
        table.insert(&blob, &layer).await.unwrap();
        let again = LayoutStore::open(dir.path()).await.unwrap().verified_layers().unwrap();
        assert_eq!(again.lookup(&blob).await.unwrap(), Some(layer));
        std::fs::write(entry_path(&again.store.paths, &blob), "nonsense").unwrap();
        assert_eq!(again.lookup(&blob).await.unwrap(), None);
    }

    #[tokio::test]
    async fn gc_removes_entries_whose_blob_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let store = LayoutStore::open(dir.path()).await.unwrap();
        store.put_bytes("kept").await.unwrap();
        let root = Descriptor::new("application/x-test", Digest::sha256("kept"), 4);
        store.set_root("r", &root).await.unwrap();
        let table = store.verified_layers().unwrap();
        let gone = Digest::sha256("gone");
        let layer = VerifiedLayer { compression: LayerCompression::Gzip, diff_id: Digest::sha256("layer") };
        for blob in [&root.digest, &gone] {
            table.insert(blob, &layer).await.unwrap();
        }
        store.gc().await.unwrap();
        assert_eq!(table.lookup(&root.digest).await.unwrap(), Some(layer));
        assert_eq!(table.lookup(&gone).await.unwrap(), None);
    }
}
