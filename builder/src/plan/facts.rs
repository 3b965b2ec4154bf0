//! What a plan is made from, besides the Dockerfile.

use std::collections::{BTreeMap, BTreeSet};

use polyarch_registry::oci::Platform;

/// A node, as it was probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFacts {
    /// Its name.
    pub name: String,
    /// Platforms its CPU runs.
    pub native: Vec<Platform>,
    /// Platforms it runs through an emulator.
    pub emulated: Vec<Platform>,
    /// Its `BUILDPLATFORM`.
    pub build_platform: Platform,
}

/// What to plan.
#[derive(Debug, Clone, Default)]
pub struct PlanInput {
    /// Platforms in the order asked for.
    pub platforms: Vec<Platform>,
    /// Stage to build; the last one if `None`.
    pub target: Option<String>,
    /// Build arguments by name.
    pub build_args: BTreeMap<String, String>,
    /// Names of named contexts, as given: they replace stages and images of that name.
    pub named_contexts: BTreeSet<String>,
    /// Nodes in the order of preference.
    pub nodes: Vec<NodeFacts>,
}
