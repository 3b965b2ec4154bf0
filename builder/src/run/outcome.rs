//! How one platform ended.
//!
//! Owns: the result of a platform and its error. Never: decides what the run as a whole means.

use std::time::Duration;

use polyarch_registry::oci::Platform;
use polyarch_registry::store::StoreError;
use polyarch_registry::transfer::PullError;
use polyarch_registry::verify::chain;

use crate::buildkit::{ConnectError, SolveError};
use crate::classic::ClassicError;
use crate::image::BuiltImage;
use crate::steps::Steps;

/// What one platform's build gave.
#[derive(Debug, Clone)]
pub enum Built {
    /// An image.
    Image(Box<BuiltImage>),
    /// A result in the daemon's cache, from where its files are exported: no image was asked for.
    InCache(Steps),
}

impl Built {
    /// Returns the image, if there is one.
    pub fn image(&self) -> Option<&BuiltImage> {
        match self {
            Self::Image(image) => Some(image),
            Self::InCache(_) => None,
        }
    }

    /// Returns what the daemon did.
    pub fn steps(&self) -> &Steps {
        match self {
            Self::Image(image) => &image.steps,
            Self::InCache(steps) => steps,
        }
    }
}

impl From<BuiltImage> for Built {
    fn from(image: BuiltImage) -> Self {
        Self::Image(Box::new(image))
    }
}

/// How one platform ended, and where.
#[derive(Debug)]
pub struct PlatformOutcome {
    /// The platform.
    pub platform: Platform,
    /// The node it was built on.
    pub node: String,
    /// The builder as the user wrote it.
    pub builder: String,
    /// Wall time.
    pub elapsed: Duration,
    /// What it gave, or why there is nothing.
    pub result: Result<Built, PlatformError>,
}

/// Why a platform has no image.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// The daemon could not be reached or refused the session.
    #[error("reach BuildKit on {node}")]
    Connect {
        /// Node.
        node: String,
        /// Cause.
        #[source]
        source: Box<ConnectError>,
    },
    /// The solve failed.
    #[error("solve for {platform}")]
    Solve {
        /// Platform.
        platform: Platform,
        /// Cause.
        #[source]
        source: Box<SolveError>,
    },
    /// The classic image store's result could not be taken over.
    #[error("take the image for {platform} out of the daemon's image store")]
    Classic {
        /// Platform.
        platform: Platform,
        /// Cause.
        #[source]
        source: Box<ClassicError>,
    },
    /// What the daemon pushed could not be read back.
    #[error("read back the image for {platform} that the daemon pushed")]
    ReadBack {
        /// Platform.
        platform: Platform,
        /// Cause.
        #[source]
        source: Box<PullError>,
    },
    /// The session lacks something the request names: a bug.
    #[error("prepare the solve")]
    Attrs(#[from] crate::buildkit::attrs::AttrsError),
    /// The local store failed.
    #[error("use the local store")]
    Store(#[from] StoreError),
    /// What the daemon gave is not the image asked for. All problems are listed.
    #[error("result for {platform} failed verification: {}", .problems.join("; "))]
    Verification {
        /// Platform.
        platform: Platform,
        /// Each with blob, want and got.
        problems: Vec<String>,
    },
    /// Cancelled by the user or by `--fail-fast`.
    #[error("cancelled")]
    Cancelled,
    /// The executor's task panicked: a bug.
    #[error("the build of {platform} panicked")]
    Panicked {
        /// Platform.
        platform: Platform,
    },
}

impl PlatformError {
    /// Returns the local store's failure, if that is what it was.
    pub fn store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Solve { source, .. } => match &**source {
                SolveError::Store(error) => Some(error),
                _ => None,
            },
            Self::Classic { source, .. } => match &**source {
                ClassicError::Store(error) => Some(error),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the failure in one sentence, unescaped: the daemon's own words where it told something, else all causes.
    /// Events, errors and reports have these words.
    pub fn reason(&self) -> String {
        match self.solve().map(|solve| (solve, solve.failure())) {
            Some((_, Some(told))) => told.message.clone(),
            Some((solve, None)) => chain(solve),
            None => chain(self),
        }
    }

    /// Returns the solve's error, if the daemon's build is what failed.
    pub fn solve(&self) -> Option<&SolveError> {
        match self {
            Self::Solve { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buildkit::error::Failure;

    #[test]
    fn a_failure_is_told_in_the_daemon_s_words_or_with_all_causes() {
        let solve =
            |source| PlatformError::Solve { platform: "linux/arm64".parse().unwrap(), source: Box::new(source) };
        let failure = || Box::new(Failure { message: "process \"x\" did not complete".into(), ..Failure::default() });
        let failed = SolveError::StepFailed { code: 1, failure: failure() };
        assert_eq!(solve(failed).reason(), "process \"x\" did not complete");
        assert_eq!(solve(SolveError::Step(failure())).reason(), "process \"x\" did not complete");
        let lost = SolveError::ConnectionLost { message: "reset".into() };
        assert_eq!(solve(lost).reason(), "lost the connection to the daemon: reset");
        let source = Box::new(ConnectError::TimedOut(Duration::from_secs(5)));
        let connect = PlatformError::Connect { node: "n".into(), source };
        assert_eq!(connect.reason(), "reach BuildKit on n: no answer within 5 s");
    }
}
