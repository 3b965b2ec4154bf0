//! One file per command: settings in, result out. No clap types beyond [`run`]'s match.

pub mod build;
pub mod inspect;
pub mod publish;
pub mod push;
pub mod registry;
pub mod serve;
pub mod source;
pub mod store;
pub mod table;
pub mod verify;

use std::future::Future;

use tokio_util::sync::CancellationToken;

use crate::args::{Cli, Command};
use crate::console::Console;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::{Surroundings, global};

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
pub async fn run(cli: Cli, context: Context, around: Surroundings) -> Result<ExitCode, Diagnostic> {
    let global = global::resolve(&cli.global, &around)?;
    match cli.command {
        Command::Build(args) => build::run(args, global, context, around).await,
        Command::Push(args) => push::run(&args, &global, &context, &around).await,
        Command::Inspect(args) => until_cancelled(&context, inspect::run(&args, &global, &context, &around)).await,
        Command::Verify(args) => until_cancelled(&context, verify::run(&args, &global, &context, &around)).await,
        Command::Store(command) => until_cancelled(&context, store::run(&command, &global, &context)).await,
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
