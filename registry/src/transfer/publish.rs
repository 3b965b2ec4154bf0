//! Publishing an image from a store to any number of tags.
//!
//! Owns: the order: blobs, child manifests by digest, the root by digest, reading back, tags, each
//! read back. Registries run side by side, and so do repositories of one; a failure stops the tags of
//! its own repository only. Everything is awaited here, so dropping the future stops it all.
//! Never: builds or changes an image.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;

use super::error::PublishError;
use super::event::Events;
use super::graph::{self, Graph};
use super::pusher::{BlobPusher, Counts, HostPusher, Means, MountSources, RepositoryBlobs};
use super::repository::Target;
use crate::client::Registry;
use crate::oci::{Digest, RawManifest, Reference};
use crate::store::BlobStore;

/// What to publish, and where to.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Index or single manifest; everything it refers to is in the store, or is at the destination already.
    pub root: RawManifest,
    /// Tags, in any registries. One without a tag is published by digest only.
    pub destinations: Vec<Reference>,
    /// Repositories known to have some of the blobs, such as a base image's.
    pub mounts: MountSources,
}

/// Publishes from a store.
#[derive(Clone)]
pub struct Publisher {
    /// The client.
    pub registry: Registry,
    /// Where the image is.
    pub store: Arc<dyn BlobStore>,
    /// Is told what happens.
    pub events: Events,
    /// Blobs in flight per registry.
    pub parallel: usize,
}

/// What became of one destination.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// As it was given.
    pub destination: Reference,
    /// Tags of one repository share the failure of its blobs or manifests.
    pub result: Result<Published, Arc<PublishError>>,
}

/// A destination that has the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The root's digest.
    pub digest: Digest,
    /// What was done about its tag.
    pub tag: TagMove,
    /// Blobs of its repository; tags of one repository share them.
    pub blobs: Counts,
}

/// What was done about a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagMove {
    /// It points at the image now.
    Moved,
    /// It did before.
    Unchanged,
    /// None was asked for.
    None,
}

type Done = Result<Published, Arc<PublishError>>;

impl Publisher {
    /// Starts to send blobs before the image they belong to is known.
    pub fn pusher(&self, destinations: &[Reference], mounts: &MountSources) -> BlobPusher {
        BlobPusher::new(&self.means(), destinations, mounts)
    }

    fn means(&self) -> Means<'_> {
        let Self { registry, store, events, parallel } = self;
        Means { registry, store, events, parallel: *parallel, is_new: false }
    }

    /// Publishes; there is one outcome per destination, in their order.
    pub async fn publish(&self, publication: &Publication) -> Vec<Outcome> {
        let pusher = self.pusher(&publication.destinations, &publication.mounts);
        self.publish_with(pusher, publication).await
    }

    /// Publishes, with blobs already on their way in a pusher for the same destinations.
    pub async fn publish_with(&self, pusher: BlobPusher, publication: &Publication) -> Vec<Outcome> {
        let graph = match graph::from_store(&publication.root, &*self.store).await {
            Ok(graph) => graph,
            Err(error) => {
                let error = Arc::new(PublishError::Graph(error));
                return outcomes(publication, |_| Err(Arc::clone(&error)));
            }
        };
        let hosts = pusher.hosts.into_iter().map(|host| self.to_host(host, &graph, publication));
        let done: BTreeMap<Reference, Done> = join_all(hosts).await.into_iter().flatten().collect();
        outcomes(publication, |destination| {
            let broken = || PublishError::Broken { repository: destination.name() };
            done.get(destination).cloned().unwrap_or_else(|| Err(Arc::new(broken())))
        })
    }

    async fn to_host(&self, host: HostPusher, graph: &Graph, publication: &Publication) -> Vec<(Reference, Done)> {
        for blob in graph.blobs.values() {
            host.push(&blob.descriptor);
        }
        let repositories = host.repositories().to_vec();
        let mut blobs = host.finish().await;
        let work = repositories.iter().filter_map(|repository| {
            let blobs = blobs.remove(&repository.name())?;
            Some(self.to_repository(repository, graph, blobs, publication))
        });
        join_all(work.collect::<Vec<_>>()).await.into_iter().flatten().collect()
    }

    async fn to_repository(
        &self,
        repository: &Reference,
        graph: &Graph,
        blobs: RepositoryBlobs,
        publication: &Publication,
    ) -> Vec<(Reference, Done)> {
        let mine = publication.destinations.iter().filter(|destination| destination.name() == repository.name());
        let all = |error: Arc<PublishError>| mine.clone().map(|d| (d.clone(), Err(Arc::clone(&error)))).collect();
        let placed = match blobs {
            Ok(placed) => placed,
            Err(error) => return all(error),
        };
        let means = self.means();
        let target = Target::new(&means, repository, graph, &placed);
        let there = match target.write().await {
            Ok(there) => there,
            Err(error) => return all(Arc::new(error)),
        };
        let blobs = Counts::of(&placed, |digest| graph.blobs.get(digest).map_or(0, |blob| blob.descriptor.size));
        let mut done = Vec::new();
        for destination in mine {
            let tagged = target.tag(destination, &publication.root, &there).await;
            let digest = publication.root.digest().clone();
            done.push((destination.clone(), tagged.map(|tag| Published { digest, tag, blobs }).map_err(Arc::new)));
        }
        done
    }
}

fn outcomes(publication: &Publication, result: impl Fn(&Reference) -> Done) -> Vec<Outcome> {
    let outcome = |destination: &Reference| Outcome { destination: destination.clone(), result: result(destination) };
    publication.destinations.iter().map(outcome).collect()
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("registry", &self.registry).finish_non_exhaustive()
    }
}
