//! What follows from [`BlobStore`]'s four operations: small blobs in one call.
//!
//! Owns: helpers over any store. Never: bypasses the verifying writer.

use std::future::Future;

use bytes::Bytes;
use tokio::io::AsyncReadExt;

use super::{BlobStore, Expect, StoreError};
use crate::oci::Digest;

/// The most that is reserved before bytes arrive; a size found on disk is not trusted further.
const PREALLOCATE: u64 = 64 * 1024;

/// Derived operations of every [`BlobStore`].
pub trait BlobStoreExt: BlobStore {
    /// Stores bytes under their SHA-256 digest, unless the blob is already there.
    fn put_bytes(&self, bytes: impl Into<Bytes> + Send) -> impl Future<Output = Result<Digest, StoreError>> + Send {
        async move {
            let bytes: Bytes = bytes.into();
            let digest = Digest::sha256(&bytes);
            let size = bytes.len() as u64;
            if self.stat(&digest).await? == Some(size) {
                return Ok(digest);
            }
            let mut writer = self.writer(Expect { digest: Some(digest), size: Some(size) }).await?;
            writer.write(bytes).await?;
            Ok(writer.commit().await?.digest)
        }
    }

    /// Reads a whole blob of at most `limit` bytes and checks its digest.
    ///
    /// Fails with [`StoreError::OverLimit`] before reading, [`StoreError::NotFound`] or [`StoreError::DigestMismatch`].
    fn read_bytes(&self, digest: &Digest, limit: u64) -> impl Future<Output = Result<Bytes, StoreError>> + Send {
        async move {
            let size = self.stat(digest).await?.ok_or_else(|| StoreError::NotFound(digest.clone()))?;
            if size > limit {
                return Err(StoreError::OverLimit { digest: digest.clone(), size, limit });
            }
            let mut hasher = digest.hasher()?;
            let mut bytes = Vec::with_capacity(size.min(PREALLOCATE) as usize);
            let reader = self.open(digest, 0).await?;
            let read = reader.take(limit).read_to_end(&mut bytes).await;
            read.map_err(|source| StoreError::Io { action: "read", path: digest.to_string().into(), source })?;
            hasher.update(&bytes);
            let got = hasher.finish();
            match got == *digest {
                true => Ok(bytes.into()),
                false => Err(StoreError::DigestMismatch { want: digest.clone(), got }),
            }
        }
    }

    /// Returns whether the blob is there with exactly this size.
    fn has(&self, digest: &Digest, size: u64) -> impl Future<Output = Result<bool, StoreError>> + Send {
        async move { Ok(self.stat(digest).await? == Some(size)) }
    }
}

impl<S: BlobStore + ?Sized> BlobStoreExt for S {}
