//! Which node builds which platform, told before anything runs.
//!
//! Owns: the short plan on stderr and the refusal of what no node can build. Never: judges what the planner does not
//! understand: a foreign frontend or an unreadable Dockerfile is BuildKit's to judge.

use std::collections::BTreeMap;

use polyarch_builder::dockerfile::{self, Dockerfile};
use polyarch_builder::event::EventKind;
use polyarch_builder::node::facts::{Feature, ImageStore};
use polyarch_builder::node::probe::Node;
use polyarch_builder::plan::{Frontend, Mode, Plan, PlatformPlan, is_doubtful, plan as make_plan, unused_build_args};
use polyarch_builder::request::{BuildRequest, DockerfileSource};
use polyarch_registry::oci::Platform;

use super::execute::Means;
use super::report::NamedFile;
use crate::commands::planning::locked::Pins;
use crate::commands::planning::{Asked, denied, doubts, errors, locked, nodes as facts, trials};
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::BuildSettings;
use crate::settings::output::only_files;
use crate::settings::transfer::Way;

/// Where one platform is built.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) platform: Platform,
    /// Index into the nodes.
    pub(super) node: usize,
    /// What the plan says, in a few words.
    pub(super) how: String,
    /// The image under the target, as written, and the platform it is wanted for.
    pub(super) base: Option<(String, Platform)>,
}

/// Returns the platforms asked for, or the first node's own.
pub(super) fn platforms(settings: &BuildSettings, nodes: &[Node]) -> Result<Vec<Platform>, Diagnostic> {
    if !settings.request.platforms.is_empty() {
        return Ok(settings.request.platforms.clone());
    }
    let own = nodes.first().and_then(|node| node.facts.native.first()).cloned();
    own.map(|own| vec![own]).ok_or_else(|| {
        Diagnostic::message(ExitCode::Plan, "the builder does not tell its platform").hint("name one with --platform")
    })
}

/// Plans every platform.
pub(super) async fn plan(means: &Means<'_>, nodes: &[Node], platforms: &[Platform]) -> Result<Vec<Place>, Diagnostic> {
    let asked = Asked::from(&means.settings.request);
    let places = match read(&asked)? {
        Some(file) => {
            let input = asked.input(facts::of(nodes), platforms);
            let input = means.settings.lock.as_ref().map_or_else(|| input.clone(), |lock| lock.fill(&file, &input));
            let mut plan = make_plan(&file, &input);
            if is_doubtful(&plan, &input.nodes) {
                let mut input = input;
                let notes = trials::run(nodes, &file, &mut input, false, &means.context.cancel).await?;
                notes.into_iter().for_each(|message| means.events.send(EventKind::Notice { message }));
                plan = make_plan(&file, &input);
            }
            if let Some(problem) = plan.problems.first() {
                return Err(errors::of_plan(problem, &asked.name(), &|line| file.line(line).to_owned()));
            }
            check_denied(means, &plan, &asked.name(), &file)?;
            obey_lock(means, &plan, &asked.name(), &file)?;
            for message in doubts(&plan) {
                means.events.send(EventKind::Notice { message });
            }
            warn_of_unused(means, &file);
            by_plan(&plan, nodes)
        }
        None if means.settings.lock.is_some() => {
            return Err(Diagnostic::message(ExitCode::Plan, "--locked needs a Dockerfile that can be planned")
                .hint("its frontend is not Docker's, or it is not on this machine"));
        }
        None => by_facts(nodes, platforms),
    };
    for place in &places {
        let node = &nodes[place.node];
        let events = means.events.for_platform(&place.platform);
        let (builder, version) = (node.builder.clone(), node.facts.version.clone());
        let how = format!("{}; {}", place.how, exporter(means, node));
        events.send(EventKind::NodeChosen { node: node.name.clone(), builder, version, how });
    }
    Ok(places)
}

/// A build argument that nothing takes is a slip, or a leftover; the build goes on, as it does with buildx.
fn warn_of_unused(means: &Means<'_>, file: &Dockerfile) {
    let given = means.settings.request.build_args.keys().map(String::as_str);
    for unused in unused_build_args(file, given) {
        let meant = match unused.near.first() {
            Some(near) => format!("; did you mean {near}?"),
            None => String::new(),
        };
        let message = format!("--build-arg {}: no ARG in the Dockerfile takes it{meant}", unused.name);
        means.events.send(EventKind::Warning { message, detail: Vec::new(), url: None, line: None });
    }
}

/// How the image leaves the node.
fn exporter(means: &Means<'_>, node: &Node) -> &'static str {
    match node.facts.store {
        _ if only_files(&means.settings.outputs) => "files exported from its cache",
        _ if means.settings.transfer != Way::Store => "pushed by the daemon",
        ImageStore::Containerd | ImageStore::Buildkitd if node.facts.features.has(Feature::ContentExport) => {
            "exported by digest"
        }
        ImageStore::Containerd | ImageStore::Buildkitd => "exported as a tar",
        ImageStore::Classic => "exported from the image store, compressed here",
    }
}

/// The Dockerfile, if it is here and can be read, whatever its frontend.
pub(super) fn dockerfile(request: &BuildRequest) -> Option<NamedFile> {
    let name = match &request.dockerfile {
        // As the daemons call it.
        DockerfileSource::File(path) => path.file_name()?.to_string_lossy().into_owned(),
        _ => "Dockerfile".to_owned(),
    };
    Some(NamedFile { name, file: dockerfile::parse(&Asked::from(request).text()?).ok()? })
}

/// Whether the Dockerfile names its frontend, or may: where it is not here.
pub(super) fn may_name_frontend(means: &Means<'_>) -> bool {
    Asked::from(&means.settings.request).may_name_frontend()
}

/// The Dockerfile, if it is here and in a language we know.
pub(super) fn read(asked: &Asked<'_>) -> Result<Option<Dockerfile>, Diagnostic> {
    let args: BTreeMap<String, String> = asked.build_args.clone().into_iter().collect();
    let is_known = |file: &Dockerfile| Frontend::of(file, &args).is_none_or(|frontend| frontend.is_docker);
    Ok(asked.read()?.filter(is_known))
}

/// Refuses images that are not in the lock file, and pins the others.
fn obey_lock(means: &Means<'_>, plan: &Plan, name: &str, file: &Dockerfile) -> Result<(), Diagnostic> {
    let Some(lock) = &means.settings.lock else { return Ok(()) };
    if let Some(refusal) = locked::refusals(lock, plan, file, name).into_iter().next() {
        return Err(refusal);
    }
    // Planned once, so set once.
    means.pins.get_or_init(|| Pins::of(lock, plan, &means.settings.request));
    Ok(())
}

/// Refuses what `--deny` names.
fn check_denied(means: &Means<'_>, plan: &Plan, name: &str, file: &Dockerfile) -> Result<(), Diagnostic> {
    match denied::first(plan, &means.settings.deny) {
        Some((platform, stage)) => Err(denied::refusal(platform, stage, name, &|line| file.line(line).to_owned())),
        None => Ok(()),
    }
}

fn by_plan(plan: &Plan, nodes: &[Node]) -> Vec<Place> {
    let names = facts::names(nodes);
    let place = |one: &PlatformPlan| {
        let node = names.iter().position(|name| *name == one.node).unwrap_or(0);
        let base = one.base().map(|(name, platform)| (name.to_owned(), platform.clone()));
        Place { platform: one.platform.clone(), node, how: words(one), base }
    };
    plan.platforms.iter().map(place).collect()
}

/// `build cross and shared, final emulated (1 RUN)`.
fn words(plan: &PlatformPlan) -> String {
    let stage = |stage: &polyarch_builder::plan::StagePlan| {
        let shared = if stage.shared { ", shared" } else { "" };
        let runs = match (stage.mode, stage.run_steps) {
            (Mode::Emulated, 1) => " (1 RUN)".to_owned(),
            (Mode::Emulated, n) => format!(" ({n} RUN)"),
            _ => String::new(),
        };
        // A stage without a name has its position; alone it would read as a count. BuildKit's steps say `stage-2` too.
        let unnamed = if stage.name.bytes().all(|byte| byte.is_ascii_digit()) { "stage-" } else { "" };
        format!("{unnamed}{} {}{runs}{shared}", stage.name, stage.mode)
    };
    plan.stages.iter().map(stage).collect::<Vec<_>>().join("; ")
}

/// Without a plan: the first node that has the platform, natively if any does; else the first, for files alone may do.
pub(super) fn by_facts(nodes: &[Node], platforms: &[Platform]) -> Vec<Place> {
    let find = |platform: &Platform| {
        let native = nodes.iter().position(|node| node.facts.native.iter().any(|known| known.same_as(platform)));
        let any = || nodes.iter().position(|node| node.facts.runs(platform));
        native.or_else(any).unwrap_or(0)
    };
    let how = "not planned";
    let place = |p: &Platform| Place { platform: p.clone(), node: find(p), how: how.to_owned(), base: None };
    platforms.iter().map(place).collect()
}
