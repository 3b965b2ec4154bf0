//! Writing the joined cache where the user asked for one.
//!
//! Owns: reading each platform's export back, and naming the joined one. Never: removes a platform's export; the joined one
//! needs its blobs, and some registries count them by what names them.

use polyarch_registry::client::{BytesSource, ClientError, Registry};
use polyarch_registry::oci::{Descriptor, Digest, RawManifest, Reference};
use polyarch_registry::store::{BlobStoreExt as _, LayoutStore, StoreError};
use serde::Deserialize;

use super::merge::{CONFIG, Export, MergeError, merge};

/// Largest configuration of a cache that is read, in bytes. One of ten thousand records has some 5 MB.
const CONFIG_BYTES: u64 = 64 << 20;
/// Largest manifest, in bytes.
const MANIFEST_BYTES: u64 = 4 << 20;

/// Why a cache is not where it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The platforms' caches cannot be joined.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] ClientError),
    /// The directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An export has no configuration, or too large a one.
    #[error("{0} is not an exported cache")]
    NotACache(Digest),
}

/// Joins what platforms exported into a registry under tags of their own, and moves the tag.
///
/// # Errors
/// [`CacheError`]; the tag is then where it was.
pub async fn publish(registry: &Registry, reference: &Reference, exported: &[Reference]) -> Result<(), CacheError> {
    let registry = registry.without_mirrors();
    let mut exports = Vec::new();
    for at in exported {
        let manifest = registry.get_manifest(at).await?;
        let descriptor = config_of(&manifest)?;
        let mut download = registry.get_blob(at, &descriptor).await?;
        let mut config = Vec::new();
        while let Some(chunk) = download.chunk().await? {
            config.extend_from_slice(&chunk);
        }
        exports.push(Export { manifest, config: config.into() });
    }
    let joined = merge(&exports)?;
    let descriptor = config_of(&joined.manifest)?;
    let reference = reference.or_latest();
    if registry.blob_exists(&reference, &descriptor).await?.is_none() {
        registry.put_blob(&reference, &descriptor, &BytesSource(joined.config), None).await?;
    }
    registry.put_manifest(&reference, &joined.manifest).await?;
    Ok(())
}

/// Joins what platforms exported into a directory, and names it in its `index.json`.
///
/// # Errors
/// [`CacheError`].
pub async fn record(store: &LayoutStore, tag: &str, exported: &[Descriptor]) -> Result<(), CacheError> {
    let mut exports = Vec::new();
    for descriptor in exported {
        let bytes = store.read_bytes(&descriptor.digest, MANIFEST_BYTES).await?;
        let manifest = RawManifest::new(descriptor.media_type.clone(), bytes);
        let config = config_of(&manifest)?;
        let config = store.read_bytes(&config.digest, CONFIG_BYTES).await?;
        exports.push(Export { manifest, config });
    }
    let joined = merge(&exports)?;
    store.put_bytes(joined.config).await?;
    store.put_bytes(joined.manifest.bytes().clone()).await?;
    store.set_root(tag, &joined.manifest.descriptor()).await?;
    Ok(())
}

fn config_of(manifest: &RawManifest) -> Result<Descriptor, CacheError> {
    #[derive(Deserialize)]
    struct Either {
        config: Option<Descriptor>,
        #[serde(default)]
        manifests: Vec<Descriptor>,
    }
    let either: Either = serde_json::from_slice(manifest.bytes()).map_err(MergeError::Json)?;
    let found = either.config.into_iter().chain(either.manifests).find(|one| one.media_type == CONFIG);
    let not = || CacheError::NotACache(manifest.digest().clone());
    found.filter(|config| config.size <= CONFIG_BYTES).ok_or_else(not)
}
