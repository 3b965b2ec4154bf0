//! A node ready to build on: a daemon that answered, and what is known about it.

use super::dial::Transport;
use super::dind::Dind;
use super::docker::DockerApi;
use super::facts::{NodeFacts, Told, facts_from};
use super::reach::{Reach, ReachError, Reached};
use crate::buildkit::{ConnectError, Greeting, Worker};

/// A machine we can build on.
#[derive(Debug)]
pub struct Node {
    /// Short name for tables and messages.
    pub name: String,
    /// The builder as the user wrote it.
    pub builder: String,
    /// The way to BuildKit.
    pub transport: Transport,
    /// The connection to BuildKit.
    pub worker: Worker,
    /// The Docker API in front of BuildKit; a standalone buildkitd has none.
    pub docker: Option<DockerApi>,
    /// What is known about it.
    pub facts: NodeFacts,
    /// The container it lives in, if that is ours: shut it down at the end.
    pub dind: Option<Dind>,
}

/// Why a builder is not a node.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No daemon answered.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The daemon answered, its BuildKit did not.
    #[error("builder {builder} answers, but its BuildKit does not")]
    BuildKit {
        /// The builder.
        builder: String,
        /// Cause.
        #[source]
        source: ConnectError,
    },
}

impl ProbeError {
    /// Whether the same attempt may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Reach(error) => error.is_retryable(),
            Self::BuildKit { source, .. } => source.is_retryable(),
        }
    }
}

impl Reach<'_> {
    /// Reaches a builder and asks its BuildKit for version and platforms.
    ///
    /// # Errors
    /// [`ProbeError`]; a Docker-in-Docker container started on the way is removed.
    pub async fn node(&self, builder: &str) -> Result<Node, ProbeError> {
        let mut reached = self.builder(builder).await?;
        let greeted = match reached.docker.as_mut().and_then(|docker| docker.greeted.take()) {
            Some(greeted) => greeted,
            None => Worker::greet(reached.transport.clone(), self.limits).await,
        };
        match greeted {
            Ok(greeting) => Ok(node(reached, greeting)),
            Err(source) => {
                if let Some(dind) = reached.dind {
                    // A failure leaves the guard's own attempt and the next run's sweep.
                    drop(dind.shutdown().await);
                }
                Err(ProbeError::BuildKit { builder: builder.to_owned(), source })
            }
        }
    }
}

fn node(reached: Reached, greeting: Greeting) -> Node {
    let Greeting { worker, version, platforms } = greeting;
    let docker = reached.docker.as_ref().map(|docker| (&docker.version, &docker.info));
    let facts = facts_from(&Told { docker, buildkit: version.as_deref(), platforms: &platforms });
    let Reached { name, builder, transport, docker, dind } = reached;
    Node { name, builder, transport, worker, docker: docker.map(|docker| docker.api), facts, dind }
}
