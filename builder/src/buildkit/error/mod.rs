//! Why a solve failed, told apart by BuildKit's error details.
//!
//! Owns: the classification. Never: decides by the text of a message; BuildKit 0.8 sends nothing but
//! text, and its failures are therefore [`SolveError::Daemon`].

mod details;

use std::sync::Arc;

use polyarch_registry::store::StoreError;

use crate::event::VertexId;

pub use details::{SourceExcerpt, SourceRange};

/// Why a solve failed.
#[derive(Debug, thiserror::Error)]
pub enum SolveError {
    /// A process of the build ended with a code other than 0.
    #[error("a step ended with exit code {code}: {}", .failure.message)]
    StepFailed {
        /// Its exit code.
        code: u32,
        /// Where.
        failure: Box<Failure>,
    },
    /// The Dockerfile, or what it names, is at fault.
    #[error("{}", .0.message)]
    Definition(Box<Failure>),
    /// The daemon does not know an exporter, a frontend or a method.
    #[error("the daemon cannot do this: {}", .0.message)]
    Unsupported(Box<Failure>),
    /// Any other error of the daemon.
    #[error("{}", .0.message)]
    Daemon(Box<Failure>),
    /// The connection to the daemon, or the session on it, ended during the solve.
    #[error("lost the connection to the daemon: {message}")]
    ConnectionLost {
        /// What was seen last.
        message: String,
    },
    /// The store could not take what the daemon sent.
    #[error("the result could not be stored")]
    Store(#[source] Arc<StoreError>),
    /// The daemon cancelled the solve.
    #[error("the daemon cancelled the build")]
    Cancelled,
    /// The daemon's answer lacks or garbles what it must contain.
    #[error("the daemon's answer has no usable {key}")]
    BadAnswer {
        /// Key of the exporter response.
        key: &'static str,
    },
}

/// What the daemon told about a failure. All text is untrusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// The daemon's message.
    pub message: String,
    /// The vertex that failed.
    pub vertex: Option<VertexId>,
    /// The places in the Dockerfile it came from, outermost first.
    pub sources: Vec<SourceExcerpt>,
}

impl SolveError {
    /// Whether the same solve may succeed when repeated.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::ConnectionLost { .. })
    }

    /// What the daemon told, if it told anything structured.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::StepFailed { failure, .. }
            | Self::Definition(failure)
            | Self::Unsupported(failure)
            | Self::Daemon(failure) => Some(failure),
            Self::ConnectionLost { .. } | Self::Store(_) | Self::Cancelled | Self::BadAnswer { .. } => None,
        }
    }

    pub(super) fn session_ended() -> Self {
        Self::ConnectionLost { message: "the session ended".into() }
    }

    /// Classifies the status of a failed solve.
    pub(super) fn from_status(status: &tonic::Status) -> Self {
        details::classify(status)
    }
}
