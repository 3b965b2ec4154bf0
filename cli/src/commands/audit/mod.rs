//! `polyarch audit`: what is wrong with published images.

mod beyond;
mod explain;
mod inventory;
mod jobs;
mod output;
mod policy;
mod progress;
mod running;
mod select;

pub use output::write;
pub use select::globs;

use polyarch_registry::audit::elsewhere::Elsewhere;
use polyarch_registry::audit::{Auditor, Policy, Scope};
use polyarch_registry::client::Registry;
use polyarch_registry::resolve::ManifestCache;

use super::Context;
use crate::args::audit::{AuditArgs, AuditCommand, ScopeArgs};
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
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
        Some(AuditCommand::Rules(args)) => return explain::list(args.format, context),
        Some(AuditCommand::Explain(args)) => return explain::one(&args.rule, context),
        Some(AuditCommand::Merge(args)) => return output::merge(args, context, around),
        Some(AuditCommand::Policy(command)) => return policy::run(command, context, around),
        None => {}
    }
    if args.targets.is_empty() && args.policy.repos.is_empty() {
        let error = ValueError::new("", "nothing to audit is named");
        return Err(error.hint("REPO:TAG, REPO, oci:DIR, or --repos HOST/GLOB").of("TARGET").into());
    }
    let output = output::Output::new(&args.output, around)?;
    let wanted = match &args.policy.policy {
        Some(file) => match policy::load(file, policy::today(), context, around)? {
            Some(policy) => policy,
            None => return Ok(ExitCode::Usage),
        },
        None => Policy::default(),
    };
    if args.policy.inventory {
        inventory::check(&args.output, &args.run)?;
    }
    let registry = Registry::new(registries::resolve(&args.registries, around)?);
    let tags = select::tags(&args.policy)?;
    let mut jobs = jobs::of(&args.targets, global, around).await?;
    let untold = select::add(&args.policy.repos, &registry, &mut jobs).await?;
    let cache = ManifestCache::of_store(&global.store);
    let auditor =
        Auditor::new(registry.clone(), Some(cache.clone()), wanted.clone(), scope(args.scope)).with_tags(tags);
    let auditor = match select::places(&args.policy.find_in)? {
        places if places.is_empty() => auditor,
        places => auditor.with_elsewhere(Elsewhere::new(&registry, places)),
    };
    if args.policy.inventory {
        let work = (jobs, untold);
        return inventory::run(&args.output, auditor, &registry, work, &cache, (context, around)).await;
    }
    let asked: Vec<String> =
        args.targets.iter().chain(&args.policy.repos).chain(&args.policy.find_in).cloned().collect();
    let auditor = auditor.with_options(running::options(&args.run, &asked, global)?);
    let auditor = auditor.beyond(beyond::of(&args.beyond, around)?);
    let mut report = running::run(&auditor, jobs, &args.run, context, around).await?;
    report.repositories.extend(untold);
    report.time = now();
    if let Some(file) = &args.policy.policy {
        policy::tell_unused(file, &wanted, &report, context);
    }
    output.tell(report, context, around)
}

fn now() -> Option<String> {
    let now = time::OffsetDateTime::now_utc();
    now.replace_nanosecond(0).ok()?.format(&time::format_description::well_known::Rfc3339).ok()
}

fn scope(args: ScopeArgs) -> Scope {
    Scope {
        blobs: args.blobs || args.deep,
        referrers: args.referrers || args.deep,
        binaries: args.binaries || args.deep,
        layers: args.deep,
    }
}
