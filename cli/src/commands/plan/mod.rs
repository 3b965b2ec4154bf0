//! `polyarch plan`: what a build would do on every platform, without building.
//!
//! Owns: the order of questions and the exit code. Never: builds, or starts anything on a node but what --probe tries.

mod json;
mod picture;
mod tree;

use std::path::Path;

use polyarch_builder::dockerfile::Dockerfile;
use polyarch_builder::ignore::candidates;
use polyarch_builder::node::probe::Node;
use polyarch_builder::plan::{Plan, PlanInput, plan as make_plan};
use polyarch_builder::request::{ContextSource, DockerfileSource};
use polyarch_registry::client::Registry;
use polyarch_registry::oci::Platform;

use self::picture::Picture;
use super::Context;
use super::last_build::{self, Identity, LastBuild};
use super::planning::nodes::Nodes;
use super::planning::{Asked, base, denied, errors, images, locked, nodes, trials};
use crate::args::PlanArgs;
use crate::args::values::PlanFormat;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::plan::{self as settings, PlanSettings, Platforms, Subject};
use crate::settings::{GlobalSettings, Surroundings};

/// Everything a plan or a check is made from.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) name: String,
    pub(super) file: Dockerfile,
    pub(super) input: PlanInput,
    /// What the user must know about the nodes.
    pub(super) notes: Vec<String>,
    /// The ignore file of the main context, if it has one.
    pub(super) ignore_file: Option<String>,
    /// What the user must know about images.
    pub(super) image_notes: Vec<String>,
    /// What the last build took, for the platforms of which that is known.
    pub(super) last_builds: Vec<LastBuild>,
}

/// Runs `polyarch plan`.
///
/// # Errors
/// Settings that cannot be used, a Dockerfile that cannot be read, or a plan that cannot be carried out.
pub async fn run(
    args: Box<PlanArgs>,
    global: GlobalSettings,
    context: &Context,
    mut around: Surroundings,
) -> Result<ExitCode, Diagnostic> {
    let resolving = tokio::task::spawn_blocking(move || settings::resolve(&args, &mut around));
    let settings = resolving.await.map_err(|error| Diagnostic::bug(&error))??;
    let prepared = prepare(&settings.subject, &global, context).await?;
    let plan = make_plan(&prepared.file, &prepared.input);
    for note in prepared.notes.iter().chain(&prepared.image_notes) {
        context.console.say(&format!("{} {}\n", context.console.err.hint("note:"), crate::text::escape(note)));
    }
    if !plan.platforms.is_empty() {
        write(&settings, context, &prepared, &plan)?;
    }
    judge(&settings, context, &prepared, &plan)
}

/// Reads the Dockerfile, asks about nodes, decides the platforms, asks about images.
pub(super) async fn prepare(
    subject: &Subject,
    global: &GlobalSettings,
    context: &Context,
) -> Result<Prepared, Diagnostic> {
    let asked = Asked::from(subject);
    let Some(file) = asked.read()? else { return Err(unreadable(&asked)) };
    let mut found = nodes::find(subject, context).await?;
    let live = std::mem::take(&mut found.live);
    let prepared = fill_in(subject, global, context, file, (found, &live)).await;
    nodes::release(live).await;
    prepared
}

/// The rest of [`prepare`]: everything about platforms, images, and what nodes run.
async fn fill_in(
    subject: &Subject,
    global: &GlobalSettings,
    context: &Context,
    file: Dockerfile,
    (found, live): (Nodes, &[Node]),
) -> Result<Prepared, Diagnostic> {
    let asked = Asked::from(subject);
    let own = found.facts.first().map(|node| node.build_platform.clone());
    let own = own.unwrap_or_else(|| Platform::new("linux", "unknown", None));
    let input = asked.input(found.facts, &[]);
    let resolver = images::resolver(&Registry::new(subject.registries.clone()), &global.store);
    let platforms = match &subject.platforms {
        Platforms::Listed(list) => list.clone(),
        Platforms::Node => vec![own],
        Platforms::AllFromBase => base::platforms(&file, &resolver, &input, &own).await?,
    };
    let input = PlanInput { platforms, ..input };
    let found_images = match subject.resolve {
        true => images::find(&resolver, &file, &input, subject).await,
        false => Default::default(),
    };
    let input = found_images.apply(&input);
    let input = subject.lock.as_ref().map_or_else(|| input.clone(), |lock| lock.fill(&file, &input));
    let (mut input, mut notes) = (input, Vec::from_iter(found.note));
    if subject.probe {
        notes.extend(trials::run(live, &file, &mut input, true, &context.cancel).await?);
    }
    let identity = Identity::of_plan(subject);
    let last_builds =
        identity.map(|identity| last_build::recall(&global.store, &identity, &input.platforms)).unwrap_or_default();
    let (image_notes, ignore_file) = (images::notes(&found_images), ignore_file(subject));
    Ok(Prepared { name: asked.name(), file, input, notes, image_notes, ignore_file, last_builds })
}

/// Why there is no Dockerfile to plan.
fn unreadable(asked: &Asked<'_>) -> Diagnostic {
    let name = asked.name();
    match asked.text() {
        None => {
            Diagnostic::message(ExitCode::Plan, format!("{name} is in a context that the daemon reads, not polyarch"))
                .hint("pipe the Dockerfile in: -f -")
        }
        Some(_) => Diagnostic::message(
            ExitCode::Plan,
            format!("{name} is in the language of a frontend polyarch does not know"),
        )
        .hint("only Dockerfiles can be planned; `polyarch build` lets the frontend read it"),
    }
}

/// The ignore file that BuildKit would ask for first among those that are there.
fn ignore_file(subject: &Subject) -> Option<String> {
    let ContextSource::Dir(dir) = &subject.context else { return None };
    let file = match &subject.dockerfile {
        DockerfileSource::File(path) => Some(path.as_path()),
        DockerfileSource::InContext(_) | DockerfileSource::Text(_) => None,
    };
    let found = candidates(file, dir).into_iter().find(|path| path.is_file());
    found.map(|path| errors::near_here(&path).display().to_string())
}

fn write(settings: &PlanSettings, context: &Context, prepared: &Prepared, plan: &Plan) -> Result<(), Diagnostic> {
    let style = if settings.output.is_some() { crate::style::Style::plain() } else { context.console.out };
    let text = match settings.format {
        PlanFormat::Tree => tree::render(prepared, plan, style),
        PlanFormat::Json => json::render(prepared, plan),
        PlanFormat::Dot => picture::dot(&picture(prepared, plan)),
        PlanFormat::Mermaid => picture::mermaid(&picture(prepared, plan)),
        PlanFormat::Svg => picture::svg(&picture(prepared, plan)),
        PlanFormat::Html => picture::html(&picture(prepared, plan)),
    };
    output(settings.output.as_deref(), context, &text)
}

fn picture(prepared: &Prepared, plan: &Plan) -> Picture {
    let mut picture = Picture::of(plan, &prepared.name);
    for last in &prepared.last_builds {
        let at = plan.platforms.iter().position(|one| one.platform.to_string() == last.platform);
        at.into_iter()
            .for_each(|at| picture.tell_of_target(at, &format!("last build of {}: {}", last.platform, last.line())));
    }
    picture
}

/// Writes a result to a file or stdout.
pub(super) fn output(path: Option<&Path>, context: &Context, text: &str) -> Result<(), Diagnostic> {
    match path {
        None => context.console.result(text),
        Some(path) => std::fs::write(path, text).map_err(|error| {
            Diagnostic::message(ExitCode::Publish, format!("cannot write {}: {error}", path.display()))
        }),
    }
}

/// Tells what stands in the way.
fn judge(settings: &PlanSettings, context: &Context, prepared: &Prepared, plan: &Plan) -> Result<ExitCode, Diagnostic> {
    let line = |line: u32| prepared.file.line(line).to_owned();
    // What cannot run is in the tree for every stage; one message says the rest.
    let (about_nodes, others): (Vec<_>, Vec<_>) = plan.problems.iter().partition(|problem| problem.is_about_nodes());
    let shown = others.into_iter().chain(about_nodes.first().copied());
    let problems = shown.map(|problem| errors::of_plan(problem, &prepared.name, &line));
    let refused = denied::first(plan, &settings.deny);
    let refused = refused.map(|(platform, stage)| denied::refusal(platform, stage, &prepared.name, &line));
    let lock = settings.subject.lock.as_ref();
    let unlocked = lock.map(|lock| locked::refusals(lock, plan, &prepared.file, &prepared.name)).unwrap_or_default();
    let mut all: Vec<Diagnostic> = problems.chain(refused).chain(unlocked).collect();
    let Some(last) = all.pop() else { return Ok(ExitCode::Done) };
    for error in &all {
        context.console.error(error);
    }
    Err(last)
}
