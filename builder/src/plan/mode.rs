//! How a stage runs.

use std::fmt;

use polyarch_registry::oci::Platform;
use serde::Serialize;

use super::facts::NodeFacts;
use super::matching::runs_on;

/// How the commands of a stage run on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// No command runs: files are only copied, so any node can do it for any platform.
    Files,
    /// The node's CPU runs the target's own programs.
    Native,
    /// The node's CPU runs programs of another platform than the target, typically a cross compiler.
    Cross,
    /// An emulator runs the programs.
    Emulated,
    /// The node cannot run the programs.
    Impossible,
}

impl Mode {
    /// Judges a stage of platform `stage` that serves `target` on `node`.
    pub(super) fn of(stage: &Platform, target: &Platform, node: &NodeFacts, runs: usize) -> Self {
        if runs == 0 {
            Self::Files
        } else if node.native.iter().any(|native| runs_on(native, stage)) {
            if stage.same_as(target) { Self::Native } else { Self::Cross }
        } else if node.emulated.iter().any(|emulated| runs_on(emulated, stage)) {
            Self::Emulated
        } else {
            Self::Impossible
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Files => "files",
            Self::Native => "native",
            Self::Cross => "cross",
            Self::Emulated => "emulated",
            Self::Impossible => "impossible",
        })
    }
}
