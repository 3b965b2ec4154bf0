//! `polyarch gc-plan`: what of a repository can be deleted. It deletes nothing.

use polyarch_registry::gc_plan::{Keep, dot, plan, read};
use polyarch_registry::resolve::ManifestCache;
use time::OffsetDateTime;

use super::Context;
use super::audit::{globs, write};
use super::tools::{client, reference};
use crate::args::gc_plan::{GcPlanArgs, GcPlanFormat};
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::report::gc_plan;
use crate::settings::{GlobalSettings, Surroundings, ValueError, duration};
use crate::style::Style;

/// Runs `polyarch gc-plan`.
///
/// # Errors
/// A pattern or time is none, or the tags cannot be listed.
pub async fn run(
    args: &GcPlanArgs,
    global: &GlobalSettings,
    context: &Context,
    around: &Surroundings,
) -> Result<ExitCode, Diagnostic> {
    let at = reference(&args.repository, "REPO")?;
    if at.tag().is_some() || at.digest().is_some() {
        return Err(ValueError::new(&args.repository, "it is not a whole repository").of("REPO").into());
    }
    let older_than = args.older_than.as_deref().map(duration::parse).transpose();
    let keep = Keep {
        tags: globs(&args.keep_tags, "--keep-tags")?,
        last: args.keep_last,
        older_than: older_than.map_err(|error| error.of("--older-than"))?,
    };
    let cache = ManifestCache::of_store(&global.store);
    let graph = read(&client(&args.registries, around)?, &at, Some(cache)).await?;
    if let Some(glob) = keep.tags.iter().find(|glob| !graph.tags.keys().any(|tag| glob.matches(tag))) {
        let error = ValueError::new(&glob.to_string(), "no tag of the repository fits it, so that it keeps nothing");
        return Err(error.of("--keep-tags").into());
    }
    let plan = plan(&graph, &keep, OffsetDateTime::now_utc());
    if plan.complete && plan.kept.is_empty() && !plan.tags.is_empty() {
        let error = Diagnostic::message(ExitCode::Usage, format!("nothing of {} would stay", args.repository));
        return Err(error.hint("name what stays with --keep-tags, --keep-last or --older-than"));
    }
    let style = if args.output.is_some() { Style::plain() } else { context.console.out };
    let text = match args.format {
        GcPlanFormat::Text => gc_plan::render(&plan, style),
        GcPlanFormat::Json => serde_json::to_string_pretty(&plan).map_err(|error| Diagnostic::bug(&error))? + "\n",
        GcPlanFormat::Dot => dot(&graph, &plan),
    };
    match &args.output {
        Some(path) => write(&around.resolve(path), &text)?,
        None => context.console.result(text)?,
    }
    Ok(if plan.complete { ExitCode::Done } else { ExitCode::CouldNotCheck })
}
