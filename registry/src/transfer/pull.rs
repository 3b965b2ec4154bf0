//! Fetching an image into a store.
//!
//! Owns: reading manifests and blobs by digest, verified, skipping what the store has.
//! Never: writes to a registry, or fetches layers of foreign URLs.

use std::sync::Arc;

use futures::future::FutureExt as _;

use super::bounded;
use super::error::PullError;
use super::event::{Events, TransferEvent, TransferKind};
use super::graph::{self, Blob, Fetched, Graph, GraphError, Role};
use super::pusher::observed;
use crate::client::{Download, Registry};
use crate::oci::{Descriptor, Digest, RawManifest, Reference};
use crate::store::{BlobStore, BlobStoreExt as _, BlobWriter, Expect, StoreError};

/// How much of an image is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Indexes and manifests.
    Manifests,
    /// Also configs.
    Configs,
    /// Also layers.
    Everything,
}

/// Fetches into a store.
#[derive(Clone)]
pub struct Puller {
    /// The client.
    pub registry: Registry,
    /// Where the image goes.
    pub store: Arc<dyn BlobStore>,
    /// Is told what happens.
    pub events: Events,
    /// Blobs in flight.
    pub parallel: usize,
}

impl From<GraphError> for PullError {
    fn from(error: GraphError) -> Self {
        Self::Graph(error)
    }
}

impl Puller {
    /// Fetches an image. The root is the last of the graph's manifests.
    ///
    /// # Errors
    /// See [`PullError`]; what was fetched and verified before stays in the store.
    pub async fn pull(&self, reference: &Reference, depth: Depth) -> Result<Graph, PullError> {
        let at = At { puller: self, registry: observed(&self.registry, &reference.name(), &self.events), reference };
        let root = at.manifest(reference).await?;
        let graph = {
            let fetch = |child| -> Fetched<'_, PullError> { Box::pin(at.child(child)) };
            graph::walk(&root, &fetch).await?
        };
        let mut jobs = Vec::new();
        for blob in graph.blobs.values().filter(|blob| depth_of(blob) <= depth) {
            jobs.push(at.blob(&blob.descriptor).boxed());
        }
        bounded(jobs, self.parallel).await?;
        // The root comes into the store last: whoever finds it finds the rest.
        at.keep(root.digest(), &root).await?;
        Ok(graph)
    }
}

fn depth_of(blob: &Blob) -> Depth {
    match blob.role {
        Role::Config => Depth::Configs,
        Role::Layer | Role::Entry => Depth::Everything,
    }
}

/// A puller at work on one reference.
struct At<'a> {
    puller: &'a Puller,
    registry: Registry,
    reference: &'a Reference,
}

impl At<'_> {
    async fn child(&self, child: Descriptor) -> Result<RawManifest, PullError> {
        let manifest = self.manifest(&self.reference.with_digest(child.digest.clone())).await?;
        self.keep(&child.digest, &manifest).await?;
        Ok(manifest)
    }

    async fn manifest(&self, reference: &Reference) -> Result<RawManifest, PullError> {
        let got = self.registry.get_manifest(reference).await;
        let manifest = got.map_err(|source| PullError::Manifest { reference: reference.clone(), source })?;
        self.tell(TransferKind::ManifestVerified { digest: manifest.digest().clone() });
        Ok(manifest)
    }

    async fn keep(&self, digest: &Digest, manifest: &RawManifest) -> Result<(), PullError> {
        let size = manifest.bytes().len() as u64;
        let fail = |source| PullError::Store { digest: digest.clone(), source };
        if self.puller.store.has(digest, size).await.map_err(fail)? {
            return Ok(());
        }
        let mut writer = self.writer(digest, size).await.map_err(fail)?;
        writer.write(manifest.bytes().clone()).await.map_err(fail)?;
        writer.commit().await.map(drop).map_err(fail)
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<(), PullError> {
        let (digest, size) = (&descriptor.digest, descriptor.size);
        let unstored = |source| PullError::Store { digest: digest.clone(), source };
        if self.puller.store.has(digest, size).await.map_err(unstored)? {
            self.tell(TransferKind::BlobPresent { digest: digest.clone(), size });
            return Ok(());
        }
        let unread = |source| PullError::Blob { repository: self.reference.name(), digest: digest.clone(), source };
        let mut download: Download = self.registry.get_blob_as_is(self.reference, descriptor).await.map_err(unread)?;
        // The store's writer verifies; hashing twice would cost time only.
        let mut writer = self.writer(digest, size).await.map_err(unstored)?;
        while let Some(bytes) = download.chunk().await.map_err(unread)? {
            writer.write(bytes).await.map_err(unstored)?;
            let received = download.received();
            self.tell(TransferKind::BlobReceiving { digest: digest.clone(), received, size });
        }
        writer.commit().await.map_err(unstored)?;
        self.tell(TransferKind::BlobReceived { digest: digest.clone(), size });
        Ok(())
    }

    async fn writer(&self, digest: &Digest, size: u64) -> Result<Box<dyn BlobWriter>, StoreError> {
        self.puller.store.writer(Expect { digest: Some(digest.clone()), size: Some(size) }).await
    }

    fn tell(&self, kind: TransferKind) {
        (self.puller.events)(TransferEvent { repository: self.reference.name(), kind });
    }
}

impl std::fmt::Debug for Puller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Puller").field("registry", &self.registry).finish_non_exhaustive()
    }
}
