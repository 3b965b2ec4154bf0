//! `polyarch registry serve` and `gc`: the embedded registry, until Ctrl-C, and its upkeep.

use polyarch_registry::server::{self, Collected, Config, Server};
use serde_json::json;

use super::Context;
use crate::args::registry::{GcArgs, RegistryCommand, ServeArgs};
use crate::args::values::ReportFormat;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::{Surroundings, serve as settings};
use crate::text::bytes;

/// Runs a registry command.
///
/// # Errors
/// The address, the directory, the certificate or the users cannot be used.
pub async fn run(command: &RegistryCommand, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    match command {
        RegistryCommand::Serve(args) => serve(args, context, around).await,
        RegistryCommand::Gc(args) => super::until_cancelled(context, collect(args, context, around)).await,
    }
}

async fn serve(args: &ServeArgs, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    let config = settings::resolve(args, around)?;
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    if sends_passwords_openly(&config) {
        context.console.say(
            "warning: passwords cross the network unencrypted; --tls-cert and --tls-key prevent it
",
        );
    }
    let root = config.root.clone();
    let server = Server::bind(config).await?;
    context.console.say(&format!(
        "content in {}
",
        root.display()
    ));
    // The one line scripts wait for: the socket already takes connections.
    context.console.result(format!(
        "listening on {scheme}://{}
",
        server.addr()
    ))?;
    let cancelled = async {
        context.cancel.cancelled().await;
        context.console.fresh_line();
        context.console.say(
            "stopping; Ctrl-C again does not wait
",
        );
    };
    server.run(cancelled).await;
    // Ctrl-C is how a server ends.
    Ok(ExitCode::Done)
}

fn sends_passwords_openly(config: &Config) -> bool {
    config.options.users.is_some() && config.tls.is_none() && !config.addr.ip().is_loopback()
}

async fn collect(args: &GcArgs, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    let (root, options) = settings::resolve_gc(args, around)?;
    let collected = server::collect(&root, options).await?;
    context.console.result(match args.format {
        ReportFormat::Json => format!("{}\n", json!(collected)),
        ReportFormat::Table => sentence(&collected, args.dry_run),
    })?;
    Ok(ExitCode::Done)
}

fn sentence(collected: &Collected, dry_run: bool) -> String {
    let Collected { manifests, links, blobs, bytes: size } = *collected;
    // Bytes lose their last name only when it is really removed.
    match dry_run {
        true => format!("would forget {manifests} manifests and {links} blobs of repositories\n"),
        false => format!(
            "forgot {manifests} manifests and {links} blobs of repositories; removed {blobs} files, {}\n",
            bytes(size)
        ),
    }
}
