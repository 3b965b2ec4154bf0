//! `--load`: a stored image into a daemon's image store.
//!
//! Owns: which platforms the daemon can hold. Never: holds a layer in memory, changes a manifest: a containerd store
//! gets the very bytes that were verified.

mod choice;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use polyarch_registry::oci::{Descriptor, Platform, RawManifest, Reference};
use polyarch_registry::store::{BlobStore, BlobStoreExt as _};
use polyarch_registry::transfer::archive::Progress;
use polyarch_registry::transfer::{Archive, graph, layout_entries};

use self::choice::Children;
use super::ClassicError;
use crate::event::{Direction, EventKind, TransferHow};
use crate::event_sink::EventSink;
use crate::node::docker::DockerApi;

/// What is loaded, and how it will be named.
#[derive(Clone)]
pub struct LoadSpec {
    /// Where it is.
    pub store: Arc<dyn BlobStore>,
    /// An index, manifest list or image manifest.
    pub root: Descriptor,
    /// Names it gets, `latest` where they have no tag; without any the daemon knows it by its digest.
    pub references: Vec<Reference>,
    /// Largest manifest, in bytes (`Limits::manifest_bytes`).
    pub document_limit: u64,
    /// For transfers.
    pub events: EventSink,
}

/// What a daemon can hold under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capacity {
    /// Every platform: the containerd image store.
    All,
    /// One platform, the first of these that the image has, else the image's first: the classic store.
    One {
        /// What the machine runs, best first.
        preferred: Vec<Platform>,
    },
}

impl Capacity {
    /// Returns which of an image's platforms the daemon will hold, in their order: what [`load`] chooses, before there is
    /// an image.
    pub fn held<'a>(&self, platforms: &'a [Platform]) -> Vec<&'a Platform> {
        match self {
            Self::All => platforms.iter().collect(),
            Self::One { preferred } => choice::preferred_of(preferred, platforms.iter()).into_iter().collect(),
        }
    }
}

/// What was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Platforms the daemon has now.
    pub platforms: Vec<Platform>,
    /// Platforms it cannot hold beside them.
    pub left_out: Vec<Platform>,
    /// What the daemon said; untrusted.
    pub said: Vec<String>,
}

/// Loads an image into a daemon.
///
/// # Errors
/// [`ClassicError`].
pub async fn load(docker: &DockerApi, capacity: &Capacity, spec: &LoadSpec) -> Result<Loaded, ClassicError> {
    let root = manifest(spec, &spec.root).await?;
    let children = Children::of(spec, &root).await?;
    let (archive, platforms) = match capacity {
        Capacity::All => (layout(spec, &root).await?, children.platforms()),
        Capacity::One { preferred } => {
            let (child, platform) = children.one(preferred)?;
            (saved(spec, &manifest(spec, child).await?).await?, vec![platform.clone()])
        }
    };
    let said = docker.load(archive.into_stream(progress(&spec.events))).await?;
    let left_out = children.platforms().into_iter().filter(|platform| !platforms.contains(platform)).collect();
    Ok(Loaded { platforms, left_out, said })
}

/// An OCI layout with everything below the root: what the containerd store imports.
async fn layout(spec: &LoadSpec, root: &RawManifest) -> Result<Archive, ClassicError> {
    let image = graph::from_store(root, &*spec.store).await?;
    Ok(Archive::layout(Arc::clone(&spec.store), &image, &layout_entries(&root.descriptor(), &spec.references)).await?)
}

/// `docker save`'s form with one image: what the classic store imports. It inflates layers itself.
async fn saved(spec: &LoadSpec, image: &RawManifest) -> Result<Archive, ClassicError> {
    let graph = graph::from_store(image, &*spec.store).await?;
    let archive = Archive::layout(Arc::clone(&spec.store), &graph, &[image.descriptor()]).await?;
    let tags: Vec<String> = spec.references.iter().map(|reference| reference.or_latest().to_string()).collect();
    let node = graph.manifests.last().ok_or_else(|| not_loadable(image, "it is empty"))?;
    Ok(archive.with_docker_manifest(node, &tags)?)
}

async fn manifest(spec: &LoadSpec, descriptor: &Descriptor) -> Result<RawManifest, ClassicError> {
    let bytes = spec.store.read_bytes(&descriptor.digest, spec.document_limit).await?;
    Ok(RawManifest::new(descriptor.media_type.clone(), bytes))
}

fn not_loadable(manifest: &RawManifest, why: &str) -> ClassicError {
    ClassicError::NotLoadable { what: manifest.digest().to_string(), why: why.to_owned() }
}

fn progress(events: &EventSink) -> Progress {
    let events = events.clone();
    Arc::new(move |blob, read| {
        let (digest, direction, total) = (blob.digest.clone(), Direction::ToDaemon, blob.size);
        events.send(match read >= total {
            true => EventKind::TransferDone { digest, direction, how: TransferHow::Sent },
            false => EventKind::Transfer { digest, direction, current: read, total },
        });
    })
}
