//! `polyarch lock`, and the options that use what it wrote.

use std::path::PathBuf;

use clap::Args;

use super::RegistryAccess;
use super::build::DockerfileArgs;

/// Write the digests of all external images to a file, which `build --locked` and `plan --locked` obey.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// Directory, Git or HTTP URL, or `-` for a Dockerfile on stdin
    #[arg(value_name = "CONTEXT", default_value = ".")]
    pub context: String,
    /// How the Dockerfile is read.
    #[command(flatten)]
    pub dockerfile: DockerfileArgs,
    /// Builder to plan for, as for build [default: docker, or this machine if it does not answer]
    #[arg(long, value_name = "BUILDER", help_heading = "Builders")]
    pub builder: Vec<String>,
    /// The file; `-` for stdout [default: CONTEXT/polyarch.lock]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// What of a lock file is used.
#[derive(Debug, Args, Default)]
#[command(next_help_heading = "What to build")]
pub struct LockedArgs {
    /// Use the digests of the lock file that `polyarch lock` wrote, and refuse images that are not in it
    #[arg(long)]
    pub locked: bool,
    /// Lock file [default: CONTEXT/polyarch.lock]
    #[arg(long, value_name = "FILE", requires = "locked")]
    pub lock_file: Option<PathBuf>,
}
