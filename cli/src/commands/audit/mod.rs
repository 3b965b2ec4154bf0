//! `polyarch audit`: what is wrong with published images.

mod explain;
mod jobs;

use polyarch_registry::audit::{Auditor, Policy, Report, Scope, Severity};
use polyarch_registry::client::Registry;
use polyarch_registry::resolve::ManifestCache;

use super::Context;
use crate::args::audit::{AuditArgs, AuditCommand, AuditFormat, FailOn, ScopeArgs};
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::report::audit;
use crate::settings::{GlobalSettings, Surroundings, ValueError, registries};

/// Runs `polyarch audit`.
///
/// # Errors
/// Nothing to audit is named, or something that is not there. Findings are a result, with their own exit codes.
pub async fn run(
    args: &AuditArgs,
    global: &GlobalSettings,
    context: &Context,
    around: &Surroundings,
) -> Result<ExitCode, Diagnostic> {
    match &args.command {
        Some(AuditCommand::Rules) => return explain::list(context),
        Some(AuditCommand::Explain(args)) => return explain::one(&args.rule, context),
        None => {}
    }
    if args.targets.is_empty() {
        let error = ValueError::new("", "nothing to audit is named");
        return Err(error.hint("REPO:TAG, REPO or oci:DIR").of("TARGET").into());
    }
    let registry = Registry::new(registries::resolve(&args.registries, around)?);
    let jobs = jobs::of(&args.targets, global, around).await?;
    let cache = Some(ManifestCache::of_store(&global.store));
    let auditor = Auditor::new(registry, cache, Policy::default(), scope(args.scope));
    let report = auditor.run(jobs, &|_| ()).await;
    let text = match args.format {
        AuditFormat::Text => audit::text::render(&report, context.console.out),
        AuditFormat::Json => audit::json::render(&report)?,
    };
    match &args.output {
        Some(path) => write(path, &around.cwd, &text)?,
        None => context.console.result(text)?,
    }
    Ok(code(&report, args.fail_on))
}

fn scope(args: ScopeArgs) -> Scope {
    Scope {
        blobs: args.blobs || args.deep,
        referrers: args.referrers || args.deep,
        binaries: args.binaries || args.deep,
        layers: args.deep,
    }
}

fn write(path: &std::path::Path, cwd: &std::path::Path, text: &str) -> Result<(), Diagnostic> {
    let path = cwd.join(path);
    std::fs::write(&path, text)
        .map_err(|error| Diagnostic::message(ExitCode::Publish, format!("cannot write {}: {error}", path.display())))
}

/// Findings outweigh what could not be checked: they are there whatever else there may be.
fn code(report: &Report, fail_on: FailOn) -> ExitCode {
    let least = match fail_on {
        FailOn::Error => Some(Severity::Error),
        FailOn::Warning => Some(Severity::Warning),
        FailOn::Info => Some(Severity::Info),
        FailOn::Never => None,
    };
    if least.is_some_and(|least| report.worst().is_some_and(|worst| worst >= least)) {
        ExitCode::Audit
    } else if report.unchecked() > 0 {
        ExitCode::CouldNotCheck
    } else {
        ExitCode::Done
    }
}
