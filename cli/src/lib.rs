//! The polyarch command: the only crate that knows argv, the environment, the terminal and exit codes.
//!
//! Arguments ([`args`]) and the environment become settings ([`settings`]), a command ([`commands`])
//! runs on settings, and displays ([`report`]) consume the run's events.

pub mod args;
pub mod commands;
pub mod console;
pub mod diagnostics;
pub mod exit_code;
pub mod interrupt;
pub mod prompt;
pub mod report;
pub mod settings;
pub mod style;
pub mod text;

use std::path::PathBuf;

use clap::Parser;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::Cli;
use crate::commands::Context;
use crate::console::Console;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::interrupt::Ending;
use crate::settings::{Env, Spool, Surroundings, global};

/// Runs the command line of this process.
pub fn main() -> std::process::ExitCode {
    let env = Env::from_process();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error).into(),
    };
    let terminals = console::terminals();
    let console = Console::new(global::color(cli.global.color, &env), terminals, &env);
    log(cli.global.verbose, &env, console);
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let spool = Spool::default();
    let around = Surroundings { env, cwd, stdin: Box::new(std::io::stdin()), terminals, spool: spool.clone() };
    let code = run(cli, console, around).unwrap_or_else(|diagnostic| {
        console.error(&diagnostic);
        diagnostic.code
    });
    spool.clear();
    code.into()
}

/// clap's own messages: help and version are results, the rest are usage errors.
fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to be told that nobody reads this.
    let _ = error.print();
    if error.use_stderr() { ExitCode::Usage } else { ExitCode::Done }
}

fn log(verbose: u8, env: &Env, console: Console) {
    let filter = EnvFilter::new(global::log_filter(verbose, env));
    let is_colored = console.err != style::Style::plain();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(is_colored).with_writer(std::io::stderr);
    log.init();
}

#[expect(clippy::exit, reason = "what blocks the process cannot be asked to return")]
fn run(cli: Cli, console: Console, around: Surroundings) -> Result<ExitCode, Diagnostic> {
    let bug = |error: std::io::Error| Diagnostic::message(ExitCode::Bug, format!("cannot start: {error}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(bug)?;
    let cancel = CancellationToken::new();
    let context = Context { console, cancel: cancel.clone() };
    let spool = around.spool.clone();
    let ending = Ending {
        told: || {
            console.fresh_line();
            console.say("aborted; the next run removes what this one may have left at a daemon\n");
        },
        exit: move || {
            spool.clear();
            std::process::exit(ExitCode::Cancelled.code().into());
        },
    };
    let work = commands::run(cli, context, around);
    let done = runtime.block_on(interrupt::run(&cancel, work, ending)).map_err(bug)?;
    // Blocking work that was dropped must not hold the process.
    runtime.shutdown_background();
    done.unwrap_or(Ok(ExitCode::Cancelled))
}
