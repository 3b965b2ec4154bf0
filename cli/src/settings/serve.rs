//! `polyarch registry serve` and `gc`: the embedded registry's configuration.

use std::path::PathBuf;
use std::time::Duration;

use polyarch_registry::server::{Config, GcOptions, TlsFiles, Users, UsersError};

use super::{SettingsError, Surroundings, duration, global, size};
use crate::args::registry::{GcArgs, ServeArgs};

/// Shortest time between two collections: each looks at every repository.
const GC_FLOOR: Duration = Duration::from_secs(60);

/// Why the registry cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An option.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The users.
    #[error("the users cannot be read")]
    Users(#[from] UsersError),
}

/// Resolves the options of `registry serve`. Reads the file of users.
///
/// # Errors
/// [`ServeError`].
pub fn resolve(args: &ServeArgs, around: &Surroundings) -> Result<Config, ServeError> {
    let mut config = Config::new(args.addr, root(args.root.as_ref(), around)?);
    config.options.delete = args.delete;
    config.options.read_only = args.read_only;
    if let Some(path) = &args.htpasswd {
        config.options.users = Some(Users::read(&around.resolve(path))?);
    }
    if let Some(text) = &args.max_blob_size {
        let limit = size::parse(text).map_err(|error| error.of("--max-blob-size"))?;
        config.options.blob_limit = Some(limit);
    }
    if let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) {
        config.tls = Some(TlsFiles { cert: around.resolve(cert), key: around.resolve(key) });
    }
    if let Some(text) = &args.gc_every {
        let every = duration::parse(text).map_err(|error| error.of("--gc-every"))?;
        config.gc_every = Some((every.max(GC_FLOOR), GcOptions::default()));
    }
    Ok(config)
}

/// Resolves the options of `registry gc`: the registry's directory, and what to collect.
///
/// # Errors
/// [`SettingsError`].
pub fn resolve_gc(args: &GcArgs, around: &Surroundings) -> Result<(PathBuf, GcOptions), SettingsError> {
    let grace = duration::parse(&args.older_than).map_err(|error| error.of("--older-than"))?;
    let options = GcOptions { untagged: args.untagged, grace_seconds: grace.as_secs(), dry_run: args.dry_run };
    Ok((root(args.root.as_ref(), around)?, options))
}

fn root(named: Option<&PathBuf>, around: &Surroundings) -> Result<PathBuf, SettingsError> {
    match named {
        Some(root) => Ok(around.resolve(root)),
        None => Ok(global::data_dir(&around.env, "the registry", "--root")?.join("registry")),
    }
}
