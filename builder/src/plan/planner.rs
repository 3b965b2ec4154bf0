//! The plan itself.

use std::cell::RefCell;
use std::collections::HashSet;

use polyarch_registry::oci::{Platform, Reference};
use serde::Serialize;

use super::args::{GlobalInput, global, proxies};
use super::facts::{NodeFacts, PlanInput};
use super::frontend::{Confidence, Frontend};
use super::graph::Graph;
use super::images::{self, ImagePlan, Mention};
use super::mode::Mode;
use super::named::NamedContexts;
use super::problem::{CannotRun, Problem, ProblemKind};
use super::reason;
use super::resolve::{Resolved, ResolvedBase, Resolver, StageNames};
use super::sharing::{Sharing, Totals};
use super::stage::{Base, StagePlan};
use super::trial::TrialOutcome;
use super::walk::{StageState, Walker};
use crate::dockerfile::{Dockerfile, Keyword, Span, near};

/// Most problems told; finding doubles among more would take long.
const MOST_PROBLEMS: usize = 500;

/// How every platform will be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The frontend named by `# syntax=`.
    pub frontend: Option<Frontend>,
    /// How far the plan can be trusted.
    pub confidence: Confidence,
    /// One per platform, in the order asked for.
    pub platforms: Vec<PlatformPlan>,
    /// External images, in the order in which they are named.
    pub images: Vec<ImagePlan>,
    /// What it comes to.
    pub totals: Totals,
    /// What stands in the way; the build would fail.
    pub problems: Vec<Problem>,
    /// What is too large to be followed: what hangs on it is not known, and the build may succeed.
    pub doubts: Vec<Problem>,
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
    /// Returns the stage at a position of the Dockerfile, if it is reached.
    pub fn stage(&self, index: usize) -> Option<&StagePlan> {
        self.stages.binary_search_by_key(&index, |stage| stage.index).ok().and_then(|at| self.stages.get(at))
    }

    /// Returns the stage the target's first files come from: the last of those it is built upon.
    pub fn root(&self) -> Option<&StagePlan> {
        let mut stage = self.stages.last()?;
        // No stage is under itself: the index falls with every step.
        while let Some(base) = stage.base_index {
            stage = self.stage(base)?;
        }
        Some(stage)
    }

    /// Returns the image the target is built upon, through all stages between, and its platform.
    pub fn base(&self) -> Option<(&str, &Platform)> {
        match self.root()? {
            StagePlan { base: Base::Image(name), platform, .. } => Some((name, platform)),
            _ => None,
        }
    }
}

/// Plans every platform on the node that suits it best.
///
/// Best is: nothing impossible, then the fewest emulated steps, then the closest native platform, then the first.
pub fn plan(file: &Dockerfile, input: &PlanInput) -> Plan {
    let frontend = Frontend::of(file, &input.build_args);
    let mut plan = Plan {
        confidence: Confidence::of(frontend.as_ref()),
        frontend,
        platforms: Vec::new(),
        images: Vec::new(),
        totals: Totals::default(),
        problems: Vec::new(),
        doubts: Vec::new(),
    };
    let names = StageNames::new(file);
    let planner = match Planner::new(file, input, &names) {
        Ok(planner) => planner,
        Err(kind) => {
            plan.problems.push(Problem { kind, span: None });
            return plan;
        }
    };
    let mut drafts = Vec::new();
    for platform in &input.platforms {
        let nodes = input.nodes.iter().enumerate();
        drafts.extend(nodes.map(|(at, node)| planner.draft(platform, at, node)).min_by_key(Draft::badness));
    }
    join(plan, drafts, input)
}

/// Joins the platforms: sharing, totals, images, problems.
fn join(mut plan: Plan, drafts: Vec<Draft<'_>>, input: &PlanInput) -> Plan {
    let mut sharing = Sharing::default();
    for draft in &drafts {
        for (_, state) in &draft.stages {
            for signature in state.runs.iter().map(|(run, _)| *run).chain([state.end]) {
                sharing.add(draft.node_index, signature, &draft.platform);
            }
        }
    }
    let (mut mentions, mut counted) = (Vec::new(), HashSet::new());
    for mut draft in drafts {
        mentions.append(&mut draft.mentions);
        for problem in draft.problems.drain(..) {
            if plan.problems.len() < MOST_PROBLEMS && !plan.problems.contains(&problem) {
                plan.problems.push(problem);
            }
        }
        for (stage, state) in &draft.stages {
            plan.totals.stages += usize::from(counted.insert((draft.node_index, stage.index, state.end)));
            for (run, _) in &state.runs {
                match counted.insert((draft.node_index, usize::MAX, *run)) {
                    true => plan.totals.count(stage.mode),
                    false => plan.totals.saved += 1,
                }
            }
        }
        plan.platforms.push(draft.finish(&sharing));
    }
    plan.problems.sort_by_key(|problem| problem.span);
    plan.doubts = plan.problems.extract_if(.., |problem| problem.is_doubt()).collect();
    if !plan.doubts.is_empty() {
        plan.confidence = Confidence::Guess;
    }
    plan.images = images::join(mentions, input);
    plan.problems.extend(images::lacking(&plan.images, input));
    plan
}

struct Planner<'a> {
    file: &'a Dockerfile,
    input: &'a PlanInput,
    names: &'a StageNames<'a>,
    contexts: NamedContexts,
    target: usize,
}

impl<'a> Planner<'a> {
    fn new(file: &'a Dockerfile, input: &'a PlanInput, names: &'a StageNames<'a>) -> Result<Self, ProblemKind> {
        if input.nodes.is_empty() {
            return Err(ProblemKind::NoNode);
        }
        let target = find_target(file, names, input.target.as_deref())?;
        Ok(Self { file, input, names, contexts: NamedContexts::new(&input.named_contexts), target })
    }

    /// The frontend's image; BuildKit says what is wrong with a name that is none.
    fn frontend(&self, node: &NodeFacts) -> Option<Mention> {
        let frontend = Frontend::of(self.file, &self.input.build_args)?;
        frontend.reference.parse::<Reference>().ok()?;
        let span = Frontend::span(self.file, &self.input.build_args);
        Some(Mention::frontend(&frontend.reference, &node.build_platform, span))
    }

    fn draft(&self, platform: &Platform, node_index: usize, node: &'a NodeFacts) -> Draft<'a> {
        let target_stage = self.file.stages[self.target].name.as_deref().unwrap_or("default");
        let build_args = &self.input.build_args;
        let globals = GlobalInput { build: &node.build_platform, target: platform, target_stage, build_args };
        let (globals, mut problems) = global(self.file, &globals);
        let resolver = Resolver {
            file: self.file,
            names: self.names,
            input: self.input,
            globals: &globals,
            contexts: &self.contexts,
            build: &node.build_platform,
            target: platform,
        };
        let (resolved, wrong) = resolver.run();
        problems.extend(wrong);
        let graph = Graph { file: self.file, names: self.names, resolved: &resolved };
        let (reached, wrong) = graph.reached(self.target);
        problems.extend(wrong);
        let (proxies, target) = (proxies(build_args), platform.to_string());
        let told = RefCell::default();
        let walker = Walker { graph: &graph, globals: &globals, build_args, proxies: &proxies, target: &target, told };
        let mut states = walker.run(&reached);
        problems.extend(walker.told.into_inner().problems);
        let mut mentions = images::mentions(&graph, &reached, &self.contexts, platform);
        problems.extend(images::bad_names(&mentions, &graph));
        mentions.extend(self.frontend(node));
        let mut draft = Draft { platform: platform.clone(), node, node_index, stages: Vec::new(), mentions, problems };
        let final_chain = final_chain(&graph, self.target);
        for stage in reached {
            if let Some(state) = states.remove(&stage) {
                draft.add(&graph, stage, state, &final_chain);
            }
        }
        draft
    }
}

/// As BuildKit counts them for its progress (`cmdTotal`).
fn steps(graph: &Graph<'_>, stage: usize) -> usize {
    let is_step = |keyword| matches!(keyword, Keyword::Run | Keyword::Copy | Keyword::Add | Keyword::Workdir);
    // Of triggers it counts every one.
    let triggers = graph.triggers(stage).count();
    let own = graph.instructions(stage).skip(triggers).filter(|instruction| is_step(instruction.keyword)).count();
    let image = matches!(
        &graph.resolved[stage],
        Some(Resolved { base: ResolvedBase::Image(_) | ResolvedBase::Context(_), .. })
    );
    own + triggers + usize::from(image)
}

/// The stages whose files are in the result as they are.
fn final_chain(graph: &Graph<'_>, target: usize) -> Vec<bool> {
    let mut chain = vec![false; graph.file.stages.len()];
    let mut stage = target;
    chain[stage] = true;
    while let Some(Resolved { base: ResolvedBase::Stage(base), .. }) = &graph.resolved[stage] {
        stage = *base;
        chain[stage] = true;
    }
    chain
}

fn find_target(file: &Dockerfile, names: &StageNames<'_>, target: Option<&str>) -> Result<usize, ProblemKind> {
    let Some(name) = target else { return Ok(file.stages.len().saturating_sub(1)) };
    names.last(name).ok_or_else(|| {
        let stages: Vec<String> = file.stages.iter().filter_map(|stage| stage.name.clone()).collect();
        let near = near(name, stages.iter().map(String::as_str)).into_iter().map(str::to_owned).collect();
        ProblemKind::UnknownTarget { name: name.to_owned(), near, stages }
    })
}

/// One platform on one node.
struct Draft<'a> {
    platform: Platform,
    node: &'a NodeFacts,
    node_index: usize,
    stages: Vec<(StagePlan, StageState)>,
    mentions: Vec<Mention>,
    problems: Vec<Problem>,
}

impl Draft<'_> {
    fn add(&mut self, graph: &Graph<'_>, stage: usize, mut state: StageState, final_chain: &[bool]) {
        let Some(resolved) = &graph.resolved[stage] else { return };
        let run_steps = graph.instructions(stage).filter(|one| one.keyword == Keyword::Run).count();
        let tainted = state.taint.is_some();
        let mode = Mode::of(&resolved.platform, &self.platform, self.node, run_steps, tainted);
        let span = graph.file.stages[stage].span;
        let explained = matches!(mode, Mode::Emulated | Mode::Impossible)
            .then(|| reason::explain(graph, stage, mode, self.node, final_chain));
        let (why, change) = explained.map_or((None, Vec::new()), |(why, change)| (Some(why), change));
        if mode == Mode::Impossible {
            self.problems.push(self.cannot_run(graph.name(stage), &resolved.platform, span));
        }
        let base = match &resolved.base {
            ResolvedBase::Stage(base) => Base::Stage(graph.name(*base)),
            ResolvedBase::Scratch => Base::Scratch,
            ResolvedBase::Image(name) => Base::Image(name.clone()),
            ResolvedBase::Context(name) => Base::Context(name.clone()),
        };
        let plan = StagePlan {
            name: graph.name(stage),
            index: stage,
            base,
            base_index: match resolved.base {
                ResolvedBase::Stage(base) => Some(base),
                _ => None,
            },
            platform: resolved.platform.clone(),
            mode,
            tried: run_steps > 0 && self.node.trial(&resolved.platform).is_some(),
            why,
            change,
            shared: false,
            shared_with: Vec::new(),
            taint: state.taint.clone(),
            steps: steps(graph, stage),
            run_steps,
            shared_run_steps: 0,
            needs: graph.needs(stage),
            args: std::mem::take(&mut state.args),
            span,
        };
        self.stages.push((plan, state));
    }

    fn cannot_run(&self, stage: String, needs: &Platform, span: Span) -> Problem {
        let does_run = |platform: &&Platform| self.node.trial(platform) != Some(TrialOutcome::Fails);
        let cannot = CannotRun {
            stage,
            needs: needs.clone(),
            platform: self.platform.clone(),
            node: self.node.name.clone(),
            offers: self.node.native.iter().chain(&self.node.emulated).filter(does_run).cloned().collect(),
        };
        Problem { kind: ProblemKind::CannotRun(Box::new(cannot)), span: Some(span) }
    }

    fn runs(&self, mode: Mode) -> usize {
        self.stages.iter().filter(|(stage, _)| stage.mode == mode).map(|(stage, _)| stage.run_steps).sum()
    }

    fn badness(&self) -> (usize, usize, u8) {
        let any = |list: &[Platform]| list.iter().any(|offered| offered.runs(&self.platform));
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
        let (platform, node) = (self.platform, self.node_index);
        let finish = |(mut stage, state): (StagePlan, StageState)| {
            let others = sharing.platforms(node, &state.end).iter().filter(|other| **other != platform);
            stage.shared_with = others.cloned().collect();
            stage.shared = !stage.shared_with.is_empty();
            let shared = |(run, _): &&(_, _)| sharing.platforms(node, run).len() > 1;
            stage.shared_run_steps = state.runs.iter().filter(shared).count();
            stage
        };
        let stages = self.stages.into_iter().map(finish).collect();
        PlatformPlan { platform, node: self.node.name.clone(), stages, emulated_runs }
    }
}
