//! `polyarch login` and `polyarch logout`.

use clap::Args;

use super::RegistryAccess;

/// Try user name and password at a registry, and keep them where Docker does.
///
/// They go to the credential helper that Docker's config.json names for the registry, else into that file. Nothing is
/// kept unless the registry accepts it.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// Registry, such as ghcr.io or localhost:5000
    #[arg(value_name = "HOST[:PORT]")]
    pub host: String,
    /// User name; asked for on a terminal if it is not given
    #[arg(short, long, value_name = "NAME")]
    pub username: Option<String>,
    /// Read the password from standard input
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// Forget user name and password of a registry.
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Registry, such as ghcr.io or localhost:5000
    #[arg(value_name = "HOST[:PORT]")]
    pub host: String,
}
