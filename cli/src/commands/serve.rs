//! `polyarch registry serve`: the embedded registry, until Ctrl-C.

use polyarch_registry::server::{Config, Server};

use super::Context;
use crate::args::registry::{RegistryCommand, ServeArgs};
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::{Surroundings, global};

/// Runs a registry command.
///
/// # Errors
/// The address or the directory cannot be used.
pub async fn run(command: &RegistryCommand, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    match command {
        RegistryCommand::Serve(args) => serve(args, context, around).await,
    }
}

async fn serve(args: &ServeArgs, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    let root = match &args.root {
        Some(root) => around.resolve(root),
        None => global::data_dir(&around.env, "the registry", "--root")?.join("registry"),
    };
    let server = Server::bind(Config::new(args.addr, root.clone())).await?;
    context.console.say(&format!("content in {}\n", root.display()));
    // The one line scripts wait for: the socket already takes connections.
    context.console.result(format!("listening on http://{}\n", server.addr()))?;
    let cancelled = async {
        context.cancel.cancelled().await;
        context.console.fresh_line();
        context.console.say("stopping; Ctrl-C again does not wait\n");
    };
    server.run(cancelled).await;
    // Ctrl-C is how a server ends.
    Ok(ExitCode::Done)
}
