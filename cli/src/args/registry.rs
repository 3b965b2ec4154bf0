//! `polyarch registry`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Run the embedded registry.
#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// Serve a registry from a directory until Ctrl-C
    Serve(ServeArgs),
}

/// Serve a registry from a directory until Ctrl-C.
///
/// Plain HTTP, without authentication: for one machine, or behind a proxy that has both. Says on stderr where its content is, and
/// on stdout where it listens, once it does.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    pub addr: SocketAddr,
    /// Directory with the content
    /// [default: $XDG_DATA_HOME/polyarch/registry, where XDG_DATA_HOME is ~/.local/share if not set]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}
