//! One file per command: settings in, result out. No clap types beyond [`run`]'s match.

pub mod about;
pub mod audit;
mod build;
pub mod check;
pub mod content;
pub mod copy;
pub mod diff;
pub mod gc_plan;
pub mod index;
pub mod inspect;
pub mod last_build;
mod listing;
pub mod lock;
pub mod login;
pub mod notes;
pub mod plan;
pub mod planning;
pub mod publish;
pub mod push;
pub mod reach;
pub mod serve;
pub mod source;
pub mod store;
pub mod table;
pub mod tools;
pub mod verify;

use std::future::Future;
use std::pin::pin;

use polyarch_builder::event::EventKind;
use polyarch_builder::event_sink::EventSink;
use tokio_util::sync::CancellationToken;

use crate::args::{Cli, Command};
use crate::console::Console;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::{Surroundings, global};

/// What a cancelled command that waits says.
const STOPPING: &str = "stopping and cleaning up; Ctrl-C again does not wait";

/// What every command has.
#[derive(Debug, Clone)]
pub struct Context {
    /// The streams.
    pub console: Console,
    /// Cancelled by the first Ctrl-C.
    pub cancel: CancellationToken,
}

/// Runs one command line.
///
/// # Errors
/// Whatever ends it, ready to be shown.
pub async fn run(cli: Cli, context: Context, mut around: Surroundings) -> Result<ExitCode, Diagnostic> {
    let global = global::resolve(&cli.global, &around)?;
    match cli.command {
        Command::Build(args) => build::run(args, global, context, around).await,
        Command::Check(args) => until_cancelled(&context, check::run(args, global, &context, around)).await,
        Command::Plan(args) => until_cancelled(&context, plan::run(args, global, &context, around)).await,
        Command::Lock(args) => until_cancelled(&context, lock::run(args, global, &context, around)).await,
        Command::Push(args) => push::run(&args, &global, &context, &around).await,
        Command::Inspect(args) => until_cancelled(&context, inspect::run(&args, &global, &context, &around)).await,
        Command::Verify(args) => until_cancelled(&context, verify::run(&args, &global, &context, &around)).await,
        Command::Audit(args) => until_cancelled(&context, audit::run(&args, &global, &context, &around)).await,
        Command::GcPlan(args) => until_cancelled(&context, gc_plan::run(&args, &global, &context, &around)).await,
        Command::Copy(args) => copy::run(&args, &global, &context, &around).await,
        Command::Diff(args) => until_cancelled(&context, diff::run(&args, &global, &context, &around)).await,
        Command::Index(command) => until_cancelled(&context, index::run(&command, &context, &around)).await,
        Command::Tags(args) => until_cancelled(&context, tools::tags(&args, &context, &around)).await,
        Command::Repos(args) => until_cancelled(&context, tools::repos(&args, &context, &around)).await,
        Command::Tag(args) => until_cancelled(&context, tools::tag(&args, &context, &around)).await,
        Command::Rm(args) => until_cancelled(&context, tools::rm(&args, &context, &around)).await,
        Command::Referrers(args) => until_cancelled(&context, tools::referrers(&args, &context, &around)).await,
        Command::Blob(command) => until_cancelled(&context, content::blob(&command, &context, &around)).await,
        Command::Manifest(command) => until_cancelled(&context, content::manifest(&command, &context, &around)).await,
        Command::Login(args) => login::login(&args, &context, &mut around).await,
        Command::Logout(args) => until_cancelled(&context, login::logout(&args, &context, &around)).await,
        Command::Store(command) => until_cancelled(&context, store::run(&command, &global, &context, &around)).await,
        Command::Registry(command) => serve::run(&command, &context, &around).await,
    }
}

/// Runs what needs no clean-up: cancelled, it is dropped.
async fn until_cancelled<T>(
    context: &Context,
    work: impl Future<Output = Result<T, Diagnostic>>,
) -> Result<T, Diagnostic> {
    tokio::select! {
        biased;
        done = work => done,
        () = context.cancel.cancelled() => Err(Diagnostic::cancelled()),
    }
}

/// Runs what cleans up when it is cancelled, and says on its own display that it does so.
async fn telling<T>(context: &Context, sink: EventSink, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        // First, for the work may have stopped before it is asked.
        () = context.cancel.cancelled() => sink.send(EventKind::Notice { message: STOPPING.to_owned() }),
        done = &mut work => return done,
    }
    // The display ends with the last sink.
    drop(sink);
    work.await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Console;
    use crate::settings::{ColorChoice, Env, Terminals};

    #[tokio::test]
    async fn a_cancelled_command_says_so_on_its_display() {
        let console = Console::new(ColorChoice::Plain, Terminals::default(), &Env::default());
        let context = Context { console, cancel: CancellationToken::new() };
        for is_cancelled in [false, true] {
            if is_cancelled {
                context.cancel.cancel();
            }
            let (sink, mut events) = EventSink::channel();
            telling(&context, sink, std::future::ready(())).await;
            let told = std::iter::from_fn(|| events.try_recv().ok());
            let told: Vec<EventKind> = told.map(|event| event.kind).collect();
            let want = is_cancelled.then(|| EventKind::Notice { message: STOPPING.to_owned() });
            assert_eq!(told, Vec::from_iter(want));
            assert!(events.is_closed(), "the display ends with the work");
        }
    }
}
