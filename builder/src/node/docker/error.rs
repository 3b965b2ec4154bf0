//! Why a Docker API call failed.

use std::error::Error as StdError;
use std::io;

use bollard::errors::Error;
use polyarch_registry::verify::chain;

/// Why a Docker API call failed; `action` completes "could not …".
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// No connection, or it broke.
    #[error("could not {action}: no connection to the Docker daemon")]
    Unreachable {
        /// What was attempted.
        action: &'static str,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The daemon answered with an error status.
    #[error("could not {action}: the Docker daemon answered {status}: {message}")]
    Refused {
        /// What was attempted.
        action: &'static str,
        /// HTTP status.
        status: u16,
        /// The daemon's text; untrusted.
        message: String,
    },
    /// The daemon began and then reported an error in its answer.
    #[error("could not {action}: {message}")]
    Failed {
        /// What was attempted.
        action: &'static str,
        /// The daemon's text; untrusted.
        message: String,
    },
    /// No answer in time.
    #[error("could not {action}: no answer in time")]
    TimedOut {
        /// What was attempted.
        action: &'static str,
    },
    /// What was answered is not the Docker API.
    #[error("could not {action}: the answer is not the Docker API's")]
    Protocol {
        /// What was attempted.
        action: &'static str,
        /// Cause.
        #[source]
        source: Box<Error>,
    },
}

impl DockerError {
    pub(super) fn new(action: &'static str, error: Error) -> Self {
        match error {
            Error::DockerResponseServerError { status_code: status, message } => {
                Self::Refused { action, status, message }
            }
            Error::DockerStreamError { error: message } => Self::Failed { action, message },
            Error::RequestTimeoutError => Self::TimedOut { action },
            Error::IOError { err } if err.kind() == io::ErrorKind::TimedOut => Self::TimedOut { action },
            Error::IOError { err: source } => Self::Unreachable { action, source },
            Error::HyperResponseError { err } => match io_cause(&err) {
                Some(source) => Self::Unreachable { action, source },
                None if err.is_incomplete_message() || err.is_canceled() => {
                    Self::Unreachable { action, source: io::Error::new(io::ErrorKind::ConnectionAborted, err) }
                }
                None => Self::Protocol { action, source: Box::new(Error::HyperResponseError { err }) },
            },
            other => Self::Protocol { action, source: Box::new(other) },
        }
    }

    /// Whether the daemon says that it does not have what was named.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the daemon says that what was named is in use or in another state.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Refused { status, .. } => *status >= 500,
            Self::Failed { .. } | Self::Protocol { .. } => false,
        }
    }
}

/// Hyper wraps the stream's own error; its text (ssh's complaint, for one) is what helps.
fn io_cause(error: &hyper::Error) -> Option<io::Error> {
    let mut causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let io = causes.find_map(|cause| cause.downcast_ref::<io::Error>())?;
    Some(io::Error::new(io.kind(), chain(io)))
}
