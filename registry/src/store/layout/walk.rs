//! What a root reaches.
//!
//! Owns: the walk over manifests in the store, bounded in size, depth and number.
//! Never: guesses. What cannot be read stops the walk, because gc must not delete what it could not see.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::StoreError;
use super::disk::read_small;
use super::paths::Paths;
use crate::oci::{Descriptor, Digest, media_type};

/// Largest manifest that is read; registries accept 4 MiB (distribution-spec, "Pushing Manifests").
const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;
/// Indexes within indexes. Real images have one level, bake groups two.
const DEPTH_LIMIT: usize = 8;
/// Blobs one walk may see; a store of this size is not one machine's.
const BLOB_LIMIT: usize = 1_000_000;

/// Every field through which any manifest type points at other content.
#[derive(Deserialize)]
struct Links {
    #[serde(default)]
    manifests: Vec<Descriptor>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    blobs: Vec<Descriptor>,
    #[serde(default)]
    subject: Option<Descriptor>,
}

/// The digests that roots reach, with their promised sizes and whether they are in the store.
#[derive(Debug, Default)]
pub(super) struct Reached {
    pub(super) blobs: BTreeMap<Digest, Reach>,
    /// Followed manifests, apart from `blobs`: a descriptor with a wrong media type must not hide the children.
    followed: BTreeSet<Digest>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    pub(super) size: u64,
    pub(super) present: bool,
}

impl Reached {
    /// Adds everything `root` reaches. A blob that is not in the store is reached but leads nowhere.
    pub(super) fn add(&mut self, paths: &Paths, root: &Descriptor) -> Result<(), StoreError> {
        let mut todo = vec![(root.clone(), 0)];
        while let Some((descriptor, depth)) = todo.pop() {
            let node = is_node(&descriptor.media_type);
            let seen = if node {
                self.followed.contains(&descriptor.digest)
            } else {
                self.blobs.contains_key(&descriptor.digest)
            };
            if seen {
                continue;
            }
            let path = paths.blob(&descriptor.digest);
            let present = path.is_file();
            self.blobs.insert(descriptor.digest.clone(), Reach { size: descriptor.size, present });
            if depth > DEPTH_LIMIT || self.blobs.len() > BLOB_LIMIT {
                return Err(unreadable(paths, &descriptor, "the graph below it is too deep or too large"));
            }
            if present && node {
                self.followed.insert(descriptor.digest.clone());
                todo.extend(links(paths, &descriptor)?.into_iter().map(|child| (child, depth + 1)));
            }
        }
        Ok(())
    }
}

fn is_node(kind: &str) -> bool {
    media_type::is_index(kind) || media_type::is_manifest(kind) || kind.ends_with("artifact.manifest.v1+json")
}

fn links(paths: &Paths, descriptor: &Descriptor) -> Result<Vec<Descriptor>, StoreError> {
    let bytes = read_small(&paths.blob(&descriptor.digest), MANIFEST_LIMIT)
        .map_err(|error| unreadable(paths, descriptor, &error.to_string()))?;
    let links: Links =
        serde_json::from_slice(&bytes).map_err(|error| unreadable(paths, descriptor, &error.to_string()))?;
    let Links { manifests, config, layers, blobs, subject } = links;
    Ok([manifests, layers, blobs].into_iter().flatten().chain(config).chain(subject).collect())
}

fn unreadable(paths: &Paths, descriptor: &Descriptor, reason: &str) -> StoreError {
    let reason = format!("manifest {} cannot be followed: {reason}", descriptor.digest);
    StoreError::Layout { path: paths.root().to_owned(), reason }
}
