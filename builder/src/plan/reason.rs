//! Why a stage is emulated or impossible, and what would change it.

use std::fmt;

use polyarch_registry::oci::Platform;
use serde::Serialize;

use super::facts::NodeFacts;
use super::graph::Graph;
use super::mode::Mode;
use super::resolve::{Resolved, ResolvedBase};
use crate::dockerfile::{Keyword, Stage};

/// Why the node's own CPU does not run a stage's commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The platform its commands are of.
    pub needs: Platform,
    /// Where that comes from.
    pub because: Because,
    /// The node.
    pub node: String,
    /// What that runs by itself.
    pub native: Vec<Platform>,
}

/// Where a stage's platform comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Because {
    /// FROM names no platform, so it is the target's.
    Target {
        /// Line of that FROM.
        line: u32,
    },
    /// FROM names it.
    Flag {
        /// As written.
        platform: String,
        /// Line of that FROM.
        line: u32,
    },
}

/// What would make a stage native.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Change {
    /// Run the stage on the build platform and cross-compile.
    BuildPlatform {
        /// Line to edit.
        line: u32,
        /// The line as it should be.
        edit: String,
    },
    /// The stage's files are the image's own: only its commands can move elsewhere.
    MoveCommands {
        /// Line of its first RUN.
        line: u32,
    },
    /// Build on a machine of that platform.
    NativeNode {
        /// Which.
        platform: Platform,
    },
    /// Register an emulator.
    RegisterEmulator {
        /// Where.
        node: String,
        /// For which architecture.
        architecture: String,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let native = families(&self.native);
        let native = if native.is_empty() { "nothing known".to_owned() } else { native.join(", ") };
        match &self.because {
            Because::Target { line } => {
                write!(f, "FROM in line {line} names no platform, so its RUN steps are the target's")?
            }
            Because::Flag { platform, line } => write!(f, "line {line} says --platform={platform}")?,
        }
        write!(f, "; {} runs {native} itself", self.node)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuildPlatform { line, edit } => write!(f, "cross-compile: line {line} becomes `{edit}`"),
            Self::MoveCommands { line } => write!(
                f,
                "move what RUN in line {line} makes into a stage `FROM --platform=$BUILDPLATFORM …` and COPY --from it"
            ),
            Self::NativeNode { platform } => write!(f, "add a machine that runs {platform}: --builder ssh://…"),
            Self::RegisterEmulator { node, architecture } => write!(
                f,
                "register the emulator on {node}: docker run --privileged --rm tonistiigi/binfmt --install {architecture}"
            ),
        }
    }
}

/// Returns one name for each architecture: a machine's list has every level of its CPU.
pub fn families(platforms: &[Platform]) -> Vec<String> {
    let is_first = |at: usize, platform: &Platform| {
        platforms[..at].iter().all(|other| (&other.os, &other.architecture) != (&platform.os, &platform.architecture))
    };
    let first = platforms.iter().enumerate().filter(|(at, platform)| is_first(*at, platform));
    first.map(|(_, platform)| platform.to_string()).collect()
}

/// Explains a stage that is emulated or impossible.
pub(super) fn explain(
    graph: &Graph<'_>,
    stage: usize,
    mode: Mode,
    node: &NodeFacts,
    final_chain: &[bool],
) -> (Why, Vec<Change>) {
    let root = root(graph, stage);
    let from = &graph.file.stages[root];
    let line = from.span.line;
    let platform = graph.resolved[stage].as_ref().map(|stage| stage.platform.clone());
    let needs = platform.unwrap_or_else(|| node.build_platform.clone());
    let because = match &from.platform {
        Some(platform) if graph.resolved[root].as_ref().is_some_and(|root| root.base != ResolvedBase::Scratch) => {
            Because::Flag { platform: platform.clone(), line }
        }
        _ => Because::Target { line },
    };
    let mut change = Vec::new();
    let is_image = matches!(&graph.resolved[root], Some(Resolved { base: ResolvedBase::Image(_), .. }));
    match (final_chain[stage], edit(from)) {
        (false, Some(edit)) if is_image => change.push(Change::BuildPlatform { line, edit }),
        _ => {
            let run = graph.instructions(stage).find(|instruction| instruction.keyword == Keyword::Run);
            change.extend(run.map(|run| Change::MoveCommands { line: run.span.line }));
        }
    }
    change.push(Change::NativeNode { platform: needs.clone() });
    if mode == Mode::Impossible {
        let architecture = needs.architecture.clone();
        change.push(Change::RegisterEmulator { node: node.name.clone(), architecture });
    }
    (Why { needs, because, node: node.name.clone(), native: node.native.clone() }, change)
}

/// The stage whose FROM decides the platform.
pub(super) fn root(graph: &Graph<'_>, mut stage: usize) -> usize {
    while let Some(Resolved { base: ResolvedBase::Stage(base), .. }) = &graph.resolved[stage] {
        stage = *base;
    }
    stage
}

/// The FROM line with `--platform=$BUILDPLATFORM`; none if it is long or has it already.
fn edit(stage: &Stage) -> Option<String> {
    if stage.platform.as_deref().is_some_and(|platform| platform.contains("BUILDPLATFORM")) {
        return None;
    }
    let name = stage.name.as_ref().map(|name| format!(" AS {name}")).unwrap_or_default();
    let edit = format!("FROM --platform=$BUILDPLATFORM {}{name}", stage.base);
    (edit.len() < 200).then_some(edit)
}
