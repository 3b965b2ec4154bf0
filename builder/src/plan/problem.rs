//! What is wrong with a plan, and what one needs to know to repair it.

use polyarch_registry::oci::{Platform, PlatformError, ReferenceError};
use serde::Serialize;

use crate::dockerfile::{ExpandError, MountError, ParseErrorKind, Span};

/// One problem, with its place in the Dockerfile if it has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct Problem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// Where.
    pub span: Option<Span>,
}

impl Problem {
    /// Returns whether another node could make it go away.
    pub fn is_about_nodes(&self) -> bool {
        matches!(self.kind, ProblemKind::NoNode | ProblemKind::CannotRun(_))
    }

    /// Returns whether it only says that the plan does not know: BuildKit may well build what is too large to be followed here.
    pub fn is_doubt(&self) -> bool {
        matches!(self.kind, ProblemKind::TooLarge | ProblemKind::Expand { source: ExpandError::TooLarge, .. })
    }

    /// Returns whether it is about what a registry told of an image.
    pub fn is_about_images(&self) -> bool {
        matches!(self.kind, ProblemKind::MissingImage { .. } | ProblemKind::LacksPlatform { .. })
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// There is no node to plan for.
    #[error("no node to build on")]
    NoNode,
    /// The stage asked for does not exist.
    #[error("target stage {name:?} does not exist")]
    UnknownTarget {
        /// The name asked for.
        name: String,
        /// Stages it resembles, best first.
        near: Vec<String>,
        /// All named stages.
        stages: Vec<String>,
    },
    /// A base name expands to nothing.
    #[error("base name {0:?} is blank after expansion")]
    BlankBase(String),
    /// The name of an image is none.
    #[error("{name:?} is neither a stage nor the name of an image")]
    BadImage {
        /// The name after expansion.
        name: String,
        /// A stage of this name in other letters.
        stage: Option<String>,
        /// Why not.
        #[source]
        source: ReferenceError,
    },
    /// A `--platform` expands to nothing.
    #[error("platform {0:?} is empty after expansion")]
    EmptyPlatform(String),
    /// A `--platform` is not a platform.
    #[error("{text:?} is not a platform")]
    BadPlatform {
        /// The text after expansion.
        text: String,
        /// Why not.
        #[source]
        source: PlatformError,
    },
    /// A word cannot be expanded.
    #[error("cannot expand {word:?}")]
    Expand {
        /// The word as written.
        word: String,
        /// Why not.
        #[source]
        source: ExpandError,
    },
    /// COPY names a stage by an index that does not exist.
    #[error("stage index {0} does not exist")]
    BadIndex(i64),
    /// A stage is used before it is defined.
    #[error("stage {used:?} is used in stage {by:?} before it is defined")]
    UsedBeforeDefined {
        /// The stage that is used.
        used: String,
        /// The stage that uses it.
        by: String,
    },
    /// Stages depend on each other in a circle; the first is named again at the end.
    #[error("circular dependency: {}", .0.join(" → "))]
    Circular(Vec<String>),
    /// A mount of RUN cannot be used.
    #[error("the mount {mount:?} cannot be used")]
    BadMount {
        /// The mount as written.
        mount: String,
        /// Why not.
        #[source]
        source: MountError,
    },
    /// A port or a signal is none.
    #[error("{keyword} cannot take {value:?}")]
    BadValue {
        /// The instruction.
        keyword: &'static str,
        /// The value after expansion.
        value: String,
    },
    /// A flag of COPY or ADD cannot have its value.
    #[error("{keyword} --{flag} cannot be {value:?}: {why}")]
    BadCopyFlag {
        /// The instruction.
        keyword: &'static str,
        /// The flag.
        flag: &'static str,
        /// The value after expansion.
        value: String,
        /// Why not.
        why: &'static str,
    },
    /// An ONBUILD trigger of a base image cannot be used.
    #[error("an ONBUILD trigger of {base:?} cannot be used")]
    BadTrigger {
        /// The base as written.
        base: String,
        /// Why not.
        #[source]
        source: Box<ParseErrorKind>,
    },
    /// The registry does not have an image.
    #[error("image {name} does not exist")]
    MissingImage {
        /// The name after expansion.
        name: String,
        /// Tags that resemble the one asked for, best first.
        near: Vec<String>,
    },
    /// An image is not there for every platform that needs it.
    #[error("image {name} is not there for {}", list(.lacks))]
    LacksPlatform {
        /// The name after expansion.
        name: String,
        /// The platforms it lacks.
        lacks: Vec<Platform>,
        /// The platforms it has.
        has: Vec<Platform>,
    },
    /// There are too many steps, or the variables grow without bound: what comes after is not known.
    #[error("the stages expand to more than can be planned")]
    TooLarge,
    /// The chosen node, the best there is, cannot run a stage.
    #[error("{0}")]
    CannotRun(Box<CannotRun>),
}

fn list(platforms: &[Platform]) -> String {
    platforms.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A stage that no node can run, told for the best node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stage {stage:?} needs {needs}, which node {node:?} cannot run")]
pub struct CannotRun {
    /// The stage.
    pub stage: String,
    /// Platform of its commands.
    pub needs: Platform,
    /// Platform being built.
    pub platform: Platform,
    /// The node.
    pub node: String,
    /// Platforms the node runs, natively or emulated.
    pub offers: Vec<Platform>,
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut out = serializer.serialize_struct("Problem", 2)?;
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(&self.kind);
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        out.serialize_field("message", &message)?;
        out.serialize_field("span", &self.span)?;
        out.end()
    }
}
