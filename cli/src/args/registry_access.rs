//! How registries are reached: options of every command that talks to one.

use std::path::PathBuf;

use clap::Args;

/// How registries are reached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Registries")]
pub struct RegistryAccess {
    /// Registry without TLS; loopback addresses need no naming
    #[arg(long, value_name = "HOST[:PORT]")]
    pub plain_http: Vec<String>,
    /// Registry whose certificate is not checked
    #[arg(long, value_name = "HOST[:PORT]")]
    pub skip_tls_verify: Vec<String>,
    /// Certificate authority of a registry, besides /etc/docker/certs.d and /etc/containers/certs.d
    #[arg(long, value_name = "HOST=FILE")]
    pub registry_ca: Vec<String>,
    /// Client certificate and key for a registry
    #[arg(long, value_name = "HOST=CERT,KEY")]
    pub registry_cert: Vec<String>,
    /// Directory with `<HOST>/*.crt` files, searched first
    #[arg(long, value_name = "DIR")]
    pub cert_dir: Vec<PathBuf>,
}
