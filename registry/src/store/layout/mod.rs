//! A content store on disk: an OCI image layout (image-spec, image-layout.md) that several processes share.
//!
//! ```text
//! oci-layout        {"imageLayoutVersion":"1.0.0"}
//! index.json        the root index: what is reachable from here survives gc
//! index.json.lock   locked while index.json is rewritten
//! polyarch.lock     locked shared by leases (every writer has one), exclusively by gc
//! blobs/ALG/HEX     complete, verified blobs; nothing else is ever at such a path
//! ingest/           blobs being written; whatever a killed process left is swept later
//! cache/diff-ids/   which compressed blob a diff_id became
//! cache/verified/   which diff_id a layer blob was found to have; both tables may be deleted at any time
//! ```
//!
//! A layout for others ([`LayoutStore::open_output`]) has none of our files when it is done: the locks are on its
//! directories, and `ingest/` goes.
//!
//! Life of a blob: temporary file in `ingest/`, hashed and counted as it is written, fsync, rename,
//! fsync of the directory. Lock order: lease, then index lock.
//! Never: re-serialises a blob, follows a path from a manifest.

mod cache;
mod clone;
mod disk;
mod gc;
mod growing;
mod index;
mod inventory;
mod lease;
mod list;
mod output;
mod paths;
#[cfg(test)]
mod tests;
mod verified;
mod walk;
mod writer;

use std::fs::File;
use std::io::{ErrorKind, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use tokio::io::BufReader;

use self::disk::{blocking, io_error, make_dir, open_lock, read_small, write_atomic};
use self::paths::{Locks, Paths};
use super::{BlobReader, BlobStore, BlobWriter, Expect, StoreError};
use crate::oci::{Descriptor, Digest};

pub use self::cache::{CachedLayer, DiffIdCache, LayerForm};
pub use self::gc::Removed;
pub use self::growing::Growing;
pub use self::index::{REF_NAME, Root, RootKey};
pub use self::lease::Lease;
pub use self::list::RootSummary;
pub use self::verified::{VerifiedLayer, VerifiedLayers};

/// Bytes fetched from disk at once: a read hops to a blocking thread, so it must be worth it.
const READ_CHUNK: usize = 256 * 1024;
/// Enough for any sane marker file.
const MARKER_LIMIT: u64 = 4 * 1024;
const MARKER: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const EMPTY_INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    ReadWrite,
    ReadOnly,
}

/// An OCI image layout. Clones share it.
#[derive(Debug, Clone)]
pub struct LayoutStore {
    paths: Arc<Paths>,
    access: Access,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

impl LayoutStore {
    /// Opens a layout for reading and writing, creating it if there is none. What a killed process left in
    /// `ingest/` is removed if nobody else works in the store.
    ///
    /// # Errors
    /// [`StoreError::Layout`] if the directory holds a layout of another version; I/O.
    pub async fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::open_with(Paths::new(root.into(), Locks::Files)).await
    }

    async fn open_with(paths: Paths) -> Result<Self, StoreError> {
        let store = Self { paths: Arc::new(paths), access: Access::ReadWrite };
        let paths = Arc::clone(&store.paths);
        blocking(move || {
            create(&paths)?;
            check_marker(&paths)?;
            sweep_if_unused(&paths)
        })
        .await?;
        Ok(store)
    }

    /// Opens a layout that must exist, for reading only: nothing in the directory is created or changed.
    ///
    /// # Errors
    /// [`StoreError::Layout`] if it is not a layout, or of another version.
    pub async fn open_existing(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { paths: Arc::new(Paths::new(root.into(), Locks::Files)), access: Access::ReadOnly };
        let paths = Arc::clone(&store.paths);
        blocking(move || check_marker(&paths)).await?;
        Ok(store)
    }

    /// Returns the directory.
    pub fn root(&self) -> &Path {
        self.paths.root()
    }

    /// Returns where a blob is, or would be, for tools that want a file. The file may be absent.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.paths.blob(digest)
    }

    /// Starts a write of a blob of known digest and size that can be read while it is written. It is in the store only
    /// when it is committed.
    ///
    /// # Errors
    /// As [`BlobStore::writer`].
    pub async fn growing_writer(&self, blob: &Descriptor) -> Result<(Box<dyn BlobWriter>, Growing), StoreError> {
        let lease = self.lease().await?;
        let paths = Arc::clone(&self.paths);
        let (writer, growing) = writer::LayoutWriter::start_growing(paths, lease, blob).await?;
        Ok((Box::new(writer), growing))
    }

    fn writable(&self) -> Result<(), StoreError> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(StoreError::ReadOnly { path: self.root().to_owned() }),
        }
    }
}

fn create(paths: &Paths) -> Result<(), StoreError> {
    make_dir(&paths.blobs().join("sha256"))?;
    if paths.locks() == Locks::Files {
        make_dir(&paths.ingest())?;
    }
    if paths.index().exists() && paths.marker().exists() {
        return Ok(());
    }
    let lock = open_lock(&paths.index_lock())?;
    lock.lock().map_err(io_error("lock", &paths.index_lock()))?;
    for (path, content) in [(paths.marker(), MARKER), (paths.index(), EMPTY_INDEX)] {
        // Checked again under the lock: another process may have been first.
        if !path.exists() {
            write_atomic(&paths.ingest(), &path, content)?;
        }
    }
    Ok(())
}

fn check_marker(paths: &Paths) -> Result<(), StoreError> {
    let bad = |reason: String| StoreError::Layout { path: paths.root().to_owned(), reason };
    let bytes = read_small(&paths.marker(), MARKER_LIMIT).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => bad("there is no oci-layout file".to_owned()),
        _ => io_error("read", &paths.marker())(error),
    })?;
    let marker: Marker = serde_json::from_slice(&bytes).map_err(|error| bad(format!("oci-layout: {error}")))?;
    match marker.image_layout_version.as_str() {
        "1.0.0" => Ok(()),
        other => Err(bad(format!("image layout version {other:?} is not 1.0.0"))),
    }
}

fn sweep_if_unused(paths: &Paths) -> Result<(), StoreError> {
    let left = match std::fs::read_dir(paths.ingest()) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(io_error("list", &paths.ingest())(error)),
    };
    if !left {
        return Ok(());
    }
    let Some(_alone) = lease::try_exclusive(&paths.lease())? else { return Ok(()) };
    let swept = disk::sweep(&paths.ingest())?;
    tracing::debug!(files = swept.files, bytes = swept.bytes, "removed what an interrupted run left in ingest");
    Ok(())
}

impl BlobStore for LayoutStore {
    fn stat<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<u64>, StoreError>> {
        let path = self.paths.blob(digest);
        blocking(move || match std::fs::metadata(&path) {
            Ok(meta) => Ok(meta.is_file().then_some(meta.len())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("stat", &path)(error)),
        })
        .boxed()
    }

    fn open<'a>(&'a self, digest: &'a Digest, offset: u64) -> BoxFuture<'a, Result<BlobReader, StoreError>> {
        let (path, digest) = (self.paths.blob(digest), digest.clone());
        let opened = blocking(move || {
            let mut file = File::open(&path).map_err(|error| match error.kind() {
                ErrorKind::NotFound => StoreError::NotFound(digest),
                _ => io_error("open", &path)(error),
            })?;
            if offset > 0 {
                file.seek(SeekFrom::Start(offset)).map_err(io_error("seek in", &path))?;
            }
            Ok(file)
        });
        async move {
            let file = tokio::fs::File::from_std(opened.await?);
            Ok(Box::new(BufReader::with_capacity(READ_CHUNK, file)) as BlobReader)
        }
        .boxed()
    }

    fn writer(&self, expect: Expect) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, StoreError>> {
        async move {
            let lease = self.lease().await?;
            let writer = writer::LayoutWriter::start(Arc::clone(&self.paths), lease, expect).await?;
            Ok(Box::new(writer) as Box<dyn BlobWriter>)
        }
        .boxed()
    }

    fn remove<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<(), StoreError>> {
        let path = self.paths.blob(digest);
        let writable = self.writable();
        blocking(move || {
            writable?;
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error("remove", &path)(error)),
                _ => Ok(()),
            }
        })
        .boxed()
    }
}
