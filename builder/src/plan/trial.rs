//! What was tried on a node: whether it runs a program of some platform, where its list alone cannot tell.

use polyarch_registry::oci::Platform;
use serde::Serialize;

use super::facts::{NodeFacts, PlanInput};
use super::mode::Mode;
use super::planner::{Plan, plan};
use super::stage::StagePlan;
use crate::dockerfile::Dockerfile;

/// One platform that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trial {
    /// The platform.
    pub platform: Platform,
    /// How it ended.
    pub outcome: TrialOutcome,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialOutcome {
    /// The CPU ran it.
    Native,
    /// An emulator ran it.
    Emulated,
    /// Nothing ran it.
    Fails,
}

impl NodeFacts {
    /// Returns how a program of this platform ended, if it was tried.
    pub fn trial(&self, platform: &Platform) -> Option<TrialOutcome> {
        self.tried.iter().find(|trial| trial.platform.same_as(platform)).map(|trial| trial.outcome)
    }

    fn lists(&self, platform: &Platform) -> bool {
        self.native.iter().chain(&self.emulated).any(|listed| listed.same_as(platform))
    }
}

/// Returns the foreign platforms of which commands would run on a node, and that were not tried; with `all` also those that
/// the node lists.
pub fn doubtful(file: &Dockerfile, input: &PlanInput, node: &NodeFacts, all: bool) -> Vec<Platform> {
    let made = plan(file, &PlanInput { nodes: vec![node.clone()], ..input.clone() });
    let stages = made.platforms.iter().flat_map(|one| &one.stages).filter(|stage| is_open(stage, node, all));
    let mut found: Vec<Platform> = Vec::new();
    for stage in stages {
        if !found.iter().any(|known| known.same_as(&stage.platform)) {
            found.push(stage.platform.clone());
        }
    }
    found
}

/// Returns whether a plan hangs on what the list of a node leaves open: a platform that is not in it may be run by an emulator
/// of BuildKit's own, and a relative of one that is (32-bit Arm where there is an emulator for arm64) may not run.
pub fn is_doubtful(made: &Plan, nodes: &[NodeFacts]) -> bool {
    made.platforms.iter().any(|one| {
        let node = nodes.iter().find(|node| node.name == one.node);
        node.is_some_and(|node| one.stages.iter().any(|stage| is_open(stage, node, false)))
    })
}

fn is_open(stage: &StagePlan, node: &NodeFacts, all: bool) -> bool {
    let cannot = matches!(stage.mode, Mode::Emulated | Mode::Impossible);
    // A small program runs on any level of its architecture, so it says nothing of another level of the node's own.
    let is_own = node.native.iter().any(|native| native.architecture == stage.platform.architecture);
    let is_foreign = cannot && !is_own && stage.platform.os == "linux";
    is_foreign && !stage.tried && (all || !node.lists(&stage.platform))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::parse;

    fn node(native: &str, emulated: &str) -> NodeFacts {
        let list = |text: &str| text.split_whitespace().map(|one| one.parse().unwrap()).collect::<Vec<Platform>>();
        let native = list(native);
        let build_platform = native[0].clone();
        NodeFacts { name: "n".into(), native, emulated: list(emulated), build_platform, tried: Vec::new() }
    }

    #[test]
    fn what_was_tried_counts_more_than_the_lists() {
        let file = parse(b"FROM a\nRUN x\n").unwrap();
        let mut node = node("linux/amd64 linux/386", "linux/arm64 linux/riscv64");
        let platforms = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64", "linux/s390x"];
        let untried = plan(
            &file,
            &PlanInput {
                nodes: vec![node.clone()],
                platforms: vec!["linux/amd64/v3".parse().unwrap(), "windows/arm64".parse().unwrap()],
                ..PlanInput::default()
            },
        );
        assert!(!is_doubtful(&untried, std::slice::from_ref(&node)), "there is nothing to try them with");
        let platforms = platforms.map(|one| one.parse().unwrap()).to_vec();
        let input = PlanInput { platforms, nodes: vec![node.clone()], ..PlanInput::default() };
        let shown = |list: Vec<Platform>| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        assert_eq!(shown(doubtful(&file, &input, &node, true)), "linux/arm64 linux/arm/v7 linux/riscv64 linux/s390x");
        assert_eq!(shown(doubtful(&file, &input, &node, false)), "linux/arm/v7 linux/s390x");
        assert!(is_doubtful(&plan(&file, &input), &input.nodes));

        let outcomes = [
            ("linux/arm/v7", TrialOutcome::Fails),
            ("linux/riscv64", TrialOutcome::Fails),
            ("linux/s390x", TrialOutcome::Emulated),
        ];
        node.tried = outcomes.map(|(one, outcome)| Trial { platform: one.parse().unwrap(), outcome }).to_vec();
        let input = PlanInput { nodes: vec![node.clone()], ..input };
        let made = plan(&file, &input);
        let modes: Vec<_> = made.platforms.iter().map(|one| (one.stages[0].mode, one.stages[0].tried)).collect();
        assert_eq!(
            modes,
            [
                (Mode::Native, false),
                (Mode::Emulated, false),
                (Mode::Impossible, true),
                (Mode::Impossible, true),
                (Mode::Emulated, true),
            ]
        );
        assert_eq!(shown(doubtful(&file, &input, &node, true)), "linux/arm64");
        assert!(!is_doubtful(&made, &input.nodes));
    }

    #[test]
    fn an_arm64_machine_may_run_32_bit_programs_itself() {
        let file = parse(b"FROM a\nRUN x\n").unwrap();
        let mut node = node("linux/arm64", "linux/arm/v7");
        let platforms = vec!["linux/arm/v7".parse().unwrap()];
        let mode = |node: &NodeFacts| {
            let input = PlanInput { platforms: platforms.clone(), nodes: vec![node.clone()], ..PlanInput::default() };
            plan(&file, &input).platforms[0].stages[0].mode
        };
        let listed = mode(&node);
        node.tried.push(Trial { platform: platforms[0].clone(), outcome: TrialOutcome::Native });
        assert_eq!((listed, mode(&node)), (Mode::Emulated, Mode::Native));
    }
}
