//! Garbage collection of a registry, also of one that is running.
//!
//! Owns: the two steps. First each repository forgets what it holds without need; then the bytes that no repository
//! names any more are removed. The names are read without stopping anyone: what gets a name meanwhile is noted, and
//! the removals, a few at a time, wait for pushes that are between having bytes and naming them.
//! Never: removes bytes when any repository could not be read.

use std::collections::HashSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Registry;
use super::disk::{Disk, MetaError, SweepOptions, Swept};
use super::name::RepoName;
use crate::oci::{Digest, Manifest};
use crate::store::layout::LayoutStore;
use crate::store::{BlobStore, StoreError};

/// Blobs removed before waiting pushes go on.
const BATCH: usize = 64;

/// What to collect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GcOptions {
    /// Also manifests that no tag reaches, not as an index's child, not as a referrer.
    #[serde(default)]
    pub untagged: bool,
    /// Seconds for which what was pushed, mounted or asked for stays. A push must not take longer from its first
    /// blob to its manifest.
    pub grace_seconds: u64,
    /// Only counts.
    #[serde(default)]
    pub dry_run: bool,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self { untagged: false, grace_seconds: 3600, dry_run: false }
    }
}

/// What was, or would be, removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Collected {
    /// Manifests that repositories forgot.
    pub manifests: u64,
    /// Blobs that repositories forgot, counted in each.
    pub links: u64,
    /// Blobs and manifests whose bytes were removed.
    pub blobs: u64,
    /// Bytes of those.
    pub bytes: u64,
}

/// Why nothing, or not everything, was collected.
#[derive(Debug, thiserror::Error)]
pub enum GcError {
    /// The repositories cannot be read.
    #[error("cannot collect in the registry's repositories")]
    Meta(#[from] MetaError),
    /// The content cannot be listed or removed.
    #[error("cannot collect in the registry's content")]
    Store(#[from] StoreError),
}

impl Registry {
    /// Collects garbage; pushes and pulls go on. A second collection waits for the first.
    ///
    /// `content` is the store this registry was opened with.
    ///
    /// # Errors
    /// [`GcError`]; what was removed by then was garbage.
    pub async fn collect(&self, content: &LayoutStore, options: GcOptions) -> Result<Collected, GcError> {
        let _only = self.collecting().await;
        let watching = Watch::start(self).await?;
        let (swept, named) = self.forget(content, options).await?;
        let mut collected = Collected { manifests: swept.manifests, links: swept.links, ..Collected::default() };
        let mut lost = content.blobs().await?;
        lost.retain(|(digest, _)| !named.contains(digest));
        for batch in lost.chunks(BATCH) {
            let _alone = self.unnamed().await;
            for (digest, size) in batch {
                if watching.was_named(digest) {
                    continue;
                }
                if !options.dry_run {
                    content.remove(digest).await?;
                }
                collected.blobs += 1;
                collected.bytes += size;
            }
        }
        Ok(collected)
    }

    /// Lets every repository forget, and returns what is still named.
    async fn forget(&self, content: &LayoutStore, options: GcOptions) -> Result<(Swept, HashSet<Digest>), GcError> {
        let content = content.clone();
        let GcOptions { untagged, grace_seconds, dry_run } = options;
        let sweep = SweepOptions { untagged, grace: Duration::from_secs(grace_seconds), dry_run };
        let work = move |disk: &Disk| {
            let read = |digest: &Digest, media_type: &str| read_manifest(&content, digest, media_type);
            let (mut total, mut named) = (Swept::default(), HashSet::new());
            for name in disk.all_repositories()? {
                let swept = disk.sweep(&name, sweep, &read)?;
                total = Swept { manifests: total.manifests + swept.manifests, links: total.links + swept.links };
                disk.add_names(&name, &mut named)?;
                log(&name, swept);
            }
            Ok((total, named))
        };
        Ok(self.meta(work).await?)
    }
}

fn log(name: &RepoName, swept: Swept) {
    if swept != Swept::default() {
        tracing::info!(repository = %name, manifests = swept.manifests, blobs = swept.links, "forgot what nothing needs");
    }
}

fn read_manifest(content: &LayoutStore, digest: &Digest, media_type: &str) -> Result<Manifest, MetaError> {
    let path = content.blob_path(digest);
    let bytes = std::fs::read(&path).map_err(|source| MetaError::Io { action: "read", path: path.clone(), source })?;
    // It was parsed when it was pushed, so only damage can make this fail.
    Manifest::parse(media_type, &bytes).map_err(|_| MetaError::Damaged { path })
}

/// Notes what gets a name, until it is dropped.
struct Watch<'a>(&'a Registry);

impl<'a> Watch<'a> {
    async fn start(registry: &'a Registry) -> Result<Self, MetaError> {
        // Behind everyone who is about to name something now.
        let _alone = registry.unnamed().await;
        registry.disk().watch();
        Ok(Self(registry))
    }

    fn was_named(&self, digest: &Digest) -> bool {
        self.0.disk().was_named(digest)
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.disk().unwatch();
    }
}
