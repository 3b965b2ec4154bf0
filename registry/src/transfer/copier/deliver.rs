//! Writing images into a repository.
//!
//! Owns: the order: blobs, manifests by digest, what refers to them, then the tags; each read back. Every blob is
//! brought once per run. Never: moves a tag of an image of which anything failed.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures::future::FutureExt as _;

use super::gather::{By, Extra, Tree};
use super::{Copier, CopierError, Delivered, Known, Origin, PARALLEL, Reading, Request};
use crate::client::ErrorKind;
use crate::oci::{Descriptor, Digest, Reference};
use crate::transfer::bounded;
use crate::transfer::graph::Graph;
use crate::transfer::pusher::{Counts, HostPusher, Means, MountSources, Placed, observed};
use crate::transfer::repository::Target;
use crate::transfer::{Blob, PublishError};

type Done = Result<Delivered, Arc<CopierError>>;

impl Copier {
    /// Writes the images of a window; all go to the repository of the first.
    pub(super) async fn deliver(
        &self,
        reading: &Reading<'_>,
        window: &[Request],
        trees: &[(usize, Box<Tree>)],
        known: &mut Known,
    ) -> BTreeMap<usize, Done> {
        let Some(first) = trees.first().map(|(at, _)| &window[*at].destination) else { return BTreeMap::new() };
        let graphs = || trees.iter().flat_map(|(_, tree)| tree.graphs());
        let mut blobs: Vec<&Blob> = graphs().flat_map(|graph| graph.blobs.values()).collect();
        let mut seen = HashSet::new();
        blobs.retain(|blob| {
            let digest = &blob.descriptor.digest;
            !known.placed.contains_key(digest) && seen.insert(digest)
        });
        if let Some(remote) = &reading.remote {
            graphs().for_each(|graph| remote.learn(graph));
        }
        let bringing = self.bring(reading, first, &blobs, known).await;
        if let Err(error) = &bringing {
            return trees.iter().map(|(at, _)| (*at, Err(Arc::clone(error)))).collect();
        }
        let placed = &known.placed;
        let (store, parallel) = (reading.store(), self.parallel_to(reading.origin, first));
        let means = &Means { registry: &self.registry, store: &store, events: &self.events, parallel, is_new: false };
        let writing = trees.iter().map(|(at, tree)| {
            let destination = &window[*at].destination;
            async move { Ok::<_, std::convert::Infallible>((*at, self.write(means, destination, tree, placed).await)) }
                .boxed()
        });
        let Ok(done) = bounded(writing.collect(), PARALLEL).await;
        if let Some(remote) = &reading.remote {
            graphs().for_each(|graph| remote.forget(graph));
        }
        done.into_iter().map(|(at, result)| (at, result.map_err(Arc::new))).collect()
    }

    /// Brings blobs to the repository, each by the cheapest means.
    async fn bring(
        &self,
        reading: &Reading<'_>,
        to: &Reference,
        blobs: &[&Blob],
        known: &mut Known,
    ) -> Result<(), Arc<CopierError>> {
        if blobs.is_empty() {
            return Ok(());
        }
        let descriptors: Vec<&Descriptor> = blobs.iter().map(|blob| &blob.descriptor).collect();
        let parallel = self.parallel_to(reading.origin, to);
        let is_new = match known.is_new {
            Some(is_new) => is_new,
            None => {
                let first = &descriptors[..descriptors.len().min(parallel)];
                let is_new =
                    self.is_new(to, first).await.map_err(|error| Arc::new(CopierError::Publish(error.into())))?;
                *known.is_new.insert(is_new)
            }
        };
        let store = reading.store();
        let means = Means { registry: &self.registry, store: &store, events: &self.events, parallel, is_new };
        let mounts = mounts(reading.origin, to, &descriptors);
        let pusher = HostPusher::new(&means, [(to.name(), to.clone())].into(), &mounts);
        descriptors.iter().for_each(|descriptor| pusher.push(descriptor));
        let placed = pusher.finish().await.remove(&to.name());
        let broken = || Arc::new(PublishError::Broken { repository: to.name() });
        match placed.unwrap_or_else(|| Err(broken())) {
            Ok(placed) => {
                let sizes: BTreeMap<&Digest, u64> = descriptors.iter().map(|d| (&d.digest, d.size)).collect();
                let counts = Counts::of(&placed, |digest| sizes.get(digest).copied().unwrap_or(0));
                known.counts.sent += counts.sent;
                known.counts.sent_bytes += counts.sent_bytes;
                known.counts.present += counts.present;
                known.counts.mounted += counts.mounted;
                known.placed.extend(placed);
                Ok(())
            }
            Err(error) => {
                // A blob that cannot be read at its source is no fault of the destination.
                let unread = reading.remote.as_ref().and_then(|remote| remote.failure());
                Err(Arc::new(match (unread, reading.origin) {
                    (Some(unread), Origin::Repository(at)) => {
                        let (digest, repository) = (unread.digest, at.name());
                        CopierError::SourceBlob { digest, repository, source: unread.error }
                    }
                    _ => CopierError::Publish(error),
                }))
            }
        }
    }

    /// Within one registry each blob may take two of the host's slots, one to read and one to write: half of them
    /// must stay free, or none could go on.
    fn parallel_to(&self, origin: &Origin, to: &Reference) -> usize {
        let per_host = self.registry.config().limits.per_host;
        match origin {
            Origin::Repository(from) if from.host() == to.host() => self.parallel.min(per_host / 2).max(1),
            _ => self.parallel.max(1),
        }
    }

    /// Whether a repository has nothing that could be asked for: it is unknown, and none of the blobs that an earlier
    /// run would have sent first is there. It began with the same ones, and with as many at once.
    async fn is_new(&self, repository: &Reference, first: &[&Descriptor]) -> Result<bool, PublishError> {
        let registry = observed(&self.registry.without_mirrors(), &repository.name(), &self.events);
        let entered = registry.enter_for_push(repository).await;
        entered.map_err(|source| PublishError::Enter { repository: repository.name(), source })?;
        let unknown = matches!(registry.tags(repository).await, Err(error) if error.kind() == ErrorKind::NotFound);
        if !unknown {
            return Ok(false);
        }
        let looking = first.iter().map(|blob| async { registry.blob_exists(repository, blob).await }.boxed()).collect();
        Ok(bounded(looking, PARALLEL).await.is_ok_and(|found| found.iter().all(Option::is_none)))
    }

    async fn write(
        &self,
        means: &Means<'_>,
        destination: &Reference,
        tree: &Tree,
        placed: &BTreeMap<Digest, Placed>,
    ) -> Result<Delivered, CopierError> {
        let publish = |error: PublishError| CopierError::Publish(Arc::new(error));
        let mine = of_graph(&tree.image, placed);
        let target = Target::new(means, destination, &tree.image, &mine);
        let there = target.write().await.map_err(publish)?;
        for extra in &tree.extras {
            write_extra(means, destination, extra, placed).await?;
        }
        let root = tree.root().ok_or_else(|| publish(PublishError::Broken { repository: destination.name() }))?;
        let tag = target.tag(destination, root, &there).await.map_err(publish)?;
        Ok(Delivered {
            destination: destination.clone(),
            source: tree.source.clone(),
            digest: root.digest().clone(),
            tag,
            manifests: tree.image.manifests.len(),
            referrers: tree.extras.len(),
            left_out: tree.left_out.clone(),
        })
    }
}

/// Writes something about an image; what it is about is there. Writing it brings its subject's list up to date.
async fn write_extra(
    means: &Means<'_>,
    destination: &Reference,
    extra: &Extra,
    placed: &BTreeMap<Digest, Placed>,
) -> Result<(), CopierError> {
    let publish = |error: PublishError| CopierError::Publish(Arc::new(error));
    let mine = of_graph(&extra.graph, placed);
    let target = Target::new(means, destination, &extra.graph, &mine);
    let there = target.write().await.map_err(publish)?;
    if let (By::Tag(tag), Some(root)) = (&extra.by, extra.graph.manifests.last()) {
        target.tag(&destination.with_tag(tag), &root.manifest, &there).await.map_err(publish)?;
    }
    Ok(())
}

fn of_graph(graph: &Graph, placed: &BTreeMap<Digest, Placed>) -> BTreeMap<Digest, Placed> {
    graph.blobs.keys().filter_map(|digest| Some((digest.clone(), *placed.get(digest)?))).collect()
}

/// Within one registry every blob can be mounted from the source.
fn mounts(origin: &Origin, to: &Reference, blobs: &[&Descriptor]) -> MountSources {
    match origin {
        Origin::Repository(from) if from.host() == to.host() && from.repository() != to.repository() => {
            blobs.iter().map(|blob| (blob.digest.clone(), vec![from.clone()])).collect()
        }
        _ => MountSources::new(),
    }
}
