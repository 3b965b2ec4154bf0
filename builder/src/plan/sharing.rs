//! Which steps several platforms have in common, and what a plan comes to.

use std::collections::HashMap;

use polyarch_registry::oci::Platform;
use serde::Serialize;

use super::mode::Mode;
use super::walk::Signature;

/// Steps of a whole plan. A step that several platforms share on a node counts once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Stages that are made.
    pub stages: usize,
    /// RUN steps that are run.
    pub run_steps: usize,
    /// Of these: by the CPU, for its own platform.
    pub native: usize,
    /// By the CPU, for another platform.
    pub cross: usize,
    /// By an emulator.
    pub emulated: usize,
    /// By nothing.
    pub impossible: usize,
    /// RUN steps saved because platforms share them.
    pub saved: usize,
}

impl Totals {
    /// Counts a RUN step.
    pub(super) fn count(&mut self, mode: Mode) {
        self.run_steps += 1;
        match mode {
            Mode::Native | Mode::Files => self.native += 1,
            Mode::Cross => self.cross += 1,
            Mode::Emulated => self.emulated += 1,
            Mode::Impossible => self.impossible += 1,
        }
    }
}

/// The platforms of a node that have a step.
#[derive(Debug, Default)]
pub(super) struct Sharing(HashMap<(usize, Signature), Vec<Platform>>);

impl Sharing {
    pub(super) fn add(&mut self, node: usize, signature: Signature, platform: &Platform) {
        let list = self.0.entry((node, signature)).or_default();
        // Within one platform an equal step counts once.
        if list.last() != Some(platform) {
            list.push(platform.clone());
        }
    }

    /// Returns the platforms that have a step, in the order of the plan.
    pub(super) fn platforms(&self, node: usize, signature: &Signature) -> &[Platform] {
        self.0.get(&(node, *signature)).map_or(&[], Vec::as_slice)
    }
}
