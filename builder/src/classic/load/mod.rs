//! `--load`: a stored image into a daemon's image store.
//!
//! Owns: which platforms the daemon can hold, and the tar made on the fly for it. Never: holds a layer in memory,
//! changes a manifest: a containerd store gets the very bytes that were verified.

mod plan;
mod tar_body;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use polyarch_registry::oci::{Descriptor, Platform, Reference};
use polyarch_registry::store::BlobStore;

use self::plan::{Part, archive, child_for, layout, platforms_of};
use self::tar_body::body;
use super::ClassicError;
use crate::event_sink::EventSink;
use crate::node::docker::DockerApi;

/// What is loaded, and how it will be named.
#[derive(Clone)]
pub struct LoadSpec {
    /// Where it is.
    pub store: Arc<dyn BlobStore>,
    /// An index, manifest list or image manifest.
    pub root: Descriptor,
    /// Names it gets; each needs a tag.
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
    let all = platforms_of(spec).await?;
    let (parts, platforms) = match capacity {
        Capacity::All => (layout(spec).await?, all.clone()),
        Capacity::One { preferred } => {
            let (manifest, platform) = child_for(spec, preferred).await?;
            (archive(spec, &manifest).await?, vec![platform])
        }
    };
    let said = docker.load(body(parts, spec)).await?;
    let left_out = all.into_iter().filter(|platform| !platforms.contains(platform)).collect();
    Ok(Loaded { platforms, left_out, said })
}
