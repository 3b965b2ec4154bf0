//! Moving images between registries and stores.
//!
//! Owns: what an image consists of ([`graph`]), publishing in the one safe order ([`Publisher`]),
//! blobs sent ahead ([`BlobPusher`]), fetching ([`Puller`]), copying between
//! registries and layouts ([`Copier`]), within this machine ([`copy`]) or a tar ([`Archive`]).
//! Never: moves a tag before everything it reaches was written and read back, or changes a byte.

pub mod archive;
pub mod copier;
pub mod copy;
mod error;
mod event;
pub mod graph;
mod naming;
mod publish;
mod pull;
mod pusher;
mod remote;
mod repository;
mod source;

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{StreamExt as _, TryStreamExt as _};

pub use archive::{Archive, ArchiveError};
pub use copier::{Copier, CopierError, Delivered, Origin};
pub use copy::{Copied, CopyError};
pub use error::{PublishError, PullError};
pub use event::{Events, TransferEvent, TransferKind};
pub use graph::{Blob, Graph, GraphError};
pub use naming::{IMAGE_NAME, layout_entries};
pub use publish::{Outcome, Publication, Published, Publisher, TagMove};
pub use pull::{Depth, Puller};
pub use pusher::{BlobPusher, Counts, MountSources};
pub use remote::{Checked, RemoteStore};

use crate::client::BlobSource;
use crate::oci::Digest;
use crate::store::BlobStore;
use crate::store::layout::Growing;

pub use source::RegistrySource;

/// Blobs sent or fetched at once, by default. Each host has its own limit of requests as well.
pub const PARALLEL: usize = 6;

/// Runs jobs, at most `limit` at once, until all are done or one fails.
async fn bounded<T, E>(jobs: Vec<BoxFuture<'_, Result<T, E>>>, limit: usize) -> Result<Vec<T>, E> {
    futures::stream::iter(jobs).buffer_unordered(limit.max(1)).try_collect().await
}

/// A blob on its way into a store as the client reads it for an upload, which ends when the blob is verified.
struct GrowingSource(Growing);

impl BlobSource for GrowingSource {
    fn open(&self, offset: u64) -> BoxFuture<'_, std::io::Result<crate::store::BlobReader>> {
        Box::pin(std::future::ready(Ok(self.0.open(offset))))
    }
}

/// A store's blob as the client reads it for an upload.
struct StoreSource {
    store: Arc<dyn BlobStore>,
    digest: Digest,
}

impl BlobSource for StoreSource {
    fn open(&self, offset: u64) -> BoxFuture<'_, std::io::Result<crate::store::BlobReader>> {
        Box::pin(async move { self.store.open(&self.digest, offset).await.map_err(std::io::Error::other) })
    }
}

#[cfg(test)]
mod futures_are_send {
    use super::*;
    use crate::oci::Reference;

    fn check<T: Send>(_: T) {}

    #[allow(dead_code)]
    fn all(publisher: &Publisher, publication: &Publication, puller: &Puller, at: &Reference) {
        check(publisher.publish(publication));
        check(puller.pull(at, Depth::Everything));
    }
}
