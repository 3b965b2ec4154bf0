//! `polyarch plan` and `polyarch check`.

use std::path::PathBuf;

use clap::Args;

use super::RegistryAccess;
use super::build::DockerfileArgs;
use super::lock::LockedArgs;
use super::values::{CheckFormat, Denied, PlanFormat};

/// Show what a build would do on every platform: which stages run natively, cross-compile, are emulated or cannot run,
/// which are shared, and which images are needed. Nothing is built.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Directory, Git or HTTP URL, or `-` for a Dockerfile on stdin
    #[arg(value_name = "CONTEXT", default_value = ".")]
    pub context: String,
    /// How the Dockerfile is read; --platform all-from-base takes every platform of the target's base image.
    #[command(flatten)]
    pub dockerfile: DockerfileArgs,
    /// The lock file.
    #[command(flatten)]
    pub locked: LockedArgs,
    /// What is asked.
    #[command(flatten)]
    pub nodes: NodeArgs,
    /// Run a tiny program on the builders for each foreign platform that a step needs: what runs is proven, not listed
    #[arg(long, conflicts_with = "offline", help_heading = "Builders")]
    pub probe: bool,
    /// Fail if a step would run this way
    #[arg(long, value_name = "MODE", value_delimiter = ',')]
    pub deny: Vec<Denied>,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "tree")]
    pub format: PlanFormat,
    /// Write it to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// Check a Dockerfile for mistakes that only show on some platforms. Nothing is built.
///
/// `# check=skip=RULE` in the Dockerfile and --skip silence a rule. Each rule has a page in docs/lints.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Directory, Git or HTTP URL, or `-` for a Dockerfile on stdin
    #[arg(value_name = "CONTEXT", default_value = ".")]
    pub context: String,
    /// How the Dockerfile is read.
    #[command(flatten)]
    pub dockerfile: DockerfileArgs,
    /// What is asked.
    #[command(flatten)]
    pub nodes: NodeArgs,
    /// Leave out a rule, or `all`
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub skip: Vec<String>,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: CheckFormat,
    /// Write it to this file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// What is asked before planning.
#[derive(Debug, Args)]
#[command(next_help_heading = "Builders")]
pub struct NodeArgs {
    /// Builder to plan for, as for build; repeat for several nodes [default: docker]
    #[arg(long, value_name = "BUILDER")]
    pub builder: Vec<String>,
    /// Ask no registry; without --builder, plan for this machine if no daemon answers
    #[arg(long)]
    pub no_resolve: bool,
    /// Ask neither a daemon nor a registry: plan for this machine
    #[arg(long, conflicts_with = "builder")]
    pub offline: bool,
}
