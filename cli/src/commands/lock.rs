//! `polyarch lock`: the digests of all external images, in a file.
//!
//! Owns: when nothing is written: what could not be looked up cannot be locked. Never: builds.

use polyarch_builder::lock::Lock;
use polyarch_builder::plan::plan as make_plan;

use super::Context;
use super::plan::{output, prepare};
use super::planning::{errors, locked};
use crate::args::LockArgs;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::plan as settings;
use crate::settings::{GlobalSettings, Surroundings};

/// Runs `polyarch lock`.
///
/// # Errors
/// Settings that cannot be used, a Dockerfile that cannot be planned, or an image that is not there or cannot be checked.
pub async fn run(
    args: Box<LockArgs>,
    global: GlobalSettings,
    context: &Context,
    mut around: Surroundings,
) -> Result<ExitCode, Diagnostic> {
    let resolving = tokio::task::spawn_blocking(move || settings::resolve_lock(&args, &mut around));
    let settings = resolving.await.map_err(|error| Diagnostic::bug(&error))??;
    let prepared = prepare(&settings.subject, &global, context).await?;
    let plan = make_plan(&prepared.file, &prepared.input);
    let line = |line: u32| prepared.file.line(line).to_owned();
    if let Some(problem) = plan.problems.iter().find(|problem| !problem.is_about_nodes()) {
        return Err(errors::of_plan(problem, &prepared.name, &line));
    }
    if let Some(text) = locked::unknown(&plan) {
        return Err(Diagnostic::message(ExitCode::Plan, text));
    }
    let lock = Lock::of(&plan, &prepared.input).map_err(|unknown| {
        let why = prepared.image_notes.iter().cloned().chain([format!("{} cannot be locked", unknown.join(", "))]);
        Diagnostic::message(ExitCode::CouldNotCheck, why.collect::<Vec<_>>().join("\n"))
            .hint("nothing was written; run it again where the registries can be reached")
    })?;
    output(settings.output.as_deref(), context, &lock.render())?;
    if let Some(path) = &settings.output {
        let count = lock.len();
        let plural = if count == 1 { "" } else { "s" };
        context.console.say(&format!("{}: {count} image{plural} locked\n", path.display()));
    }
    Ok(ExitCode::Done)
}
