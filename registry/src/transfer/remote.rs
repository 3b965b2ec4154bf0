//! A repository read as if it were a store: what an image of it names, and nothing else.
//!
//! Owns: opening a blob again from any byte for each attempt to send it, and the first failure to read, which an upload
//! only knows as a broken source. Never: writes, or keeps bytes; the last ones are handed out once the digest is right.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{TryStreamExt as _, try_unfold};
use tokio_util::io::StreamReader;

use super::event::{Events, TransferEvent, TransferKind};
use super::graph::Graph;
use crate::client::{ClientError, Download, Registry};
use crate::oci::{Descriptor, Digest, Reference};
use crate::store::{BlobReader, BlobStore, BlobWriter, Expect, StoreError};

/// Who looks at the digest of what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// This side: the reader gets the end only if all is right.
    Here,
    /// The reader, who hashes anyway.
    ByReader,
}

/// The content of one repository that some graphs name.
pub struct RemoteStore {
    registry: Registry,
    repository: Reference,
    checked: Checked,
    events: Option<Events>,
    known: RwLock<HashMap<Digest, Known>>,
    failure: Failure,
}

/// A blob that could not be read.
#[derive(Debug, Clone)]
pub struct Unread {
    /// Which.
    pub digest: Digest,
    /// Why.
    pub error: Arc<ClientError>,
}

#[derive(Clone)]
enum Known {
    Manifest(Bytes),
    Blob(Box<Descriptor>),
}

impl RemoteStore {
    /// Returns a store that knows nothing yet. With `events`, what is received is told.
    pub fn new(registry: Registry, repository: Reference, checked: Checked, events: Option<Events>) -> Self {
        let (known, failure) = (RwLock::default(), Failure::default());
        Self { registry, repository, checked, events, known, failure }
    }

    /// Makes an image's content readable.
    pub fn learn(&self, image: &Graph) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for node in &image.manifests {
            known.insert(node.digest.clone(), Known::Manifest(node.manifest.bytes().clone()));
        }
        for (digest, blob) in &image.blobs {
            known.entry(digest.clone()).or_insert_with(|| Known::Blob(Box::new(blob.descriptor.clone())));
        }
    }

    /// Forgets an image's content again: a run may see many of them.
    pub fn forget(&self, image: &Graph) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        image.manifests.iter().map(|node| &node.digest).chain(image.blobs.keys()).for_each(|digest| {
            known.remove(digest);
        });
    }

    /// Returns the first failure to read, if there was one.
    pub fn failure(&self) -> Option<Unread> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn find(&self, digest: &Digest) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    async fn download(&self, descriptor: &Descriptor, offset: u64) -> Result<BlobReader, StoreError> {
        let opened = match self.checked {
            Checked::Here => self.registry.get_blob(&self.repository, descriptor).await,
            Checked::ByReader => self.registry.get_blob_as_is(&self.repository, descriptor).await,
        };
        let digest = descriptor.digest.clone();
        let download = opened.map_err(|error| {
            let source = std::io::Error::other(fail(&self.failure, &digest, error));
            StoreError::Io { action: "read", path: digest.to_string().into(), source }
        })?;
        let (failure, size) = (Arc::clone(&self.failure), descriptor.size);
        let told = self.events.clone().map(|events| (events, self.repository.name(), digest.clone(), size));
        let pieces = try_unfold((download, offset), move |(mut download, skip)| {
            let told = told.clone();
            async move {
                // The whole blob is read again where an upload goes on in the middle: only so its digest is known.
                let piece = next(&mut download, skip).await?;
                if let Some((events, repository, digest, size)) = told {
                    let kind = TransferKind::BlobReceiving { digest, received: download.received(), size };
                    events(TransferEvent { repository, kind });
                }
                Ok(piece.map(|(piece, skip)| (piece, (download, skip))))
            }
        });
        let pieces = pieces.map_err(move |error| std::io::Error::other(fail(&failure, &digest, error)));
        Ok(Box::new(StreamReader::new(Box::pin(pieces))))
    }
}

type Failure = Arc<Mutex<Option<Unread>>>;

/// Keeps the first failure.
fn fail(failure: &Failure, digest: &Digest, error: ClientError) -> Arc<ClientError> {
    let error = Arc::new(error);
    let mut first = failure.lock().unwrap_or_else(PoisonError::into_inner);
    first.get_or_insert_with(|| Unread { digest: digest.clone(), error: Arc::clone(&error) });
    error
}

/// Returns the next piece after `skip` bytes, and how many are still to be skipped after it.
async fn next(download: &mut Download, mut skip: u64) -> Result<Option<(Bytes, u64)>, ClientError> {
    while let Some(piece) = download.chunk().await? {
        let dropped = skip.min(piece.len() as u64);
        skip -= dropped;
        // At most the piece's length, so it fits.
        let rest = piece.slice(dropped as usize..);
        if !rest.is_empty() {
            return Ok(Some((rest, skip)));
        }
    }
    Ok(None)
}

impl BlobStore for RemoteStore {
    fn stat<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<u64>, StoreError>> {
        let size = self.find(digest).map(|known| match known {
            Known::Manifest(bytes) => bytes.len() as u64,
            Known::Blob(descriptor) => descriptor.size,
        });
        std::future::ready(Ok(size)).boxed()
    }

    fn open<'a>(&'a self, digest: &'a Digest, offset: u64) -> BoxFuture<'a, Result<BlobReader, StoreError>> {
        async move {
            match self.find(digest) {
                None => Err(StoreError::NotFound(digest.clone())),
                Some(Known::Blob(descriptor)) => self.download(&descriptor, offset).await,
                Some(Known::Manifest(bytes)) => {
                    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                    Ok(Box::new(std::io::Cursor::new(bytes.slice(start..))) as BlobReader)
                }
            }
        }
        .boxed()
    }

    fn writer(&self, _: Expect) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, StoreError>> {
        let path = self.repository.name().into();
        std::future::ready(Err(StoreError::ReadOnly { path })).boxed()
    }

    fn remove<'a>(&'a self, _: &'a Digest) -> BoxFuture<'a, Result<(), StoreError>> {
        let path = self.repository.name().into();
        std::future::ready(Err(StoreError::ReadOnly { path })).boxed()
    }
}

impl std::fmt::Debug for RemoteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteStore").field("repository", &self.repository).finish_non_exhaustive()
    }
}
