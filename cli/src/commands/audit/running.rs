//! An audit while it runs: its options, its progress on stderr, and what an interruption leaves.

use std::time::Duration;

use polyarch_registry::audit::{Auditor, Checkpoint, Job, Options, Report, dirs};

use super::progress::Progress;
use crate::args::audit_run::RunArgs;
use crate::commands::Context;
use crate::diagnostics::Diagnostic;
use crate::report::Mode;

use crate::settings::{GlobalSettings, SettingsError, Surroundings, ValueError, duration, progress};
use crate::text;

/// Older reports are not offered: the images may be others by now.
const OFFERED: Duration = Duration::from_secs(24 * 3600);

/// Returns the options.
///
/// # Errors
/// A time or a shard that is none.
pub fn options(args: &RunArgs, targets: &[String], global: &GlobalSettings) -> Result<Options, SettingsError> {
    let trust = match args.recheck {
        true => Duration::ZERO,
        false => duration::parse(&args.trust_for).map_err(|error| error.of("--trust-for"))?,
    };
    let parse = |text: &String| text.parse().map_err(|error| ValueError::new(text, format!("{error}")).of("--shard"));
    let shard = args.shard.as_ref().map(parse).transpose()?;
    let (memory, runs) = dirs(&global.store);
    let checkpoint = Checkpoint { dir: runs, asked: targets.join("\n"), resume: args.resume };
    Ok(Options { trust, memory: Some(memory), shard, checkpoint: Some(checkpoint) })
}

/// Runs the audit.
///
/// # Errors
/// It was interrupted.
pub async fn run(
    auditor: &Auditor,
    jobs: Vec<Job>,
    args: &RunArgs,
    context: &Context,
    around: &Surroundings,
) -> Result<Report, Diagnostic> {
    let mode = progress::resolve(None, args.quiet, around)?;
    if mode != Mode::Quiet && !args.resume {
        offer(auditor, context);
    }
    let progress = Progress::new(mode, context.console.look());
    let tell = |now| progress.set(now);
    let done = tokio::select! {
        biased;
        report = progress.beside(auditor.run(jobs, &tell)) => Some(report),
        () = context.cancel.cancelled() => None,
    };
    progress.clear();
    done.ok_or_else(|| {
        let done = progress.latest().done;
        let interrupted = Diagnostic::cancelled();
        match done {
            0 => interrupted,
            done => interrupted
                .hint(format!("{done} images are done; the same command with --resume goes on with the others")),
        }
    })
}

fn offer(auditor: &Auditor, context: &Context) {
    let Some((age, done)) = auditor.unfinished().filter(|(age, _)| *age <= OFFERED) else { return };
    let style = context.console.err;
    let age = text::duration(age);
    let note =
        format!("an audit of the same was interrupted {age} ago, with {done} images done: --resume goes on with it");
    context.console.say(&format!("{} {note}\n", style.bold("note:")));
}
