//! An OCI layout in a tar, taken into a layout on disk.
//!
//! Owns: which files count, by their plain names: blobs, each checked against its name, and the list. Long names and
//! extended headers are passed over, so that no number in the tar decides how much is held in memory.
//! Never: writes a file under a name from the tar.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;
use tokio::io::AsyncRead;
use tokio::runtime::Handle;
use tokio_util::io::SyncIoBridge;

use crate::oci::{Descriptor, Digest};
use crate::store::{BlobStore as _, Expect, LayoutStore, StoreError};

/// Largest list of a layout that is read, in bytes.
const INDEX_LIMIT: u64 = 4 << 20;
/// Entries accepted in one tar.
const MOST_ENTRIES: usize = 100_000;
/// Bytes of a blob handled at once.
const CHUNK: usize = 256 << 10;

/// Why a tar was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file cannot be read, or is no tar.
    #[error("cannot read {path} as a tar")]
    Tar {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// It has no `index.json`: an archive of Docker before 25, or something else.
    #[error("{0} is not an OCI layout in a tar")]
    NotALayout(PathBuf),
    /// Too many files.
    #[error("{0} has more than {MOST_ENTRIES} entries")]
    TooManyEntries(PathBuf),
    /// A blob is not what its name says, or cannot be written.
    #[error("cannot take over a blob")]
    Store(#[from] StoreError),
}

#[derive(Deserialize)]
struct List {
    manifests: Vec<Descriptor>,
}

/// Takes all blobs of a tar into a layout, which then lists what the tar lists.
///
/// # Errors
/// [`ImportError`]; then nothing new is listed.
pub async fn import(path: &Path, into: &LayoutStore) -> Result<(), ImportError> {
    let file = tokio::fs::File::open(path).await;
    let file = file.map_err(|source| ImportError::Tar { path: path.to_owned(), source })?;
    import_from(file, path, into).await
}

/// [`import`] of a tar as it comes; `name` is what errors call it. Dropping the future drops the stream with what is
/// read next of it.
///
/// # Errors
/// [`ImportError`]; then nothing new is listed.
pub async fn import_from(
    tar: impl AsyncRead + Send + Unpin + 'static,
    name: &Path,
    into: &LayoutStore,
) -> Result<(), ImportError> {
    let (path, store, runtime) = (name.to_owned(), into.clone(), Handle::current());
    let work = move || {
        let tar = SyncIoBridge::new_with_handle(tar, runtime.clone());
        read(BufReader::with_capacity(CHUNK, tar), &path, &store, &runtime)
    };
    let work = tokio::task::spawn_blocking(work).await;
    let broken = |error| ImportError::Tar { path: name.to_owned(), source: std::io::Error::other(error) };
    let entries = work.map_err(broken)??;
    Ok(into.put_roots(entries).await?)
}

fn read(tar: impl Read, path: &Path, store: &LayoutStore, runtime: &Handle) -> Result<Vec<Descriptor>, ImportError> {
    let failed = |source| ImportError::Tar { path: path.to_owned(), source };
    let mut archive = tar::Archive::new(tar);
    let mut list = None;
    for (number, entry) in archive.entries().map_err(failed)?.raw(true).enumerate() {
        if number >= MOST_ENTRIES {
            return Err(ImportError::TooManyEntries(path.to_owned()));
        }
        let mut entry = entry.map_err(failed)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.strip_prefix("./").unwrap_or(&name);
        if name == "index.json" {
            let mut text = Vec::new();
            entry.take(INDEX_LIMIT).read_to_end(&mut text).map_err(failed)?;
            list = serde_json::from_slice::<List>(&text).ok();
        } else if let Some(digest) = digest_of(name) {
            let size = entry.header().size().map_err(failed)?;
            take(&mut entry, (digest, size), store, runtime, &failed)?;
        }
    }
    list.map(|list| list.manifests).ok_or_else(|| ImportError::NotALayout(path.to_owned()))
}

fn digest_of(name: &str) -> Option<Digest> {
    let (algorithm, encoded) = name.strip_prefix("blobs/")?.split_once('/')?;
    format!("{algorithm}:{encoded}").parse().ok()
}

fn take(
    from: &mut impl Read,
    (digest, size): (Digest, u64),
    store: &LayoutStore,
    runtime: &Handle,
    failed: &dyn Fn(std::io::Error) -> ImportError,
) -> Result<(), ImportError> {
    let mut writer = runtime.block_on(store.writer(Expect { digest: Some(digest), size: Some(size) }))?;
    let mut chunk = vec![0; CHUNK];
    loop {
        match from.read(&mut chunk).map_err(failed)? {
            0 => break,
            read => runtime.block_on(writer.write(Bytes::copy_from_slice(&chunk[..read])))?,
        }
    }
    Ok(runtime.block_on(writer.commit()).map(drop)?)
}
