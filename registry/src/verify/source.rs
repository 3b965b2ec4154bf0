//! Where verification reads from: a store, a layout on disk, a registry.

use std::error::Error;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::AsyncReadExt;

use crate::oci::{Descriptor, Digest, RawManifest};
use crate::store::{BlobReader, BlobStore, StoreError};

/// Largest manifest or index that is read (distribution-spec, "Pushing Manifests": registries take 4 MiB).
pub const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;

/// Content by descriptor. Nothing is verified here: the caller hashes and counts what it gets.
pub trait ContentSource: Send + Sync {
    /// Returns a manifest's bytes as they are, at most [`MANIFEST_LIMIT`] of them.
    fn manifest<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<RawManifest, SourceError>>;

    /// Returns whether a manifest is there, as far as that can be told without reading it. That it is not is no proof: some
    /// registries do not answer such questions.
    fn has_manifest<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<bool, SourceError>> {
        async move { Ok(self.stat(descriptor).await?.is_some()) }.boxed()
    }

    /// Returns a blob's size as the source knows it, or `None` if it is not there.
    fn stat<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<Option<u64>, SourceError>>;

    /// Opens a blob.
    fn blob<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, SourceError>>;
}

/// Why a source has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not there: a finding about the image.
    #[error("{0} is not there")]
    Missing(Digest),
    /// It is larger than a manifest or configuration may be.
    #[error("{digest} is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        digest: Digest,
        /// The limit in bytes.
        limit: u64,
    },
    /// It could not be read, which says nothing about the image.
    #[error("{digest} cannot be read")]
    Unreadable {
        /// What was asked for.
        digest: Digest,
        /// Cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl SourceError {
    /// Wraps any error that says nothing about the image.
    pub fn unreadable(digest: &Digest, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unreadable { digest: digest.clone(), source: source.into() }
    }

    fn of_store(digest: &Digest, error: StoreError) -> Self {
        match error {
            StoreError::NotFound(digest) => Self::Missing(digest),
            other => Self::unreadable(digest, other),
        }
    }
}

/// Reads from a [`BlobStore`], manifests included.
#[derive(Debug, Clone)]
pub struct StoreSource<S>(pub S);

impl<S: BlobStore> ContentSource for StoreSource<S> {
    fn manifest<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<RawManifest, SourceError>> {
        async move {
            let bytes = read_limited(self, descriptor, MANIFEST_LIMIT).await?;
            Ok(RawManifest::new(descriptor.media_type.clone(), bytes))
        }
        .boxed()
    }

    fn stat<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<Option<u64>, SourceError>> {
        let digest = &descriptor.digest;
        self.0.stat(digest).map(|size| size.map_err(|error| SourceError::of_store(digest, error))).boxed()
    }

    fn blob<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, SourceError>> {
        let digest = &descriptor.digest;
        self.0.open(digest, 0).map(|reader| reader.map_err(|error| SourceError::of_store(digest, error))).boxed()
    }
}

/// Reads a whole blob, at most `limit` bytes of it.
pub(super) async fn read_limited(
    source: &(impl ContentSource + ?Sized),
    descriptor: &Descriptor,
    limit: u64,
) -> Result<Vec<u8>, SourceError> {
    let digest = &descriptor.digest;
    let mut bytes = Vec::new();
    let reader = source.blob(descriptor).await?;
    let read = reader.take(limit + 1).read_to_end(&mut bytes).await;
    read.map_err(|error| SourceError::unreadable(digest, error))?;
    match bytes.len() as u64 > limit {
        true => Err(SourceError::TooLarge { digest: digest.clone(), limit }),
        false => Ok(bytes),
    }
}
