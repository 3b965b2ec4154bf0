//! Why no daemon answered, with what was looked at.

use std::io;

use crate::node::context::ContextError;
use crate::node::dialers::TlsError;
use crate::node::dind::DindError;
use crate::node::docker::DockerError;
use crate::node::endpoint::EndpointError;

/// Why no daemon answered.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The address is none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The Docker context cannot be used.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The certificates cannot be used.
    #[error("could not prepare TLS for {builder}")]
    Tls {
        /// The builder.
        builder: String,
        /// Cause.
        #[source]
        source: TlsError,
    },
    /// No usual place has a Docker daemon.
    #[error("no Docker daemon found; looked at {}", list(.0))]
    NotFound(Vec<Tried>),
    /// The daemon does not answer.
    #[error("builder {builder} does not answer")]
    Docker {
        /// The builder.
        builder: String,
        /// Cause.
        #[source]
        source: DockerError,
    },
    /// Podman has no BuildKit.
    #[error("builder {builder} is Podman {version}: there is no BuildKit behind its Docker API")]
    Podman {
        /// The builder.
        builder: String,
        /// Podman's version.
        version: String,
    },
    /// The Docker-in-Docker container could not be brought up.
    #[error("could not start Docker-in-Docker")]
    Dind(#[source] Box<DindError>),
}

impl ReachError {
    /// What a user can do about it, where one thing helps most.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::NotFound(tried) if tried.iter().any(|t| t.kind == io::ErrorKind::PermissionDenied) => {
                Some("a socket is there but may not be used: join its group (usually `docker`) or run as root")
            }
            Self::NotFound(_) => Some("start Docker, or name a builder with --builder or DOCKER_HOST"),
            Self::Podman { .. } => {
                Some("use a Docker daemon, or a buildkitd through --builder docker-container://NAME")
            }
            Self::Context(ContextError::Missing { .. }) => Some("`docker context ls` lists the contexts there are"),
            _ => None,
        }
    }

    /// Whether the same attempt may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Docker { source, .. } if source.is_retryable())
    }
}

/// One place and what was found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The place, as an address.
    pub place: String,
    /// What was found, such as `no such socket`.
    pub found: String,
    /// The kind of the failure.
    pub kind: io::ErrorKind,
}

fn list(tried: &[Tried]) -> String {
    let rows: Vec<String> = tried.iter().map(|t| format!("{} ({})", t.place, t.found)).collect();
    if rows.is_empty() { "no place: neither HOME nor XDG_RUNTIME_DIR is set".to_owned() } else { rows.join(", ") }
}
