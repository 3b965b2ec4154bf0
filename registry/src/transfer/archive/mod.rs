//! An image as one tar: an OCI layout, or what `docker load` takes.
//!
//! Owns: which files the tar has, their order and headers; the same image gives the same bytes. Blobs are read while
//! they are written and verified on the way, so memory stays at one chunk. Never: changes a manifest.

mod frame;
mod import;
mod stream;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::graph::{Graph, Node};
use crate::oci::{Descriptor, Digest, Manifest, media_type};
use crate::store::{BlobStore, BlobStoreExt as _, StoreError};

pub use import::{ImportError, import, import_from};
pub use stream::Progress;

/// The file that makes a directory or tar an OCI layout (image-spec, image-layout.md).
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// The files of a tar, not read yet.
pub struct Archive {
    store: Arc<dyn BlobStore>,
    files: Vec<File>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum File {
    /// A small one.
    Bytes { path: String, bytes: Bytes },
    /// A blob of the store.
    Blob { path: String, descriptor: Box<Descriptor> },
}

/// Why an image cannot be written as a tar.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store cannot be asked.
    #[error("cannot look for blob {digest}")]
    Store {
        /// Which.
        digest: Digest,
        /// Cause.
        #[source]
        source: StoreError,
    },
    /// A blob is not in the store, or has another size.
    #[error("blob {0} is not in the store")]
    Missing(Digest),
    /// The manifest for Docker is an index, or not of this image.
    #[error("{0} is not an image manifest")]
    NotAnImage(Digest),
}

impl Archive {
    /// Returns an OCI layout with everything of an image. `entries` are what its `index.json` lists: descriptors of
    /// the root, each with the annotations that name it.
    ///
    /// Blobs are looked for now: an error in the middle of the tar would only be a broken stream to its reader.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub async fn layout(
        store: Arc<dyn BlobStore>,
        image: &Graph,
        entries: &[Descriptor],
    ) -> Result<Self, ArchiveError> {
        let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries});
        let mut files = vec![bytes("oci-layout", LAYOUT), bytes("index.json", index.to_string())];
        for blob in image.blobs.values() {
            let digest = &blob.descriptor.digest;
            let found = store.has(digest, blob.descriptor.size).await;
            if !found.map_err(|source| ArchiveError::Store { digest: digest.clone(), source })? {
                return Err(ArchiveError::Missing(digest.clone()));
            }
            files.push(File::Blob { path: blob_path(digest), descriptor: Box::new(blob.descriptor.clone()) });
        }
        let manifests = image.manifests.iter();
        files.extend(manifests.map(|node| bytes(blob_path(&node.digest), node.manifest.bytes().clone())));
        Ok(Self { store, files })
    }

    /// Adds `manifest.json`, by which Docker's classic image store finds the one image it takes from a layout
    /// (moby `image/tarexport`). `tags` are full names; without any the image is loaded nameless.
    ///
    /// # Errors
    /// [`ArchiveError::NotAnImage`], or [`ArchiveError::Missing`] for a layer that is not distributed.
    pub fn with_docker_manifest(mut self, image: &Node, tags: &[String]) -> Result<Self, ArchiveError> {
        let Ok(Manifest::Image(view)) = image.manifest.view() else {
            return Err(ArchiveError::NotAnImage(image.digest.clone()));
        };
        if let Some(absent) = view.layers.iter().find(|layer| !image.blobs.contains(&layer.digest)) {
            return Err(ArchiveError::Missing(absent.digest.clone()));
        }
        let layers: Vec<String> = view.layers.iter().map(|layer| blob_path(&layer.digest)).collect();
        let tags = (!tags.is_empty()).then_some(tags);
        let document = json!([{"Config": blob_path(&view.config.digest), "RepoTags": tags, "Layers": layers}]);
        self.files.push(bytes("manifest.json", document.to_string()));
        Ok(self)
    }
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().as_str(), digest.encoded())
}

fn bytes(path: impl Into<String>, bytes: impl Into<Bytes>) -> File {
    File::Bytes { path: path.into(), bytes: bytes.into() }
}
