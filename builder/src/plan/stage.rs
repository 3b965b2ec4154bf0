//! One stage in a plan.

use polyarch_registry::oci::Platform;
use serde::Serialize;

use super::mode::Mode;
use super::reason::{Change, Why};
use crate::dockerfile::Span;

/// One stage of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StagePlan {
    /// Name, or index as text.
    pub name: String,
    /// Position in the Dockerfile, from 0.
    pub index: usize,
    /// Where it begins.
    pub base: Base,
    /// Position of the stage it begins with, if it is one; names need not be unique.
    #[serde(skip)]
    pub base_index: Option<usize>,
    /// Platform of its files and commands.
    pub platform: Platform,
    /// How its RUN steps run.
    pub mode: Mode,
    /// A program of its platform was tried on the node, and the mode is what came of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tried: bool,
    /// Why it is emulated or impossible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
    /// What would make it native.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub change: Vec<Change>,
    /// The whole stage is the same for another platform of this plan on the same node, so it runs once.
    pub shared: bool,
    /// Those other platforms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shared_with: Vec<Platform>,
    /// What makes it different for every target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taint: Option<Taint>,
    /// Steps as BuildKit counts them: the base image, RUN, COPY, ADD and WORKDIR.
    pub steps: usize,
    /// RUN steps.
    pub run_steps: usize,
    /// RUN steps that another platform of this plan on the same node has too.
    pub shared_run_steps: usize,
    /// Stages it needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Its ARGs, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<ArgPlan>,
    /// Where FROM is.
    pub span: Span,
}

/// Where a stage begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
pub enum Base {
    /// Another stage.
    Stage(String),
    /// Nothing.
    Scratch,
    /// An image, variables expanded.
    Image(String),
    /// A named context.
    Context(String),
}

/// The use of an automatic argument about the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taint {
    /// The argument, such as `TARGETARCH`.
    pub argument: String,
    /// Line of the first instruction that used it.
    pub line: u32,
}

/// An ARG of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ArgPlan {
    /// Name.
    pub name: String,
    /// Value in effect; none if it stays unset.
    pub value: Option<String>,
    /// Line.
    pub line: u32,
}
