//! Why a transfer failed.
//!
//! Owns: the errors and their classes. Never: advice.

use crate::client::{ClientError, ErrorKind};
use crate::oci::{Digest, Reference};
use crate::store::StoreError;

use super::graph::GraphError;

/// Why a destination was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The image itself is incomplete or not an image.
    #[error("cannot read the image to publish")]
    Graph(#[source] GraphError),
    /// The registry does not answer, or does not let us in.
    #[error("cannot push to {repository}")]
    Enter {
        /// `host/repository`.
        repository: String,
        /// Cause.
        #[source]
        source: ClientError,
    },
    /// A blob could not be brought to the registry.
    #[error("cannot push blob {digest} to {repository}")]
    Blob {
        /// `host/repository`.
        repository: String,
        /// Which.
        digest: Digest,
        /// Cause.
        #[source]
        source: ClientError,
    },
    /// The registry has a blob of this digest with another size.
    #[error("{repository} has blob {digest} with {got} bytes, expected {want}")]
    BlobSize {
        /// `host/repository`.
        repository: String,
        /// Which.
        digest: Digest,
        /// Size in the descriptor.
        want: u64,
        /// Size the registry tells.
        got: u64,
    },
    /// A mounted blob is not there.
    #[error("{repository} does not have blob {digest} after mounting it")]
    NotMounted {
        /// `host/repository`.
        repository: String,
        /// Which.
        digest: Digest,
    },
    /// A manifest could not be written.
    #[error("cannot push manifest {digest} to {repository}")]
    Manifest {
        /// `host/repository`.
        repository: String,
        /// Which.
        digest: Digest,
        /// Cause.
        #[source]
        source: ClientError,
    },
    /// A manifest could not be read back.
    #[error("cannot read back manifest {digest} from {repository}")]
    ReadBack {
        /// `host/repository`.
        repository: String,
        /// Which.
        digest: Digest,
        /// Cause.
        #[source]
        source: ClientError,
    },
    /// A manifest came back with another media type.
    #[error("{repository} serves manifest {digest} as {got:?}, pushed as {want:?}")]
    Altered {
        /// `host/repository`.
        repository: String,
        /// Which.
        digest: Digest,
        /// Media type that was pushed.
        want: String,
        /// Media type that came back.
        got: String,
    },
    /// The tag could not be moved.
    #[error("cannot move tag {reference}")]
    Tag {
        /// The tag.
        reference: Reference,
        /// Cause.
        #[source]
        source: ClientError,
    },
    /// The tag points at something else after it was moved: someone else moved it, or the registry did not.
    #[error("tag {reference} points at {got} after it was moved to {want}")]
    TagElsewhere {
        /// The tag.
        reference: Reference,
        /// The image.
        want: Digest,
        /// What the tag points at.
        got: Digest,
    },
    /// The work on this registry ended without a result: its task panicked.
    #[error("the transfer to {repository} broke off")]
    Broken {
        /// `host/repository`.
        repository: String,
    },
}

impl PublishError {
    /// Returns the client's error, if the registry or the way to it is the cause.
    pub fn client(&self) -> Option<&ClientError> {
        match self {
            Self::Enter { source, .. }
            | Self::Blob { source, .. }
            | Self::Manifest { source, .. }
            | Self::ReadBack { source, .. }
            | Self::Tag { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Returns the class of the failure.
    pub fn kind(&self) -> ErrorKind {
        match (self.client(), self) {
            (Some(error), _) => error.kind(),
            (None, Self::Graph(_) | Self::Broken { .. }) => ErrorKind::Local,
            (None, _) => ErrorKind::Mismatch,
        }
    }

    /// Returns whether publishing again may succeed.
    pub fn is_retryable(&self) -> bool {
        self.client().is_some_and(ClientError::is_retryable)
    }
}

/// Why an image was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// A manifest could not be read.
    #[error("cannot read manifest {reference}")]
    Manifest {
        /// Which.
        reference: Reference,
        /// Cause.
        #[source]
        source: ClientError,
    },
    /// A blob could not be read.
    #[error("cannot read blob {digest} from {repository}")]
    Blob {
        /// `host/repository`.
        repository: String,
        /// Which.
        digest: Digest,
        /// Cause.
        #[source]
        source: ClientError,
    },
    /// The image is not what its manifests say.
    #[error("cannot make out the image")]
    Graph(#[source] GraphError),
    /// The store refused, or found that the bytes are not what was asked for.
    #[error("cannot store {digest}")]
    Store {
        /// Which.
        digest: Digest,
        /// Cause.
        #[source]
        source: StoreError,
    },
}

impl PullError {
    /// Returns the class of the failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Manifest { source, .. } | Self::Blob { source, .. } => source.kind(),
            Self::Graph(_) => ErrorKind::Mismatch,
            Self::Store { source, .. } => match source {
                StoreError::DigestMismatch { .. } | StoreError::TooShort { .. } | StoreError::TooLong { .. } => {
                    ErrorKind::Mismatch
                }
                _ => ErrorKind::Local,
            },
        }
    }

    /// Returns whether fetching again may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Manifest { source, .. } | Self::Blob { source, .. } if source.is_retryable())
    }
}
