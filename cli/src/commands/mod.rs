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

use crate::args::{BuildArgs, Cli, Command};
use crate::console::Console;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::{self, GlobalSettings, Surroundings, global};

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
        Command::Build(args) => build(args, &global, &context, around).await,
        Command::Push(args) => push::run(&args, &global, &context, &around).await,
        Command::Inspect(args) => until_cancelled(&context, inspect::run(&args, &global, &context, &around)).await,
        Command::Verify(args) => until_cancelled(&context, verify::run(&args, &global, &context, &around)).await,
        Command::Store(command) => until_cancelled(&context, store::run(&command, &global, &context)).await,
        Command::Registry(command) => serve::run(&command, &context, &around).await,
    }
}

async fn build(
    args: Box<BuildArgs>,
    global: &GlobalSettings,
    context: &Context,
    mut around: Surroundings,
) -> Result<ExitCode, Diagnostic> {
    let env = around.env.clone();
    // Standard input may hang: it is read where Ctrl-C does not wait for it.
    let resolving = tokio::task::spawn_blocking(move || settings::build::resolve(&args, &mut around));
    let resolving = async { resolving.await.map_err(|error| Diagnostic::bug(&error)) };
    let settings = until_cancelled(context, resolving).await??;
    let context = build::Context { global, env: &env, look: context.console.look(), cancel: context.cancel.clone() };
    build::run(&settings, &context).await
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
