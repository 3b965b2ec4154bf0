//! Why an image could not be taken out of, or brought into, a Docker daemon.

use polyarch_registry::oci::{ConfigError, Digest};
use polyarch_registry::store::StoreError;
use polyarch_registry::transfer::{ArchiveError, GraphError};

use super::tar_stream::TarError;
use crate::node::docker::DockerError;

/// Why an image could not be taken out of, or brought into, a Docker daemon.
#[derive(Debug, thiserror::Error)]
pub enum ClassicError {
    /// The daemon failed.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stream is not the tar it should be, or it broke.
    #[error("the daemon's image is not a usable tar")]
    Tar(#[from] TarError),
    /// A worker that compresses failed.
    #[error("could not compress a layer")]
    Compress(#[source] std::io::Error),
    /// A file the image needs is not in the tar.
    #[error("the daemon's image has no file {path:?}")]
    FileMissing {
        /// Its path.
        path: String,
    },
    /// A file is not the JSON it should be.
    #[error("{path:?} in the daemon's image is not valid")]
    Json {
        /// Its path.
        path: String,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// The configuration is none.
    #[error("the configuration of the daemon's image is not valid")]
    Config(#[from] ConfigError),
    /// The tar holds none or several images where one was asked for.
    #[error("the daemon sent {0} images instead of one")]
    NotOneImage(usize),
    /// The documents of the tar exceed their budget.
    #[error("the daemon's image has more than {limit} bytes of metadata")]
    TooMuchMetadata {
        /// The budget in bytes.
        limit: u64,
    },
    /// The tar has more entries than any image.
    #[error("the daemon's image has more than {limit} files")]
    TooManyEntries {
        /// The most accepted.
        limit: usize,
    },
    /// Another image than the one built.
    #[error("the daemon sent the image with configuration {got}, expected {want}")]
    ConfigMismatch {
        /// What was built.
        want: Digest,
        /// What was sent.
        got: Digest,
    },
    /// Layers and configuration do not belong together.
    #[error("layer {index} of the daemon's image is {got}, but its configuration says {want}")]
    LayerMismatch {
        /// Position, counted from 0.
        index: usize,
        /// `rootfs.diff_ids` of the configuration, or `no layer`.
        want: String,
        /// What the bytes hash to, or `missing`.
        got: String,
    },
    /// A layer was taken for a known one by its size, and is another: its bytes are gone by.
    #[error("a layer of {size} bytes is not the known one of this size")]
    NotTheKnownLayer {
        /// Its size in bytes.
        size: u64,
    },
    /// The image to load is incomplete or not an image.
    #[error("cannot read the image to load")]
    Graph(#[from] GraphError),
    /// The image to load cannot be written as a tar.
    #[error("cannot write the image to load")]
    Archive(#[from] ArchiveError),
    /// What is stored cannot be loaded into this daemon.
    #[error("{what} cannot be loaded: {why}")]
    NotLoadable {
        /// A platform or a blob.
        what: String,
        /// Why.
        why: String,
    },
}

impl ClassicError {
    /// Whether the same attempt may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Docker(error) => error.is_retryable(),
            Self::Tar(error) => error.is_broken_stream(),
            _ => false,
        }
    }
}
