//! `polyarch check`: our rules for every platform, and the daemon's own where one answers.
//!
//! Owns: joining both and the exit code. Never: builds.

mod daemon;
mod json;
mod render;
mod sarif;

use polyarch_builder::lint::{self, Finding};
use polyarch_builder::plan::{Problem, ProblemKind, plan as make_plan};

use super::Context;
use super::plan::{Prepared, output, prepare};
use super::planning::{doubts, errors};
use crate::args::CheckArgs;
use crate::args::values::CheckFormat;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::plan::{self as settings, CheckSettings, NodeChoice};
use crate::settings::{GlobalSettings, Surroundings};
use crate::style::Style;

/// Runs `polyarch check`.
///
/// # Errors
/// Settings that cannot be used, or a Dockerfile or plan that cannot be made sense of.
pub async fn run(
    args: Box<CheckArgs>,
    global: GlobalSettings,
    context: &Context,
    mut around: Surroundings,
) -> Result<ExitCode, Diagnostic> {
    let resolving = tokio::task::spawn_blocking(move || {
        let settings = settings::resolve_check(&args, &mut around)?;
        let asking = daemon::settings(&args, &settings, &mut around);
        Ok::<_, Diagnostic>((settings, asking))
    });
    let (settings, asking) = resolving.await.map_err(|error| Diagnostic::bug(&error))??;
    let prepared = prepare(&settings.subject, &global, context).await?;
    let plan = make_plan(&prepared.file, &prepared.input);
    let line = |line: u32| prepared.file.line(line).to_owned();
    // What no node can run can be checked all the same, and what an image lacks is a finding.
    let stops = |problem: &&Problem| match problem.kind {
        ProblemKind::LacksPlatform { .. } => false,
        _ => !problem.is_about_nodes(),
    };
    if let Some(problem) = plan.problems.iter().find(stops) {
        return Err(errors::of_plan(problem, &prepared.name, &line));
    }
    let mut findings = lint::check(&prepared.file, &prepared.input, &plan, &settings.skip);
    let mut notes: Vec<String> = prepared.notes.iter().chain(&prepared.image_notes).cloned().collect();
    notes.extend(doubts(&plan));
    if settings.subject.nodes != NodeChoice::ThisMachine && prepared.notes.is_empty() {
        match daemon::ask(asking, &prepared, &global, context).await {
            Ok(theirs) => {
                findings.extend(theirs.into_iter().filter(|one| !lint::is_skipped(&settings.skip, &one.rule)))
            }
            Err(error) if error.code == ExitCode::Cancelled => return Err(error),
            Err(error) => notes.push(format!("BuildKit's own rules were not checked: {}", error.chain.join(": "))),
        }
    }
    findings.sort_by(|a, b| (a.span, &a.rule).cmp(&(b.span, &b.rule)));
    tell(&settings, context, &prepared, &findings, &notes)?;
    Ok(if findings.is_empty() { ExitCode::Done } else { ExitCode::Audit })
}

fn tell(
    settings: &CheckSettings,
    context: &Context,
    prepared: &Prepared,
    findings: &[Finding],
    notes: &[String],
) -> Result<(), Diagnostic> {
    let style = if settings.output.is_some() { Style::plain() } else { context.console.out };
    for note in notes {
        context.console.say(&format!("{} {}\n", context.console.err.hint("note:"), crate::text::escape(note)));
    }
    let text = match settings.format {
        CheckFormat::Text => render::text(prepared, findings, style),
        CheckFormat::Json => json::render(prepared, findings),
        CheckFormat::Sarif => sarif::render(prepared, findings),
    };
    if settings.format == CheckFormat::Text && findings.is_empty() {
        context.console.say("check: no findings\n");
    }
    if text.is_empty() { Ok(()) } else { output(settings.output.as_deref(), context, &text) }
}
