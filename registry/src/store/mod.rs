//! Content stores: blobs by digest, tags by name.
//!
//! Owns: the traits every backend implements, the verifying writer, the on-disk layout, gc.
//! Never: makes a blob visible before its digest and size were computed from the bytes that arrived.

#[cfg(test)]
mod contract;
mod ext;
pub mod layout;
mod memory;
mod verifying;

pub use ext::BlobStoreExt;
pub use layout::LayoutStore;
pub use memory::MemoryStore;
pub use verifying::VerifyingReader;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::io::AsyncRead;

use crate::oci::{Algorithm, Descriptor, Digest, DigestError, Hasher};

/// A byte stream read from a store.
pub type BlobReader = Box<dyn AsyncRead + Send + Unpin>;

/// What a writer promises about the bytes to come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expect {
    /// The digest the bytes must have; `None` accepts any and reports it.
    pub digest: Option<Digest>,
    /// The exact number of bytes; `None` accepts any.
    pub size: Option<u64>,
}

impl Expect {
    /// Returns the promise a descriptor makes.
    pub fn of(descriptor: &Descriptor) -> Self {
        Self { digest: Some(descriptor.digest.clone()), size: Some(descriptor.size) }
    }

    /// Returns the hasher of the promised digest, SHA-256 where none is promised.
    ///
    /// # Errors
    /// [`StoreError::Digest`] for an algorithm polyarch cannot compute.
    pub fn hasher(&self) -> Result<Hasher, StoreError> {
        self.digest.as_ref().map_or_else(|| Ok(Hasher::sha256()), |digest| Ok(digest.hasher()?))
    }

    /// Replaces the promised digest. Returns a fresh hasher if what was hashed so far must be hashed again.
    ///
    /// # Errors
    /// [`StoreError::Digest`] for an algorithm polyarch cannot compute; then nothing changed.
    fn promise(&mut self, digest: Digest) -> Result<Option<Hasher>, StoreError> {
        let hasher = digest.hasher()?;
        let before = self.digest.as_ref().map_or(&Algorithm::Sha256, Digest::algorithm);
        let other = before != digest.algorithm();
        self.digest = Some(digest);
        Ok(other.then_some(hasher))
    }

    /// Checks that `total` bytes are still within the promised size.
    ///
    /// # Errors
    /// [`StoreError::TooLong`].
    pub fn admit(&self, total: u64) -> Result<(), StoreError> {
        match self.size {
            Some(want) if total > want => Err(StoreError::TooLong { want }),
            _ => Ok(()),
        }
    }

    /// Compares what arrived with the promise.
    ///
    /// # Errors
    /// [`StoreError::TooShort`], [`StoreError::TooLong`] or [`StoreError::DigestMismatch`].
    pub fn settle(self, got: Committed) -> Result<Committed, StoreError> {
        self.admit(got.size)?;
        match (self.size, self.digest) {
            (Some(want), _) if got.size < want => Err(StoreError::TooShort { want, got: got.size }),
            (_, Some(want)) if want != got.digest => Err(StoreError::DigestMismatch { want, got: got.digest }),
            _ => Ok(got),
        }
    }
}

/// What was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Digest computed from the bytes.
    pub digest: Digest,
    /// Number of bytes.
    pub size: u64,
}

/// Blobs by digest.
pub trait BlobStore: Send + Sync {
    /// Returns the blob's size, or `None` if it is not there.
    fn stat<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<u64>, StoreError>>;

    /// Opens the blob for reading from byte `offset`.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it is not there.
    fn open<'a>(&'a self, digest: &'a Digest, offset: u64) -> BoxFuture<'a, Result<BlobReader, StoreError>>;

    /// Starts a write. Nothing is visible until [`BlobWriter::commit`]; dropping the writer discards the bytes.
    fn writer(&self, expect: Expect) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, StoreError>>;

    /// Removes a blob; absent blobs are not an error.
    fn remove<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// One blob being written, hashed as it arrives.
pub trait BlobWriter: Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// [`StoreError::TooLong`] as soon as the promised size is exceeded.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Bytes written so far.
    fn written(&self) -> u64;

    /// Names the digest the bytes must have, where it is known only after they arrived: at the end of an upload
    /// (distribution-spec, "Pushing a blob in chunks"). Hashes again what was written if the algorithm is another.
    ///
    /// # Errors
    /// [`StoreError::Digest`] for an algorithm polyarch cannot compute; I/O.
    fn promise(&mut self, digest: Digest) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Checks digest and size, makes the blob durable, then visible.
    ///
    /// # Errors
    /// [`StoreError::DigestMismatch`], [`StoreError::TooShort`], or I/O; then nothing is visible.
    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<Committed, StoreError>>;
}

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The blob is not in the store.
    #[error("blob {0} is not in the store")]
    NotFound(Digest),
    /// The bytes have another digest than promised.
    #[error("blob has digest {got}, expected {want}")]
    DigestMismatch {
        /// The promise.
        want: Digest,
        /// What the bytes hash to.
        got: Digest,
    },
    /// Fewer bytes arrived than promised.
    #[error("blob ended after {got} bytes, expected {want}")]
    TooShort {
        /// The promise in bytes.
        want: u64,
        /// Bytes that arrived.
        got: u64,
    },
    /// More bytes arrived than promised.
    #[error("blob is longer than the expected {want} bytes")]
    TooLong {
        /// The promise in bytes.
        want: u64,
    },
    /// The blob is larger than the caller is ready to hold in memory.
    #[error("blob {digest} has {size} bytes, more than the limit of {limit}")]
    OverLimit {
        /// The blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A digest polyarch cannot compute.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The layout on disk is not what this version reads.
    #[error("store at {path} is not a usable OCI layout: {reason}")]
    Layout {
        /// Directory of the store.
        path: std::path::PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A write to a store that was opened for reading.
    #[error("store at {path} is open for reading only")]
    ReadOnly {
        /// Directory of the store.
        path: std::path::PathBuf,
    },
    /// Another process works in the store, so unreferenced blobs may be in use.
    #[error("store at {path} is in use by another process")]
    InUse {
        /// Directory of the store.
        path: std::path::PathBuf,
    },
    /// The disk (or quota) is full.
    #[error("no space left for {path}")]
    Full {
        /// File being written.
        path: std::path::PathBuf,
    },
    /// Any other file system error.
    #[error("{action} {path}")]
    Io {
        /// What was attempted, such as `write`.
        action: &'static str,
        /// Where.
        path: std::path::PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}
