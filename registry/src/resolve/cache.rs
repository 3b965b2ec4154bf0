//! Manifests and configurations of registries, by digest: a file each, its media type in the first line.
//!
//! Owns: a small directory. Never: returns bytes that are not what their digest says, so that a torn or changed file is as
//! good as none; and never fails: without the cache, the registry is asked.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::oci::{Digest, RawManifest};

/// Largest file that is kept or read: the largest manifest the client takes, and its media type.
const FILE_BYTES: u64 = (4 << 20) + 512;

/// Its directory in a store's `cache`.
pub(crate) const REMOTE_CACHE: &str = "remote";

/// A directory of manifests and configurations.
#[derive(Debug, Clone)]
pub struct ManifestCache {
    dir: PathBuf,
}

/// What the cache has.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    media_type: String,
    pub(super) bytes: Bytes,
}

impl Entry {
    /// Returns it as a manifest, if it is one.
    pub(super) fn manifest(self) -> Option<RawManifest> {
        let manifest = RawManifest::new(self.media_type, self.bytes);
        manifest.view().is_ok().then_some(manifest)
    }
}

impl ManifestCache {
    /// Returns the cache of a store's directory, `cache/remote` in it. Nothing is created before there is something to keep.
    pub fn of_store(store: &Path) -> Self {
        Self { dir: store.join("cache").join(REMOTE_CACHE) }
    }

    /// Returns media type and bytes of an object.
    pub(crate) async fn object(&self, digest: &Digest) -> Option<(String, Bytes)> {
        self.get(digest).await.map(|entry| (entry.media_type, entry.bytes))
    }

    pub(super) async fn get(&self, digest: &Digest) -> Option<Entry> {
        let (path, digest) = (self.path(digest), digest.clone());
        // Asking whether a name is there costs less than asking another thread to.
        if !path.exists() {
            return None;
        }
        tokio::task::spawn_blocking(move || read(&path, &digest)).await.ok().flatten()
    }

    /// Keeps an object, if it can.
    pub(crate) async fn put(&self, digest: &Digest, media_type: &str, bytes: &[u8]) {
        if let Some(write) = self.writing(digest, media_type, bytes) {
            // It tells by itself what went wrong.
            let _ = tokio::task::spawn_blocking(write).await;
        }
    }

    /// Returns what keeps an object, for a thread that may block; none if it is too large.
    pub(crate) fn writing(
        &self,
        digest: &Digest,
        media_type: &str,
        bytes: &[u8],
    ) -> Option<impl FnOnce() + Send + use<>> {
        if bytes.len() as u64 + media_type.len() as u64 >= FILE_BYTES || media_type.contains('\n') {
            return None;
        }
        let (dir, path) = (self.dir.clone(), self.path(digest));
        let content = [media_type.as_bytes(), b"\n", bytes].concat();
        Some(move || {
            if let Err(error) = write(&dir, &path, &content) {
                tracing::debug!(%error, dir = %dir.display(), "a manifest is not kept");
            }
        })
    }

    /// Safe for any [`Digest`]: its grammar has neither `/` nor an empty or dot-only algorithm.
    fn path(&self, digest: &Digest) -> PathBuf {
        self.dir.join(format!("{}-{}", digest.algorithm().as_str(), digest.encoded()))
    }
}

fn read(path: &Path, digest: &Digest) -> Option<Entry> {
    let mut content = Vec::new();
    fs::File::open(path).ok()?.take(FILE_BYTES).read_to_end(&mut content).ok()?;
    let line = content.iter().take(256).position(|byte| *byte == b'\n')?;
    let media_type = std::str::from_utf8(&content[..line]).ok()?.to_owned();
    let bytes = Bytes::from(content).slice(line + 1..);
    let mut hasher = digest.hasher().ok()?;
    hasher.update(&bytes);
    (hasher.finish() == *digest).then_some(Entry { media_type, bytes })
}

/// Not synced: what a crash tears is found by its digest.
fn write(dir: &Path, path: &Path, content: &[u8]) -> std::io::Result<()> {
    let new = || tempfile::Builder::new().prefix(".new-").tempfile_in(dir);
    // The directory is there for all objects but the first.
    let mut file = new().or_else(|_| fs::create_dir_all(dir).and_then(|()| new()))?;
    file.write_all(content)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}
