//! `polyarch build`: settings, the run with its display beside it, then the reports.
//!
//! Owns: what the user is told and the exit code. Never: how a build runs; `execute` calls the builder.

mod auth;
mod cache;
mod call;
mod daemon_push;
mod destination;
mod early;
mod errors;
mod execute;
mod keep;
mod mounts;
mod nodes;
mod outputs;
mod planning;
mod preflight;
mod report;
mod solve;
mod tails;

use polyarch_builder::event_sink::EventSink;

use self::destination::Destination;
use super::{Context, publish, telling, until_cancelled};
use crate::args::BuildArgs;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::report::{BuildReport, Mode, display, failure, metadata, show, summary};
use crate::settings::call::Call;
use crate::settings::export::Dest;
use crate::settings::output::Output;
use crate::settings::{BuildSettings, GlobalSettings, Surroundings, build};

/// What a run came to, and errors that are no platform's.
#[derive(Debug, Default)]
struct Done {
    /// The result, as far as there is one.
    report: BuildReport,
    /// Errors besides the platforms' own, such as a registry's refusal.
    errors: Vec<Diagnostic>,
    /// What the registries of the tags said on the side.
    notes: String,
}

/// Runs `polyarch build`.
///
/// # Errors
/// Settings that cannot be used, or a run that could not begin.
pub async fn run(
    args: Box<BuildArgs>,
    global: GlobalSettings,
    context: Context,
    mut around: Surroundings,
) -> Result<ExitCode, Diagnostic> {
    // Standard input may hang: it is read where Ctrl-C does not wait for it.
    let resolving = tokio::task::spawn_blocking(move || build::resolve(&args, &mut around));
    let resolved =
        until_cancelled(&context, async { resolving.await.map_err(|error| Diagnostic::bug(&error)) }).await?;
    let settings = resolved?;
    let (sink, events) = EventSink::channel();
    let shown = display(settings.progress, Box::new(std::io::stderr()), context.console.look());
    if let Call::Ask(question) = settings.call {
        let asking = execute::ask(&settings, question, &global, &context, sink.clone());
        let asking = telling(&context, sink, asking);
        let (answers, ()) = tokio::join!(asking, show(events, shown));
        return call::tell(&context, question, &answers?);
    }
    let (display, tails) = tails::record(shown);
    // `execute` and its teller take the only sinks: when they have ended, so does the display.
    let work = execute::execute(&settings, &global, &context, sink.clone());
    let work = telling(&context, sink, work);
    let (done, ()) = tokio::join!(work, show(events, display));
    let mut done = done?;
    report::add_logs(&mut done.report, &tails, planning::dockerfile(&settings.request).as_ref());
    finish(&settings, &context, done)
}

/// Asks the frontend instead of building; returns its JSON document for every platform.
///
/// # Errors
/// No node, or no answer.
pub async fn ask(
    settings: &BuildSettings,
    question: crate::settings::call::Question,
    global: &GlobalSettings,
    context: &Context,
    sink: EventSink,
) -> Result<Vec<(polyarch_registry::oci::Platform, Option<String>)>, Diagnostic> {
    let answers = execute::ask(settings, question, global, context, sink).await?;
    Ok(answers.into_iter().map(|(platform, answer)| (platform, answer.json)).collect())
}

/// Tells the result, writes the files, and decides the exit code.
fn finish(settings: &BuildSettings, context: &Context, done: Done) -> Result<ExitCode, Diagnostic> {
    let Done { report, errors, notes } = done;
    let console = &context.console;
    console.say(&failure::render(&report, console.look()));
    console.say(&notes);
    for error in &errors {
        console.error(error);
    }
    for warning in &report.warnings {
        console.say(&format!("{} {}\n", console.err.warning("warning:"), crate::text::escape(warning)));
    }
    // The digest of what is published is told even where a file cannot be written.
    tell(settings, context, &report)?;
    write_files(settings, &report)?;
    let codes = errors.iter().map(|error| error.code).chain([report.exit_code()]);
    Ok(codes.filter(|code| *code != ExitCode::Done).min().unwrap_or(ExitCode::Done))
}

fn write_files(settings: &BuildSettings, report: &BuildReport) -> Result<(), Diagnostic> {
    if let Some(path) = &settings.metadata_file {
        Destination::write(&Dest::File(path.clone()), &format!("{:#}\n", metadata::document(report)))?;
    }
    // As buildx: the digest alone, without a line end, and only of a result.
    if let (Some(path), Some(root)) = (&settings.iidfile, &report.root) {
        Destination::write(&Dest::File(path.clone()), &root.digest.to_string())?;
    }
    Ok(())
}

/// stdout is the result: none without a root, and none beside an output that goes there.
fn tell(settings: &BuildSettings, context: &Context, report: &BuildReport) -> Result<(), Diagnostic> {
    let console = &context.console;
    if report.root.is_some() && !settings.outputs.iter().any(Output::is_stdout) {
        return publish::tell(console, settings.progress, report);
    }
    if settings.progress != Mode::Quiet && settings.progress != Mode::Json && !report.platforms.is_empty() {
        console.say(&summary::render(report, console.err));
    }
    Ok(())
}
