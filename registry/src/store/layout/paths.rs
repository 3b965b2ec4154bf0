//! Where everything lives inside a layout directory (image-spec, image-layout.md).

use std::path::{Path, PathBuf};

use crate::oci::Digest;

/// The paths of one layout.
#[derive(Debug)]
pub(super) struct Paths {
    root: PathBuf,
}

impl Paths {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
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
        self.root.join("index.json.lock")
    }

    /// Locked shared by those who add blobs, exclusively by gc.
    pub(super) fn lease(&self) -> PathBuf {
        self.root.join("polyarch.lock")
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
