//! How a stage runs.

use std::fmt;

use polyarch_registry::oci::Platform;
use serde::Serialize;

use super::facts::NodeFacts;
use super::trial::TrialOutcome;

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
            return Self::Files;
        }
        let trial = node.trial(stage);
        if trial == Some(TrialOutcome::Native) || node.native.iter().any(|native| executes(native, stage)) {
            return if tainted && !stage.same_as(target) { Self::Cross } else { Self::Native };
        }
        match trial {
            Some(TrialOutcome::Fails) => Self::Impossible,
            Some(_) => Self::Emulated,
            None if node.emulated.iter().any(|emulated| executes(emulated, stage)) => Self::Emulated,
            None => Self::Impossible,
        }
    }
}

/// Whether what executes programs of `listed` executes those of `stage`. For images an arm64 machine takes 32-bit Arm
/// (`containerd/platforms`), but many arm64 CPUs have no 32-bit mode, and QEMU's emulator of arm64 has none: BuildKit lists
/// 32-bit Arm where it found it to run.
fn executes(listed: &Platform, stage: &Platform) -> bool {
    let is_other_mode = listed.architecture == "arm64" && stage.architecture == "arm";
    listed.runs(stage) && !is_other_mode
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
