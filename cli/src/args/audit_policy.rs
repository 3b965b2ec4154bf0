//! `polyarch audit policy`, and the options of an audit that say what is expected and of which images.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What is expected, and of what.
#[derive(Debug, Clone, Default, Args)]
pub struct PolicyArgs {
    /// What is expected of images, and which findings are waived (docs/audit-policy.md)
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
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
