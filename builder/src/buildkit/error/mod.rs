//! Why a solve failed, told apart by BuildKit's error details.
//!
//! Owns: the classification. Never: decides by the text of a message, with two exceptions. A damaged cache has no details
//! anywhere. And BuildKit 0.8 sends nothing but text: its failures are [`SolveError::Daemon`], or where the status stream
//! names the vertex [`SolveError::Step`], or [`SolveError::StepFailed`] where that vertex's error ends in an exit code.

mod details;

use std::sync::Arc;

use polyarch_registry::store::StoreError;

use crate::event::VertexId;
use crate::steps::{Step, Steps};

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
    /// A step could not be carried out: a file to copy or a secret is missing, a layer cannot be pulled.
    #[error("{}", .0.message)]
    Step(Box<Failure>),
    /// The frontend refused the Dockerfile, or what it names: a syntax error, an unknown target, a base image that
    /// cannot be resolved.
    #[error("{}", .0.message)]
    Definition(Box<Failure>),
    /// The daemon does not know a method, or its frontend a question.
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

/// Parts of BuildKit's message about a record without its snapshot (`cache/refs.go`, `finalize`).
const LOST_SNAPSHOT: [&str; 3] = ["failed to commit ", " during finalize: ", " does not exist"];

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

    /// Whether the daemon's cache lists a result whose snapshot is gone. BuildKit leaves such a record where a build was
    /// killed while it handed a snapshot over (seen in Docker 28.5, about once in fifty kills). The record stays: it
    /// cannot be pruned while other records build on it, and every build that meets it fails until it is not used.
    pub fn is_damaged_cache(&self) -> bool {
        let lost = |failure: &Failure| LOST_SNAPSHOT.iter().all(|part| failure.message.contains(part));
        self.failure().is_some_and(lost)
    }

    /// Whether the way the result was to take may be what failed: not a process, the Dockerfile, the connection or our
    /// store, and nothing that has a place in the Dockerfile.
    pub fn may_be_the_export(&self) -> bool {
        match self {
            Self::Unsupported(_) => true,
            Self::Step(failure) | Self::Daemon(failure) => failure.sources.is_empty(),
            _ => false,
        }
    }

    /// What the daemon told, if it told anything structured.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::StepFailed { failure, .. }
            | Self::Step(failure)
            | Self::Definition(failure)
            | Self::Unsupported(failure)
            | Self::Daemon(failure) => Some(failure),
            Self::ConnectionLost { .. } | Self::Store(_) | Self::Cancelled | Self::BadAnswer { .. } => None,
        }
    }

    /// Adds the failed vertex from the status stream where the daemon sent no details.
    pub(super) fn locate(self, steps: &Steps) -> Self {
        let Self::Daemon(mut failure) = self else { return self };
        let failed = |step: &Step| step.error.as_ref().is_some_and(|error| failure.message.contains(error.as_str()));
        // Which vertex, not which kind of failure: other vertices fail with it because they are cancelled.
        let Some((vertex, step)) = steps.0.iter().find(|(_, step)| failed(step)) else { return Self::Daemon(failure) };
        failure.vertex = Some(vertex.clone());
        match step.error.as_deref().and_then(exit_code) {
            Some(code) => Self::StepFailed { code, failure },
            None => Self::Step(failure),
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

/// Reads `executor failed running […]: exit code: 7` (BuildKit 0.8, `executor/runcexecutor`).
fn exit_code(error: &str) -> Option<u32> {
    error.trim_end().rsplit_once("]: exit code: ")?.1.parse().ok().filter(|code| *code != 0)
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;

    fn located(message: &str, error: &str) -> SolveError {
        let failure = Failure { message: message.into(), ..Failure::default() };
        let failed = Step { error: Some(error.to_owned()), ..Step::default() };
        let steps = IndexMap::from([(VertexId("a".into()), Step::default()), (VertexId("b".into()), failed)]);
        SolveError::Daemon(Box::new(failure)).locate(&Steps(steps))
    }

    #[test]
    fn a_failed_process_without_details_has_its_code_at_the_end_of_its_text() {
        let text = "executor failed running [/bin/sh -c echo; exit 7]: exit code: 7";
        let error = located(&format!("failed to solve with frontend dockerfile.v0: {text}"), text);
        let SolveError::StepFailed { code: 7, failure } = error else { panic!("{error:?}") };
        assert_eq!(failure.vertex, Some(VertexId("b".into())));
        for other in ["failed to compute cache key: exit code: 7", "x]: exit code: 7 or so", "x]: exit code: 0"] {
            assert!(matches!(located(other, other), SolveError::Step(_)), "{other}");
        }
        assert!(matches!(located("something else", text), SolveError::Daemon(_)));
    }

    fn step(message: &str) -> SolveError {
        SolveError::Step(Box::new(Failure { message: message.into(), ..Failure::default() }))
    }

    #[test]
    fn a_lost_snapshot_is_a_damaged_cache() {
        let seen = "failed to commit 6205zt to 5ncpfe during finalize: failed to stat active key during commit: \
                    snapshot 6205zt does not exist: not found";
        assert!(step(seen).is_damaged_cache());
        assert!(!step("failed to compute cache key: \"/noise\" does not exist: not found").is_damaged_cache());
        assert!(!step("failed to commit 6205zt to 5ncpfe during finalize: no space left on device").is_damaged_cache());
        assert!(!SolveError::Cancelled.is_damaged_cache());
    }
}
