//! Images made from nothing, in a store.

use std::sync::Arc;

use bytes::Bytes;
use polyarch_registry::oci::{Descriptor, Digest, RawManifest, media_type};
use polyarch_registry::store::{BlobStore, BlobStoreExt as _, MemoryStore};
use serde_json::json;

pub struct Image {
    pub store: Arc<dyn BlobStore>,
    pub index: RawManifest,
    pub children: Vec<RawManifest>,
    /// Configs and layers.
    pub blobs: Vec<Descriptor>,
    pub shared: Descriptor,
}

pub async fn put(store: &dyn BlobStore, media_type: &str, bytes: impl Into<Bytes>) -> Descriptor {
    let bytes = bytes.into();
    let size = bytes.len() as u64;
    let digest = store.put_bytes(bytes).await.unwrap();
    Descriptor::new(media_type, digest, size)
}

/// Bytes that do not repeat within `size`.
pub fn noise(seed: u64, size: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    next.flatten().take(size).collect()
}

fn describe(descriptor: &Descriptor) -> serde_json::Value {
    serde_json::to_value(descriptor).unwrap()
}

/// Two platforms which share one layer; each has its own, of `layer` bytes.
pub async fn two_platforms(seed: u64, layer: usize) -> Image {
    let store: Arc<dyn BlobStore> = Arc::new(MemoryStore::new());
    let shared = put(&*store, media_type::OCI_LAYER_GZIP, noise(seed, 1000)).await;
    let (mut children, mut blobs, mut listed) = (Vec::new(), vec![shared.clone()], Vec::new());
    for (n, architecture) in ["amd64", "arm64"].into_iter().enumerate() {
        let own = put(&*store, media_type::OCI_LAYER_GZIP, noise(seed + 100 + n as u64, layer)).await;
        let config = json!({"architecture": architecture, "os": "linux", "seed": seed,
            "rootfs": {"type": "layers", "diff_ids": [shared.digest, own.digest]}});
        let config = put(&*store, media_type::OCI_CONFIG, config.to_string()).await;
        let manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": describe(&config), "layers": [describe(&shared), describe(&own)]});
        let manifest = RawManifest::new(media_type::OCI_MANIFEST, manifest.to_string());
        store.put_bytes(manifest.bytes().clone()).await.unwrap();
        let mut entry = describe(&manifest.descriptor());
        entry["platform"] = json!({"architecture": architecture, "os": "linux"});
        listed.push(entry);
        children.push(manifest);
        blobs.extend([own, config]);
    }
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": listed});
    let index = RawManifest::new(media_type::OCI_INDEX, index.to_string());
    store.put_bytes(index.bytes().clone()).await.unwrap();
    Image { store, index, children, blobs, shared }
}

pub fn blob(bytes: &Bytes) -> Descriptor {
    Descriptor::new(media_type::OCI_LAYER_GZIP, Digest::sha256(bytes), bytes.len() as u64)
}

/// A manifest without layers, for tests that look at nothing else.
pub fn bare_manifest(note: &str) -> RawManifest {
    let empty = Digest::sha256("{}");
    let text = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": {"mediaType": media_type::OCI_EMPTY, "digest": empty, "size": 2},
        "layers": [], "annotations": {"note": note}});
    RawManifest::new(media_type::OCI_MANIFEST, text.to_string())
}
