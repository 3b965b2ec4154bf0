//! Garbage collection of a registry, also of one that is running.
//!
//! Owns: the two steps. First each repository forgets what it holds without need; then the bytes that no repository
//! names any more are removed. The names are read without stopping anyone: what gets a name meanwhile is noted, and
//! the removals, a few at a time, wait for pushes that are between having bytes and naming them.
//! Never: removes bytes when any repository could not be read.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Registry;
use super::disk::{Disk, MetaError, SweepOptions, Swept};
use super::name::RepoName;
use crate::oci::{Digest, Manifest};
use crate::store::StoreError;
use crate::store::layout::LayoutStore;

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
            let removed = self.remove(content, batch.to_vec(), options).await?;
            collected.blobs += removed.len() as u64;
            collected.bytes += removed.iter().sum::<u64>();
        }
        drop(watching);
        Ok(collected)
    }

    /// Removes what nobody names, unless somebody has meanwhile; returns the sizes. The work itself keeps those who
    /// would name something away, also when nobody waits for it any more.
    async fn remove(
        &self,
        content: &LayoutStore,
        batch: Vec<(Digest, u64)>,
        options: GcOptions,
    ) -> Result<Vec<u64>, MetaError> {
        let (alone, content) = (self.unnamed().await, content.clone());
        let work = move |disk: &Disk| {
            let lost = batch.iter().filter(|(digest, _)| !disk.was_named(digest));
            let remove = |(digest, size): &(Digest, u64)| match options.dry_run {
                true => Ok(*size),
                false => remove_bytes(&content, digest).map(|()| *size),
            };
            let removed = lost.map(remove).collect();
            drop(alone);
            removed
        };
        self.meta(work).await
    }

    /// Lets every repository forget, and returns what is still named; in a dry run, what would still be.
    async fn forget(&self, content: &LayoutStore, options: GcOptions) -> Result<(Swept, HashSet<Digest>), GcError> {
        let content = content.clone();
        let GcOptions { untagged, grace_seconds, dry_run } = options;
        let sweep = SweepOptions { untagged, grace: Duration::from_secs(grace_seconds), dry_run };
        let work = move |disk: &Disk| {
            let read = |digest: &Digest, media_type: &str| read_manifest(&content, digest, media_type);
            let (mut total, mut named) = (Swept::default(), HashSet::new());
            for name in disk.all_repositories()? {
                let (swept, kept) = disk.sweep(&name, sweep, &read)?;
                total = Swept { manifests: total.manifests + swept.manifests, links: total.links + swept.links };
                named.extend(kept);
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

fn remove_bytes(content: &LayoutStore, digest: &Digest) -> Result<(), MetaError> {
    let path = content.blob_path(digest);
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(MetaError::Io { action: "remove", path, source }),
        _ => Ok(()),
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
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.disk().unwatch();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use futures::FutureExt as _;
    use http::{Method, Request};

    use super::*;
    use crate::oci::media_type;
    use crate::server::Options;
    use crate::store::MemoryStore;

    fn request(method: Method, path: &str, body: &str) -> Request<Body> {
        let request = Request::builder().method(method).uri(path).header("content-type", media_type::OCI_INDEX);
        request.body(Body::from(body.to_owned())).unwrap()
    }

    /// The client goes away while its upload is being named.
    #[allow(clippy::await_holding_lock, reason = "nothing else on this thread takes it")]
    async fn leaves(registry: &Registry, request: Request<Body>, digest: &Digest) {
        let path = request.uri().to_string();
        registry.disk().watch();
        let busy = registry.disk().lock(&RepoName::parse("a").unwrap());
        let mut handling = Box::pin(registry.handle(request));
        while !registry.disk().was_named(digest) {
            assert!((&mut handling).now_or_never().is_none(), "{path}: the repository is locked");
            tokio::task::yield_now().await;
        }
        drop(handling);
        assert!(registry.unnamed().now_or_never().is_none(), "{path}: gc may look in between");
        drop(busy);
        drop(registry.unnamed().await);
    }

    #[tokio::test]
    async fn gc_waits_for_a_push_whose_client_went_away() {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(MemoryStore::new());
        let registry = Registry::open(store, dir.path(), Options::default()).await.unwrap();
        let (blob, name) = (Digest::sha256("blob"), RepoName::parse("a").unwrap());
        let index = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, media_type::OCI_INDEX);
        let uploads = "/v2/a/blobs/uploads/";
        leaves(&registry, request(Method::POST, &format!("{uploads}?digest={blob}"), "blob"), &blob).await;
        leaves(&registry, request(Method::POST, &format!("{uploads}?mount={blob}"), ""), &blob).await;
        let session = registry.handle(request(Method::POST, uploads, "")).await;
        let location = session.headers()["location"].to_str().unwrap();
        leaves(&registry, request(Method::PUT, &format!("{location}?digest={blob}"), "blob"), &blob).await;
        let put = request(Method::PUT, "/v2/a/manifests/v1", &index);
        leaves(&registry, put, &Digest::sha256(&index)).await;
        assert!(registry.disk().has_blob(&name, &blob));
        assert!(registry.disk().has_manifest(&name, &Digest::sha256(&index)), "the work ended on its own");
    }
}
