//! What became of the steps of one solve.
//!
//! Owns: the account and what is counted in it. Pure. Never: hears from a daemon; [`crate::buildkit`] fills it.

use indexmap::IndexMap;

use crate::event::VertexId;

/// What became of every vertex of a solve, in the order they were first seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps(pub IndexMap<VertexId, Step>);

/// One vertex.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// BuildKit's name; untrusted text.
    pub name: String,
    /// Taken from the daemon's cache.
    pub cached: bool,
    /// It began to run.
    pub started: bool,
    /// It completed, well or not.
    pub completed: bool,
    /// The daemon's error text, if it failed.
    pub error: Option<String>,
}

impl Step {
    /// Whether it stands for an instruction that can run or be cached, and not for a transfer, a base image, an
    /// export or a log-in. For counting only: BuildKit tells it by the name alone.
    pub fn is_instruction(&self) -> bool {
        match self.name.strip_prefix('[').and_then(|name| name.split_once("] ")) {
            Some(("internal" | "auth", _)) | None => false,
            Some((_, instruction)) => !instruction.starts_with("FROM "),
        }
    }
}

impl Steps {
    /// Instructions taken from the daemon's cache.
    pub fn cached(&self) -> usize {
        self.0.values().filter(|step| step.is_instruction() && step.cached).count()
    }

    /// Instructions the daemon ran to their end.
    pub fn executed(&self) -> usize {
        let ran = |step: &&Step| step.is_instruction() && step.completed && !step.cached && step.error.is_none();
        self.0.values().filter(ran).count()
    }
}
