//! From BuildKit's status stream to events.
//!
//! Owns: what was already told about each vertex of one solve. Pure: no clock, no channel.

use indexmap::IndexMap;

use crate::event::VertexId;

/// What became of every vertex of a solve, in the order they were first seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps(pub IndexMap<VertexId, Step>);

/// One vertex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// BuildKit's name; untrusted text.
    pub name: String,
    /// Taken from the daemon's cache.
    pub cached: bool,
    /// It completed without error.
    pub done: bool,
}

impl Steps {
    /// Steps taken from the daemon's cache.
    pub fn cached(&self) -> usize {
        self.0.values().filter(|step| step.cached).count()
    }

    /// Steps the daemon ran to their end.
    pub fn executed(&self) -> usize {
        self.0.values().filter(|step| step.done && !step.cached).count()
    }
}
