//! `polyarch audit policy`, and the options of an audit that say what is expected and of which images.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What is expected, and of what.
#[derive(Debug, Clone, Default, Args)]
pub struct PolicyArgs {
    /// What is expected of images, and which findings are waived (docs/audit-policy.md)
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Every repository of a registry that fits HOST/GLOB, where it tells them; `*` stays within a component, `**` does not
    #[arg(long, value_name = "HOST/GLOB")]
    pub repos: Vec<String>,
    /// Of whole repositories, only tags that fit
    #[arg(long, value_name = "GLOB")]
    pub tags: Vec<String>,
    /// Of whole repositories, no tags that fit
    #[arg(long, value_name = "GLOB")]
    pub exclude_tags: Vec<String>,
    /// Instead of findings, list the base images in use: digest, age, who uses them, which are behind their tag
    #[arg(long)]
    pub inventory: bool,
    /// Of what is missing, say whether this registry or repository still has it, and the command that brings it back
    #[arg(long, value_name = "HOST[/REPO]")]
    pub find_in: Vec<String>,
}

/// Look at a policy without auditing anything.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Check a policy: every mistake with line and column
    Check(PolicyCheckArgs),
    /// Print the JSON schema of a policy, for editors
    Schema,
}

/// Check a policy.
#[derive(Debug, Args)]
pub struct PolicyCheckArgs {
    /// The policy
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}
