//! How a stage runs.

use std::fmt;

use polyarch_registry::oci::Platform;
use serde::Serialize;

use super::facts::NodeFacts;

/// How the commands of a stage run on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// No command runs: files are only copied, so any node can do it for any platform.
    Files,
    /// The node's CPU runs the commands.
    Native,
    /// The node's CPU runs the commands, and they produce for another platform: they use arguments about the target.
    Cross,
    /// An emulator runs the commands.
    Emulated,
    /// The node cannot run the commands.
    Impossible,
}

impl Mode {
    /// Judges a stage of platform `stage` that serves `target` on `node`; `tainted` if it uses arguments about the target.
    pub(super) fn of(stage: &Platform, target: &Platform, node: &NodeFacts, runs: usize, tainted: bool) -> Self {
        if runs == 0 {
            Self::Files
        } else if node.native.iter().any(|native| native.runs(stage)) {
            if tainted && !stage.same_as(target) { Self::Cross } else { Self::Native }
        } else if node.emulated.iter().any(|emulated| emulated.runs(stage)) {
            Self::Emulated
        } else {
            Self::Impossible
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Files => "files",
            Self::Native => "native",
            Self::Cross => "cross",
            Self::Emulated => "emulated",
            Self::Impossible => "impossible",
        })
    }
}
