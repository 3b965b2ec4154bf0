//! `polyarch audit --inventory`: the bases of what was audited, instead of what is wrong with it.

use std::sync::Arc;

use polyarch_registry::audit::inventory::Gatherer;
use polyarch_registry::audit::{Auditor, Job, RepositoryReport};
use polyarch_registry::client::Registry;
use polyarch_registry::resolve::ManifestCache;
use time::OffsetDateTime;

use super::output;
use crate::args::audit_output::{AuditFormat, AuditOutput};
use crate::args::audit_run::RunArgs;
use crate::commands::Context;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::report::audit::inventory;
use crate::settings::{SettingsError, Surroundings};
use crate::style::Style;

/// Reads the images, and asks about their bases.
///
/// # Errors
/// A format an inventory does not have, or a file that cannot be written.
pub async fn run(
    args: &AuditOutput,
    auditor: Auditor,
    registry: &Registry,
    (jobs, untold): (Vec<Job>, Vec<RepositoryReport>),
    cache: &ManifestCache,
    (context, around): (&Context, &Surroundings),
) -> Result<ExitCode, Diagnostic> {
    let gatherer = Arc::new(Gatherer::default());
    let mut report = auditor.with_inventory(Arc::clone(&gatherer)).run(jobs, &|_| ()).await;
    report.repositories.extend(untold);
    let mut found = gatherer.inventory();
    found.look(registry, Some(cache), OffsetDateTime::now_utc()).await;
    let images = report.images.iter().flat_map(|image| image.unchecked.iter().map(move |one| (image.name(), one)));
    let repositories = report.repositories.iter();
    let repositories =
        repositories.flat_map(|one| one.unchecked.iter().map(move |what| (one.repository.clone(), what)));
    for (name, one) in images.chain(repositories) {
        found.unchecked.push(format!("{} of {name}: {}", one.what, one.reason));
    }
    let style = if args.output.is_some() { Style::plain() } else { context.console.out };
    let text = match args.format {
        AuditFormat::Json => serde_json::to_string_pretty(&found).map_err(|error| Diagnostic::bug(&error))? + "\n",
        _ => inventory::render(&found, style),
    };
    match &args.output {
        Some(path) => output::write(&around.resolve(path), &text)?,
        None => context.console.result(text)?,
    }
    let is_unchecked = |base: &polyarch_registry::audit::inventory::Base| base.state.name() == "could not check";
    let complete = found.unchecked.is_empty() && !found.bases.iter().any(is_unchecked);
    Ok(if complete { ExitCode::Done } else { ExitCode::CouldNotCheck })
}

/// Refuses what only a report of findings has.
///
/// # Errors
/// Such an option.
pub fn check(args: &AuditOutput, run: &RunArgs) -> Result<(), SettingsError> {
    if run.shard.is_some() || run.resume {
        return Err(SettingsError::conflict(
            "--inventory cannot be used with --shard or --resume: it needs every image",
        ));
    }
    if !matches!(args.format, AuditFormat::Text | AuditFormat::Json) {
        return Err(SettingsError::conflict("--inventory is written as text or json only"));
    }
    if !args.reports.is_empty() || args.baseline.is_some() {
        return Err(SettingsError::conflict("--inventory cannot be used with --report or --baseline"));
    }
    Ok(())
}
