//! Publishing into one repository, once its blobs are there.
//!
//! Owns: manifests by digest, children first; reading everything back; then tags, each read back.
//! A manifest that is there already, byte for byte, is not written again; whether its subject lists it is asked.
//! Blobs that the registry does not have after all, as it says when it gets the manifest, are sent once more.
//! Never: moves a tag after anything failed, or asks a mirror.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use futures::future::FutureExt as _;
use oci_client::errors::OciErrorCode;
use tokio::time::Instant;

use super::event::{TransferEvent, TransferKind};
use super::graph::{Graph, Node};
use super::publish::TagMove;
use super::pusher::{HostPusher, Means, MountSources, Placed, observed};
use super::{PublishError, bounded};
use crate::client::retry::Attempt;
use crate::client::{ClientError, ErrorKind, Registry};
use crate::oci::{Digest, Manifest, RawManifest, Reference};

/// Small requests in flight for one repository.
const PARALLEL: usize = 4;

pub(super) struct Target<'a> {
    means: &'a Means<'a>,
    registry: Registry,
    repository: &'a Reference,
    graph: &'a Graph,
    placed: &'a BTreeMap<Digest, Placed>,
}

impl<'a> Target<'a> {
    pub(super) fn new(
        means: &'a Means<'a>,
        repository: &'a Reference,
        graph: &'a Graph,
        placed: &'a BTreeMap<Digest, Placed>,
    ) -> Self {
        let registry = observed(&means.registry.without_mirrors(), &repository.name(), means.events);
        Self { means, registry, repository, graph, placed }
    }

    /// Writes all manifests and reads them back, and looks at what was mounted. Returns those that were there.
    pub(super) async fn write(&self) -> Result<BTreeSet<Digest>, PublishError> {
        let there = self.look_for_all().await;
        let (present, absent): (Vec<&Node>, Vec<&Node>) =
            self.graph.manifests.iter().partition(|node| there.contains(&node.digest));
        bounded(present.into_iter().map(|node| self.list(node).boxed()).collect(), PARALLEL).await?;
        let (indexes, images): (Vec<&Node>, Vec<&Node>) = absent.into_iter().partition(|node| is_index(node));
        let writing = images.into_iter().map(|node| self.put(node).boxed()).collect();
        let mut unread: Vec<&Node> = bounded(writing, PARALLEL).await?;
        // An index may refer to another one, so these go in order.
        for node in indexes {
            unread.push(self.put(node).await?);
        }
        bounded(unread.into_iter().map(|node| self.read_back(node).boxed()).collect(), PARALLEL).await?;
        let mounted = self.placed.iter().filter(|(_, placed)| **placed == Placed::Mounted);
        bounded(mounted.map(|(digest, _)| self.look_at(digest).boxed()).collect(), PARALLEL).await?;
        Ok(there)
    }

    /// Returns the manifests that are there byte for byte. They are asked for at once: nothing is written yet.
    async fn look_for_all(&self) -> BTreeSet<Digest> {
        let candidates = self.graph.manifests.iter().filter(|node| self.may_be_there(node));
        let looking = candidates.map(|node| async { Ok::<_, Infallible>(self.look_for(node).await) }.boxed());
        let Ok(found) = bounded(looking.collect(), PARALLEL).await;
        found.into_iter().flatten().collect()
    }

    /// With new blobs a manifest is new too, and with it every index: asking for them would be in vain.
    fn may_be_there(&self, node: &Node) -> bool {
        let is_present = |digest| self.placed.get(digest) == Some(&Placed::Present);
        match is_index(node) {
            true => self.placed.keys().all(is_present),
            false => node.blobs.iter().all(is_present),
        }
    }

    /// Any trouble in looking is left to the writing that follows.
    async fn look_for(&self, node: &Node) -> Option<Digest> {
        let at = self.repository.with_digest(node.digest.clone());
        let found = self.registry.get_manifest(&at).await.ok()?;
        (found == node.manifest).then(|| {
            self.tell(TransferKind::ManifestVerified { digest: node.digest.clone() });
            node.digest.clone()
        })
    }

    /// Writes a manifest, into its subject's list of referrers, too, and returns it.
    async fn put<'n>(&self, node: &'n Node) -> Result<&'n Node, PublishError> {
        let at = self.repository.with_digest(node.digest.clone());
        let put = || self.registry.put_referrer(&at, &node.manifest);
        let first = put().await;
        let done = match first {
            Err(error) if is_behind(&error) => {
                self.supply(node).await?;
                self.patiently(put, |result| matches!(result, Err(error) if is_behind(error))).await
            }
            done => done,
        };
        done.map_err(|source| self.failed(node, source))?;
        self.tell(TransferKind::ManifestPushed { digest: node.digest.clone() });
        Ok(node)
    }

    /// Sends what the registry has lost since it was asked: it may have been collected, or was never there.
    async fn supply(&self, node: &Node) -> Result<(), PublishError> {
        let blobs: Vec<_> = node.blobs.iter().filter_map(|digest| self.graph.blobs.get(digest)).collect();
        if blobs.is_empty() {
            return Ok(());
        }
        let name = self.repository.name();
        // Not by mount: a mount may be why they are not there.
        let means = Means { is_new: false, ..*self.means };
        let pusher = HostPusher::new(&means, [(name.clone(), self.repository.clone())].into(), &MountSources::new());
        blobs.iter().for_each(|blob| pusher.push(&blob.descriptor));
        match pusher.finish().await.remove(&name) {
            Some(Ok(_)) => Ok(()),
            // The pusher is gone, so nobody else has the error.
            Some(Err(error)) => Err(Arc::into_inner(error).unwrap_or(PublishError::Broken { repository: name })),
            None => Err(PublishError::Broken { repository: name }),
        }
    }

    /// A manifest that is there may have been written by a run that did not get to its subject's list of referrers.
    async fn list(&self, node: &Node) -> Result<(), PublishError> {
        let listed = self.registry.ensure_listed(self.repository, &node.manifest).await;
        listed.map_err(|source| self.failed(node, source))
    }

    fn failed(&self, node: &Node, source: ClientError) -> PublishError {
        PublishError::Manifest { repository: self.repository.name(), digest: node.digest.clone(), source }
    }

    async fn read_back(&self, node: &Node) -> Result<(), PublishError> {
        let at = self.repository.with_digest(node.digest.clone());
        let (repository, digest) = (self.repository.name(), node.digest.clone());
        let got = self.patiently(|| self.registry.get_manifest(&at), is_absent).await;
        let got = match got {
            Ok(got) => got,
            Err(source) => return Err(PublishError::ReadBack { repository, digest, source }),
        };
        // The digest was checked while reading, so the bytes are the same.
        if got != node.manifest {
            let (want, got) = (node.manifest.media_type().to_owned(), got.media_type().to_owned());
            return Err(PublishError::Altered { repository, digest, want, got });
        }
        self.tell(TransferKind::ManifestVerified { digest });
        Ok(())
    }

    /// A mount moved no bytes, so the registry's word is checked.
    async fn look_at(&self, digest: &Digest) -> Result<(), PublishError> {
        let Some(blob) = self.graph.blobs.get(digest) else { return Ok(()) };
        let (repository, digest, want) = (self.repository.name(), digest.clone(), blob.descriptor.size);
        match self.registry.blob_exists(self.repository, &blob.descriptor).await {
            Ok(Some(got)) if got == want => Ok(()),
            Ok(Some(got)) => Err(PublishError::BlobSize { repository, digest, want, got }),
            Ok(None) => Err(PublishError::NotMounted { repository, digest }),
            Err(source) => Err(PublishError::Blob { repository, digest, source }),
        }
    }

    /// Moves a tag to the root and reads it back. A tag that is right already is not written:
    /// registries with immutable tags would refuse.
    /// `there` are the manifests that were there: where the root is one, the tag probably points at it.
    pub(super) async fn tag(
        &self,
        reference: &Reference,
        root: &RawManifest,
        there: &BTreeSet<Digest>,
    ) -> Result<TagMove, PublishError> {
        let Some(tag) = reference.tag() else { return Ok(TagMove::None) };
        let at = self.repository.with_tag(tag);
        let digest = root.digest().clone();
        let fail = |source| PublishError::Tag { reference: at.clone(), source };
        if self.points_at(&at, root, there.contains(&digest)).await.map_err(fail)? {
            self.tell(TransferKind::TagUnchanged { tag: tag.to_owned(), digest });
            return Ok(TagMove::Unchanged);
        }
        self.registry.put_manifest(&at, root).await.map_err(fail)?;
        let stale = |result: &Result<RawManifest, ClientError>| match result {
            Ok(found) => found.digest() != root.digest(),
            Err(_) => is_absent(result),
        };
        let found = self.patiently(|| self.registry.get_manifest(&at), stale).await.map_err(fail)?;
        if found != *root {
            return Err(PublishError::TagElsewhere { reference: at, want: digest, got: found.digest().clone() });
        }
        self.tell(TransferKind::TagMoved { tag: tag.to_owned(), digest });
        Ok(TagMove::Moved)
    }

    /// Whether a tag is right already. If that is `likely`, it is read at once, else only when its digest says so.
    async fn points_at(&self, tag: &Reference, root: &RawManifest, likely: bool) -> Result<bool, ClientError> {
        if !likely {
            let head = self.registry.head_manifest(tag).await?;
            if head.and_then(|head| head.digest).as_ref() != Some(root.digest()) {
                return Ok(false);
            }
        }
        match self.registry.get_manifest(tag).await {
            Ok(found) => Ok(found == *root),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Repeats what a registry that is not consistent at once (GHCR, Docker Hub, Nexus) may answer better later.
    async fn patiently<T, F>(
        &self,
        work: impl Fn() -> F,
        behind: impl Fn(&Result<T, ClientError>) -> bool,
    ) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let config = self.registry.config();
        let start = Instant::now();
        let mut number = 1;
        loop {
            let result = work().await;
            let jitter = (config.jitter)();
            let attempt = Attempt { number, elapsed: start.elapsed(), retry_after: None, jitter };
            match self.registry.retry().delay(attempt).filter(|_| behind(&result)) {
                None => return result,
                Some(delay) => tokio::time::sleep(delay).await,
            }
            number += 1;
        }
    }

    fn tell(&self, kind: TransferKind) {
        (self.means.events)(TransferEvent { repository: self.repository.name(), kind });
    }
}

fn is_index(node: &Node) -> bool {
    matches!(node.manifest.view(), Ok(Manifest::Index(_)))
}

fn is_absent(result: &Result<RawManifest, ClientError>) -> bool {
    matches!(result, Err(error) if error.kind() == ErrorKind::NotFound)
}

/// The registry does not see yet what it has taken (Nexus: manifest-tool#191).
fn is_behind(error: &ClientError) -> bool {
    [OciErrorCode::BlobUnknown, OciErrorCode::ManifestBlobUnknown, OciErrorCode::ManifestUnknown]
        .iter()
        .any(|code| error.has_code(code))
}
