//! An image from one layout into another.
//!
//! Owns: the order (blobs, manifests, then the names) and the shortest way for each blob: present, cloned, or copied
//! and verified. Never: shows an entry before everything it reaches is there; touches other entries.

use futures::future::FutureExt as _;
use tokio::io::AsyncReadExt as _;

use super::graph::Graph;
use super::{PARALLEL, bounded};
use crate::oci::{Descriptor, Digest};
use crate::store::{BlobStore, BlobStoreExt as _, Expect, LayoutStore, StoreError};

/// Bytes of a blob read at once.
const CHUNK: usize = 256 << 10;

/// Why an image was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A blob or manifest.
    #[error("cannot copy {digest} into the layout")]
    Blob {
        /// Which.
        digest: Digest,
        /// Cause.
        #[source]
        source: StoreError,
    },
    /// The entry in the layout's index, or its locks.
    #[error("cannot change the layout")]
    Layout(#[from] StoreError),
}

/// What became of the blobs of a copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Blobs that were there already.
    pub present: usize,
    /// Blobs that share their blocks with the source's until one is written.
    pub cloned: usize,
    /// Blobs whose bytes were written and verified.
    pub written: usize,
}

/// How one blob got there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Present,
    Cloned,
    Written,
}

/// Copies an image into a layout under `entries`: descriptors of its root with the annotations that name it. An entry
/// of another image with one of these names is replaced.
///
/// # Errors
/// [`CopyError`]; then the layout lists what it listed before.
pub async fn into_layout(
    image: &Graph,
    from: &LayoutStore,
    to: &LayoutStore,
    entries: Vec<Descriptor>,
) -> Result<Copied, CopyError> {
    // Nobody may collect what is not named yet.
    let _lease = to.lease().await?;
    let jobs = image.blobs.values().map(|blob| bring(from, to, &blob.descriptor).boxed()).collect();
    let ways = bounded(jobs, PARALLEL).await?;
    for node in &image.manifests {
        keep(to, &node.digest, node.manifest.bytes().clone()).await.map_err(failed(&node.digest))?;
    }
    to.put_roots(entries).await?;
    let count = |wanted| ways.iter().filter(|way| **way == wanted).count();
    Ok(Copied { present: count(Way::Present), cloned: count(Way::Cloned), written: count(Way::Written) })
}

async fn bring(from: &LayoutStore, to: &LayoutStore, blob: &Descriptor) -> Result<Way, CopyError> {
    let digest = &blob.digest;
    let way = async {
        if to.has(digest, blob.size).await? {
            return Ok(Way::Present);
        }
        if to.clone_from(from, digest, blob.size).await? {
            return Ok(Way::Cloned);
        }
        copy_blob(from, to, blob).await.map(|()| Way::Written)
    };
    way.await.map_err(failed(digest))
}

/// Copies one blob between any two stores; it is verified on the way.
///
/// # Errors
/// [`StoreError`]; then nothing is visible.
pub async fn copy_blob(from: &dyn BlobStore, to: &dyn BlobStore, blob: &Descriptor) -> Result<(), StoreError> {
    let mut reader = from.open(&blob.digest, 0).await?;
    let mut writer = to.writer(Expect::of(blob)).await?;
    loop {
        let mut chunk = bytes::BytesMut::with_capacity(CHUNK);
        let read = reader.read_buf(&mut chunk).await;
        let path = || blob.digest.to_string().into();
        match read.map_err(|source| StoreError::Io { action: "read", path: path(), source })? {
            0 => return writer.commit().await.map(drop),
            _ => writer.write(chunk.freeze()).await?,
        }
    }
}

/// Manifests may be under a digest of another algorithm than the one that is computed by default.
pub(super) async fn keep(to: &LayoutStore, digest: &Digest, bytes: bytes::Bytes) -> Result<(), StoreError> {
    let size = bytes.len() as u64;
    if to.has(digest, size).await? {
        return Ok(());
    }
    let mut writer = to.writer(Expect { digest: Some(digest.clone()), size: Some(size) }).await?;
    writer.write(bytes).await?;
    writer.commit().await.map(drop)
}

fn failed(digest: &Digest) -> impl FnOnce(StoreError) -> CopyError {
    let digest = digest.clone();
    move |source| CopyError::Blob { digest, source }
}
