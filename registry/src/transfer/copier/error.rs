//! Why an image was not copied.
//!
//! Owns: the errors and their classes. Never: advice.

use std::sync::Arc;

use crate::client::{ClientError, ErrorKind};
use crate::oci::{Digest, IndexEditError, Platform, Reference};
use crate::store::StoreError;
use crate::transfer::{GraphError, PublishError};

/// Why an image was not copied; its tag was not moved.
#[derive(Debug, thiserror::Error)]
pub enum CopierError {
    /// A manifest of the source cannot be read.
    #[error("cannot read {reference}")]
    Source {
        /// Which.
        reference: Reference,
        /// Cause.
        #[source]
        source: Arc<ClientError>,
    },
    /// A blob of the source cannot be read.
    #[error("cannot read blob {digest} of {repository}")]
    SourceBlob {
        /// Which.
        digest: Digest,
        /// `host/repository`.
        repository: String,
        /// Cause.
        #[source]
        source: Arc<ClientError>,
    },
    /// The image is not what its manifests say.
    #[error("cannot make out the image")]
    Graph(#[from] GraphError),
    /// A layout cannot be read or written.
    #[error("cannot use the layout")]
    Store(#[from] StoreError),
    /// A platform that was asked for is not in the image.
    #[error("the image has no {platform}")]
    Platform {
        /// The one.
        platform: Platform,
        /// Those it has.
        have: Vec<String>,
    },
    /// The index of fewer platforms cannot be written.
    #[error("cannot leave platforms out")]
    Edit(#[from] IndexEditError),
    /// The destination refused something.
    #[error(transparent)]
    Publish(Arc<PublishError>),
}

impl CopierError {
    /// Returns the client's error, if a registry or the way to it is the cause.
    pub fn client(&self) -> Option<&ClientError> {
        match self {
            Self::Source { source, .. } | Self::SourceBlob { source, .. } => Some(source),
            Self::Publish(error) => error.client(),
            _ => None,
        }
    }

    /// Returns the class of the failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Source { source, .. } | Self::SourceBlob { source, .. } => source.kind(),
            Self::Publish(error) => error.kind(),
            Self::Graph(_) => ErrorKind::Mismatch,
            Self::Platform { .. } | Self::Edit(_) | Self::Store(_) => ErrorKind::Local,
        }
    }
}
