//! What an image consists of.
//!
//! Owns: walking from an index or manifest to everything it needs, within bounds, in an order in
//! which it can be written. Never: reads anything itself; the caller gives each manifest.

use std::collections::HashSet;

use futures::future::BoxFuture;
use indexmap::IndexMap;

use crate::oci::{Descriptor, Digest, Manifest, ManifestError, RawManifest, media_type};
use crate::store::{BlobStore, BlobStoreExt as _, StoreError};

/// Deepest nesting of indexes.
pub const MAX_DEPTH: usize = 8;
/// Most manifests of one image.
pub const MAX_MANIFESTS: usize = 2048;
/// Largest manifest in a store, in bytes (distribution-spec: what is portable).
pub const MAX_MANIFEST_BYTES: u64 = 4 << 20;
/// Most bytes of all manifests of one image: they are held in memory.
pub const MAX_TOTAL_BYTES: u64 = 64 << 20;

/// Everything an image needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Manifests and indexes, each after all it refers to; the root is last.
    pub manifests: Vec<Node>,
    /// Blobs, each once, in the order they are first named. Layers that must not be distributed are left out.
    pub blobs: IndexMap<Digest, Blob>,
}

/// A manifest of a [`Graph`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The digest it is referred to by.
    pub digest: Digest,
    /// Its bytes.
    pub manifest: RawManifest,
    /// The blobs it refers to.
    pub blobs: Vec<Digest>,
}

/// A blob of a [`Graph`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// As first named.
    pub descriptor: Descriptor,
    /// What it is.
    pub role: Role,
}

/// What a blob is to the manifest that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A manifest's config.
    Config,
    /// A manifest's layer.
    Layer,
    /// An entry of an index that is not a manifest polyarch knows; copied as a blob.
    Entry,
}

/// Why an image cannot be made out.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// A manifest cannot be read.
    #[error("manifest {digest} is unusable")]
    Manifest {
        /// Which.
        digest: Digest,
        /// Cause.
        #[source]
        source: ManifestError,
    },
    /// A manifest is not in the store, or is damaged.
    #[error("cannot read manifest {digest}")]
    Store {
        /// Which.
        digest: Digest,
        /// Cause.
        #[source]
        source: Box<StoreError>,
    },
    /// A digest is named with two sizes, or a manifest is not of the size its descriptor says.
    #[error("{digest} has {got} bytes, expected {want}")]
    Size {
        /// Which.
        digest: Digest,
        /// As its descriptor, or the first one, says.
        want: u64,
        /// As it is, or another one says.
        got: u64,
    },
    /// Indexes are nested too deeply.
    #[error("indexes are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// There are too many manifests.
    #[error("the image has more than {MAX_MANIFESTS} manifests")]
    TooMany,
    /// A manifest is said to be too large; it was not read.
    #[error("manifest {digest} has {size} bytes, more than the limit of {MAX_MANIFEST_BYTES}")]
    TooLarge {
        /// Which.
        digest: Digest,
        /// As its descriptor says.
        size: u64,
    },
    /// The manifests are too large together.
    #[error("the manifests of the image have more than {MAX_TOTAL_BYTES} bytes")]
    TooMuch,
}

/// What was read of an image so far.
struct Budget {
    seen: HashSet<Digest>,
    bytes: u64,
}

impl Budget {
    fn of(root: &RawManifest) -> Self {
        Self { seen: HashSet::from([root.digest().clone()]), bytes: root.bytes().len() as u64 }
    }

    /// Decides from its descriptor whether to read a child; `false` if it was read before.
    fn admit(&mut self, child: &Descriptor, depth: usize) -> Result<bool, GraphError> {
        if !self.seen.insert(child.digest.clone()) {
            return Ok(false);
        }
        if self.seen.len() > MAX_MANIFESTS {
            return Err(GraphError::TooMany);
        }
        if depth >= MAX_DEPTH {
            return Err(GraphError::TooDeep);
        }
        if child.size > MAX_MANIFEST_BYTES {
            return Err(GraphError::TooLarge { digest: child.digest.clone(), size: child.size });
        }
        self.bytes = self.bytes.saturating_add(child.size);
        if self.bytes > MAX_TOTAL_BYTES { Err(GraphError::TooMuch) } else { Ok(true) }
    }
}

struct Frame {
    node: Node,
    children: std::vec::IntoIter<Descriptor>,
}

/// Walks an image, reading its manifests from a store.
///
/// # Errors
/// See [`GraphError`].
pub async fn from_store(root: &RawManifest, store: &dyn BlobStore) -> Result<Graph, GraphError> {
    let fetch = |child: Descriptor| -> Fetched<'_, GraphError> { Box::pin(read(store, child)) };
    walk(root, &fetch).await
}

async fn read(store: &dyn BlobStore, child: Descriptor) -> Result<RawManifest, GraphError> {
    let read = store.read_bytes(&child.digest, MAX_MANIFEST_BYTES).await;
    let bytes = read.map_err(|source| GraphError::Store { digest: child.digest, source: Box::new(source) })?;
    Ok(RawManifest::new(child.media_type, bytes))
}

/// A manifest being read.
pub(super) type Fetched<'f, E> = BoxFuture<'f, Result<RawManifest, E>>;

/// Walks an image; `fetch` gives the bytes of each child, whose digest it has verified.
pub(super) async fn walk<'f, E: From<GraphError>>(
    root: &RawManifest,
    fetch: &(dyn Fn(Descriptor) -> Fetched<'f, E> + Send + Sync),
) -> Result<Graph, E> {
    let mut graph = Graph { manifests: Vec::new(), blobs: IndexMap::new() };
    let mut budget = Budget::of(root);
    let mut stack = vec![graph.enter(root.digest().clone(), root.clone())?];
    while let Some(frame) = stack.last_mut() {
        let Some(child) = frame.children.next() else {
            graph.manifests.extend(stack.pop().map(|frame| frame.node));
            continue;
        };
        if !budget.admit(&child, stack.len())? {
            continue;
        }
        let (digest, want) = (child.digest.clone(), child.size);
        let manifest = fetch(child).await?;
        let got = manifest.bytes().len() as u64;
        if got != want {
            return Err(GraphError::Size { digest, want, got }.into());
        }
        stack.push(graph.enter(digest, manifest)?);
    }
    Ok(graph)
}

impl Graph {
    /// Returns the size of all blobs in bytes.
    pub fn blob_bytes(&self) -> u64 {
        self.blobs.values().fold(0, |sum, blob| sum.saturating_add(blob.descriptor.size))
    }

    fn enter(&mut self, digest: Digest, manifest: RawManifest) -> Result<Frame, GraphError> {
        let view = manifest.view().map_err(|source| GraphError::Manifest { digest: digest.clone(), source })?;
        let mut node = Node { digest, manifest, blobs: Vec::new() };
        let mut children = Vec::new();
        match view {
            Manifest::Index(index) => {
                for entry in index.manifests {
                    if media_type::is_index(&entry.media_type) || media_type::is_manifest(&entry.media_type) {
                        children.push(entry);
                    } else {
                        self.add(&mut node, entry, Role::Entry)?;
                    }
                }
            }
            Manifest::Image(image) => {
                self.add(&mut node, image.config, Role::Config)?;
                for layer in image.layers {
                    if !media_type::is_nondistributable(&layer.media_type) {
                        self.add(&mut node, layer, Role::Layer)?;
                    }
                }
            }
        }
        Ok(Frame { node, children: children.into_iter() })
    }

    fn add(&mut self, node: &mut Node, descriptor: Descriptor, role: Role) -> Result<(), GraphError> {
        let digest = descriptor.digest.clone();
        let size = descriptor.size;
        let first = self.blobs.entry(digest.clone()).or_insert(Blob { descriptor, role });
        let want = first.descriptor.size;
        if want != size {
            return Err(GraphError::Size { digest, want, got: size });
        }
        node.blobs.push(digest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use serde_json::{Value, json};

    fn entry(media_type: &str, bytes: &str) -> Value {
        json!({"mediaType": media_type, "digest": Digest::sha256(bytes), "size": bytes.len()})
    }

    fn index(manifests: Vec<Value>) -> RawManifest {
        let body = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests});
        RawManifest::new(media_type::OCI_INDEX, body.to_string())
    }

    fn image(layers: Vec<Value>) -> RawManifest {
        let body = json!({"schemaVersion": 2, "config": entry(media_type::OCI_CONFIG, "{}"), "layers": layers});
        RawManifest::new(media_type::OCI_MANIFEST, body.to_string())
    }

    fn of(manifest: &RawManifest) -> Value {
        serde_json::to_value(manifest.descriptor()).unwrap()
    }

    async fn graph(root: &RawManifest, stored: &[&RawManifest]) -> Result<Graph, GraphError> {
        let store = MemoryStore::new();
        for manifest in stored {
            store.put_bytes(manifest.bytes().clone()).await.unwrap();
        }
        from_store(root, &store).await
    }

    #[tokio::test]
    async fn children_come_first_and_everything_once() {
        let shared = entry(media_type::OCI_LAYER_GZIP, "shared");
        let foreign = entry("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "foreign");
        let one = image(vec![shared.clone(), entry(media_type::OCI_LAYER_GZIP, "one"), foreign]);
        let two = image(vec![shared]);
        let inner = index(vec![of(&two), of(&one)]);
        let root = index(vec![of(&one), of(&inner), of(&two), entry("application/x-other", "other")]);
        let graph = graph(&root, &[&one, &two, &inner]).await.unwrap();
        let order: Vec<_> = graph.manifests.iter().map(|node| node.digest.clone()).collect();
        assert_eq!(order, [one.digest(), two.digest(), inner.digest(), root.digest()].map(Clone::clone));
        let blobs: Vec<_> = graph.blobs.values().map(|blob| (blob.descriptor.size, blob.role)).collect();
        assert_eq!(blobs, [(5, Role::Entry), (2, Role::Config), (6, Role::Layer), (3, Role::Layer)]);
    }

    #[tokio::test]
    async fn hostile_graphs_are_bounded() {
        let mut nested = vec![image(vec![])];
        for _ in 0..MAX_DEPTH {
            nested.push(index(vec![of(nested.last().unwrap())]));
        }
        let root = nested.last().unwrap();
        assert!(matches!(graph(root, &nested.iter().collect::<Vec<_>>()).await, Err(GraphError::TooDeep)));

        let absent = image(vec![]);
        assert!(matches!(graph(&index(vec![of(&absent)]), &[]).await, Err(GraphError::Store { .. })));

        let mut lying = of(&absent);
        lying["size"] = json!(1);
        assert!(matches!(graph(&index(vec![lying]), &[&absent]).await, Err(GraphError::Size { want: 1, .. })));

        let mut large = of(&absent);
        large["size"] = json!(MAX_MANIFEST_BYTES + 1);
        assert!(matches!(graph(&index(vec![large]), &[]).await, Err(GraphError::TooLarge { .. })));

        let mut other = entry(media_type::OCI_LAYER_GZIP, "x");
        other["size"] = json!(2);
        let two_sizes = image(vec![entry(media_type::OCI_LAYER_GZIP, "x"), other]);
        assert!(matches!(graph(&two_sizes, &[]).await, Err(GraphError::Size { want: 1, got: 2, .. })));
    }

    #[test]
    fn manifests_have_a_budget_together() {
        let mut budget = Budget::of(&image(vec![]));
        let child =
            |n: u64| Descriptor::new(media_type::OCI_MANIFEST, Digest::sha256(n.to_string()), MAX_MANIFEST_BYTES);
        for n in 1..MAX_TOTAL_BYTES / MAX_MANIFEST_BYTES {
            assert!(budget.admit(&child(n), 1).unwrap());
        }
        assert!(!budget.admit(&child(1), 1).unwrap(), "read before, so it costs nothing");
        assert!(matches!(budget.admit(&child(0), 1), Err(GraphError::TooMuch)));
    }
}
