//! Where everything lives inside a layout directory (image-spec, image-layout.md).

use std::path::{Path, PathBuf};

use crate::oci::Digest;

/// Locked by those who work in a store; its presence says that a directory is one.
pub(super) const STORE_LOCK: &str = "polyarch.lock";

/// What is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locks {
    /// Files of their own: a store.
    Files,
    /// The directories that are there anyway: a layout for others, with nothing of ours in it.
    Directories,
}

/// The paths of one layout.
#[derive(Debug)]
pub(super) struct Paths {
    root: PathBuf,
    locks: Locks,
}

impl Paths {
    pub(super) fn new(root: PathBuf, locks: Locks) -> Self {
        Self { root, locks }
    }

    pub(super) fn locks(&self) -> Locks {
        self.locks
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The `oci-layout` marker file.
    pub(super) fn marker(&self) -> PathBuf {
        self.root.join("oci-layout")
    }

    /// The root index.
    pub(super) fn index(&self) -> PathBuf {
        self.root.join("index.json")
    }

    /// The same lock file that BuildKit's client takes (`client/ociindex`), so both can share a layout.
    pub(super) fn index_lock(&self) -> PathBuf {
        let file = self.root.join("index.json.lock");
        match self.locks {
            Locks::Directories if !file.exists() => self.root.clone(),
            Locks::Files | Locks::Directories => file,
        }
    }

    /// Locked shared by those who add blobs, exclusively by gc.
    pub(super) fn lease(&self) -> PathBuf {
        match self.locks {
            Locks::Files => self.root.join(STORE_LOCK),
            Locks::Directories => self.blobs(),
        }
    }

    /// Temporary files, on the same file system as the blobs so that a rename moves them.
    pub(super) fn ingest(&self) -> PathBuf {
        self.root.join("ingest")
    }

    pub(super) fn blobs(&self) -> PathBuf {
        self.root.join("blobs")
    }

    /// The side tables of `cache.rs` and `verified.rs`.
    pub(super) fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    /// Safe for any [`Digest`]: its grammar has neither `/` nor an empty or dot-only algorithm.
    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().as_str()).join(digest.encoded())
    }
}
