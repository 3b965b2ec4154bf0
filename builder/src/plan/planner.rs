//! The plan itself.

use std::collections::BTreeMap;

use polyarch_registry::oci::Platform;
use serde::Serialize;

use super::args::{GlobalInput, global, proxies};
use super::facts::{NodeFacts, PlanInput};
use super::graph::Graph;
use super::matching::runs_on;
use super::mode::Mode;
use super::named::NamedContexts;
use super::problem::{CannotRun, Problem, ProblemKind};
use super::resolve::{ResolvedBase, Resolver};
use super::signature::{Signature, Signer, StageState};
use crate::dockerfile::{Dockerfile, Keyword, Span, near};

/// How every platform will be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The frontend named by `# syntax=`. If it is not Docker's own, the plan is only a guess.
    pub frontend: Option<String>,
    /// One per platform, in the order asked for.
    pub platforms: Vec<PlatformPlan>,
    /// What stands in the way; the build would fail.
    pub problems: Vec<Problem>,
}

/// How one platform will be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformPlan {
    /// The platform.
    pub platform: Platform,
    /// The node.
    pub node: String,
    /// The stages that are reached, in the order of the file; the last one is the target.
    pub stages: Vec<StagePlan>,
    /// RUN steps that an emulator runs.
    pub emulated_runs: usize,
}

impl PlatformPlan {
    /// Returns the image the target is built upon, through all stages between, and its platform.
    pub fn base(&self) -> Option<(&str, &Platform)> {
        let mut stage = self.stages.last()?;
        // No stage is under itself, so each is met once.
        for _ in &self.stages {
            match &stage.base {
                Base::Image(name) => return Some((name, &stage.platform)),
                Base::Stage(name) => stage = self.stages.iter().find(|stage| stage.name == *name)?,
                Base::Scratch | Base::Context(_) => return None,
            }
        }
        None
    }
}

/// How one stage will be built for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StagePlan {
    /// Its name, or its index.
    pub name: String,
    /// What it begins with.
    pub base: Base,
    /// Platform of its base and its programs.
    pub platform: Platform,
    /// How its commands run.
    pub mode: Mode,
    /// Its result is the same for another platform on this node: it is built once for both.
    pub shared: bool,
    /// Its RUN steps, triggers of its base stage included.
    pub run_steps: usize,
    /// How many of them are the same for another platform on this node.
    pub shared_run_steps: usize,
    /// Where its FROM is.
    pub span: Span,
}

/// What a stage begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
pub enum Base {
    /// Another stage.
    Stage(String),
    /// Nothing.
    Scratch,
    /// An image, as written, variables expanded.
    Image(String),
    /// A named context.
    Context(String),
}

/// Plans every platform on the node that suits it best.
///
/// Best is: nothing impossible, then the fewest emulated steps, then the closest native platform, then the first.
pub fn plan(file: &Dockerfile, input: &PlanInput) -> Plan {
    let mut plan = Plan { frontend: file.directives.syntax.clone(), platforms: Vec::new(), problems: Vec::new() };
    let planner = match Planner::new(file, input) {
        Ok(planner) => planner,
        Err(kind) => {
            plan.problems.push(Problem { kind, span: None });
            return plan;
        }
    };
    let mut drafts = Vec::new();
    for platform in &input.platforms {
        let best = input.nodes.iter().map(|node| planner.draft(platform, node)).min_by_key(Draft::badness);
        drafts.extend(best);
    }
    let counts = Sharing::count(&drafts);
    for draft in drafts {
        for problem in &draft.problems {
            if !plan.problems.contains(problem) {
                plan.problems.push(problem.clone());
            }
        }
        plan.platforms.push(draft.finish(&counts));
    }
    plan
}

struct Planner<'a> {
    file: &'a Dockerfile,
    input: &'a PlanInput,
    contexts: NamedContexts,
    target: usize,
}

impl<'a> Planner<'a> {
    fn new(file: &'a Dockerfile, input: &'a PlanInput) -> Result<Self, ProblemKind> {
        if input.nodes.is_empty() {
            return Err(ProblemKind::NoNode);
        }
        let target = find_target(file, input.target.as_deref())?;
        Ok(Self { file, input, contexts: NamedContexts::new(&input.named_contexts), target })
    }

    fn draft(&self, platform: &Platform, node: &'a NodeFacts) -> Draft<'a> {
        let target_stage = self.file.stages[self.target].name.as_deref().unwrap_or("default");
        let globals = GlobalInput {
            build: &node.build_platform,
            target: platform,
            target_stage,
            build_args: &self.input.build_args,
        };
        let (globals, mut problems) = global(self.file, &globals);
        let resolver = Resolver {
            file: self.file,
            globals: &globals,
            contexts: &self.contexts,
            build: &node.build_platform,
            target: platform,
        };
        let (resolved, wrong) = resolver.run();
        problems.extend(wrong);
        let graph = Graph { file: self.file, resolved: &resolved };
        let (reached, wrong) = graph.reached(self.target);
        problems.extend(wrong);
        let signer = Signer {
            graph: &graph,
            globals: &globals,
            build_args: &self.input.build_args,
            proxies: &proxies(&self.input.build_args),
            target: &platform.to_string(),
        };
        let mut states = signer.run(&reached);
        let mut draft = Draft { platform: platform.clone(), node, stages: Vec::new(), problems };
        for stage in reached {
            if let Some(state) = states.remove(&stage) {
                draft.add(&graph, stage, state);
            }
        }
        draft
    }
}

fn find_target(file: &Dockerfile, target: Option<&str>) -> Result<usize, ProblemKind> {
    let Some(name) = target else { return Ok(file.stages.len().saturating_sub(1)) };
    let lower = name.to_lowercase();
    let found = file.stages.iter().rposition(|stage| stage.name.as_deref() == Some(lower.as_str()));
    found.ok_or_else(|| {
        let stages: Vec<String> = file.stages.iter().filter_map(|stage| stage.name.clone()).collect();
        let near = near(&lower, stages.iter().map(String::as_str)).into_iter().map(str::to_owned).collect();
        ProblemKind::UnknownTarget { name: name.to_owned(), near, stages }
    })
}

/// One platform on one node.
struct Draft<'a> {
    platform: Platform,
    node: &'a NodeFacts,
    stages: Vec<(StagePlan, StageState)>,
    problems: Vec<Problem>,
}

impl Draft<'_> {
    fn add(&mut self, graph: &Graph<'_>, stage: usize, state: StageState) {
        let Some(resolved) = &graph.resolved[stage] else { return };
        let run_steps = graph.instructions(stage).iter().filter(|i| i.keyword == Keyword::Run).count();
        let mode = Mode::of(&resolved.platform, &self.platform, self.node, run_steps);
        let span = graph.file.stages[stage].span;
        if mode == Mode::Impossible {
            let cannot = CannotRun {
                stage: graph.name(stage),
                needs: resolved.platform.clone(),
                platform: self.platform.clone(),
                node: self.node.name.clone(),
                offers: self.node.native.iter().chain(&self.node.emulated).cloned().collect(),
            };
            self.problems.push(Problem { kind: ProblemKind::CannotRun(Box::new(cannot)), span: Some(span) });
        }
        let base = match &resolved.base {
            ResolvedBase::Stage(base) => Base::Stage(graph.name(*base)),
            ResolvedBase::Scratch => Base::Scratch,
            ResolvedBase::Image(name) => Base::Image(name.clone()),
            ResolvedBase::Context(name) => Base::Context(name.clone()),
        };
        let (name, platform) = (graph.name(stage), resolved.platform.clone());
        let plan = StagePlan { name, base, platform, mode, shared: false, run_steps, shared_run_steps: 0, span };
        self.stages.push((plan, state));
    }

    fn runs(&self, mode: Mode) -> usize {
        self.stages.iter().filter(|(stage, _)| stage.mode == mode).map(|(stage, _)| stage.run_steps).sum()
    }

    fn badness(&self) -> (usize, usize, u8) {
        let any = |list: &[Platform]| list.iter().any(|offered| runs_on(offered, &self.platform));
        let distance = match self.node {
            node if node.native.iter().any(|native| native.same_as(&self.platform)) => 0,
            node if any(&node.native) => 1,
            node if any(&node.emulated) => 2,
            _ => 3,
        };
        (self.runs(Mode::Impossible), self.runs(Mode::Emulated), distance)
    }

    fn finish(self, sharing: &Sharing) -> PlatformPlan {
        let emulated_runs = self.runs(Mode::Emulated);
        let node = self.node.name.clone();
        let finish = |(mut stage, state): (StagePlan, StageState)| {
            stage.shared = sharing.is_shared(&node, &state.end);
            stage.shared_run_steps = state.runs.iter().filter(|run| sharing.is_shared(&node, run)).count();
            stage
        };
        let stages = self.stages.into_iter().map(finish).collect();
        PlatformPlan { platform: self.platform, node, stages, emulated_runs }
    }
}

/// How many platforms of a node have a step.
struct Sharing(BTreeMap<(String, Signature), usize>);

impl Sharing {
    fn count(drafts: &[Draft<'_>]) -> Self {
        let mut counts = BTreeMap::new();
        for draft in drafts {
            // Within one platform an equal step counts once.
            let mut own: Vec<Signature> =
                draft.stages.iter().flat_map(|(_, state)| state.runs.iter().copied().chain([state.end])).collect();
            own.sort_unstable();
            own.dedup();
            for signature in own {
                *counts.entry((draft.node.name.clone(), signature)).or_insert(0) += 1;
            }
        }
        Self(counts)
    }

    fn is_shared(&self, node: &str, signature: &Signature) -> bool {
        self.0.get(&(node.to_owned(), *signature)).is_some_and(|count| *count > 1)
    }
}
