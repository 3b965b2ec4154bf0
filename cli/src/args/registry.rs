//! `polyarch registry`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values::ReportFormat;

/// Run the embedded registry.
#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    /// Serve a registry from a directory until Ctrl-C
    Serve(ServeArgs),
    /// Remove what a registry holds without need, also from one that is running
    Gc(GcArgs),
}

/// Serve a registry from a directory until Ctrl-C.
///
/// Without --htpasswd everyone who reaches the address may read and push; without --tls-cert it speaks plain HTTP.
/// Says on stderr where its content is, and on stdout where it listens, once it does.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    pub addr: SocketAddr,
    /// Directory with the content
    /// [default: $XDG_DATA_HOME/polyarch/registry, where XDG_DATA_HOME is ~/.local/share if not set]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Certificate in PEM form, followed by those that vouch for it
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Users and their passwords, as `htpasswd -B` writes them
    #[arg(long, value_name = "FILE")]
    pub htpasswd: Option<PathBuf>,
    /// Take nothing, only serve
    #[arg(long, conflicts_with = "delete")]
    pub read_only: bool,
    /// Let clients delete tags, manifests and blobs
    #[arg(long)]
    pub delete: bool,
    /// Largest blob, such as 10g [default: no limit]
    #[arg(long, value_name = "SIZE")]
    pub max_blob_size: Option<String>,
    /// Collect garbage this often while serving, such as 24h, at least 1m [default: never]
    #[arg(long, value_name = "TIME")]
    pub gc_every: Option<String>,
}

/// Remove what a registry holds without need, also from one that is running.
///
/// Blobs that no manifest of their repository names go, then the bytes that no repository names.
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Directory with the content [default: $XDG_DATA_HOME/polyarch/registry]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Also manifests that no tag reaches, neither through an index nor as a referrer
    #[arg(long)]
    pub untagged: bool,
    /// Leave what was pushed or asked for more recently: no push may take longer
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub older_than: String,
    /// Only say what would go
    #[arg(long)]
    pub dry_run: bool,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: ReportFormat,
}
