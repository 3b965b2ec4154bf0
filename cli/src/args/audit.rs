//! `polyarch audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::RegistryAccess;

/// Find what is wrong with published multi-arch images.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AuditArgs {
    /// What else can be done with rules
    #[command(subcommand)]
    pub command: Option<AuditCommand>,
    /// REPO:TAG, REPO@DIGEST, REPO for every tag of it, oci:DIR[:NAME] or store:NAME
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// What is read
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// How the report is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub format: AuditFormat,
    /// Write the report to a file instead of stdout
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Mildest finding that makes the command end with code 7
    #[arg(long, value_name = "SEVERITY", default_value = "error")]
    pub fail_on: FailOn,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// What an audit reads besides manifests and configurations.
#[derive(Debug, Clone, Copy, Args)]
pub struct ScopeArgs {
    /// Ask for each configuration and layer whether it is there
    #[arg(long)]
    pub blobs: bool,
    /// Look for signatures, SBOMs and other referrers of each manifest
    #[arg(long)]
    pub referrers: bool,
    /// Read the headers of the programs images start, as little of a layer as that takes
    #[arg(long)]
    pub binaries: bool,
    /// Read every layer, and all of the above
    #[arg(long)]
    pub deep: bool,
}

/// How an audit's report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuditFormat {
    /// For people
    Text,
    /// One JSON document, see docs/audit.md
    Json,
}

/// What makes an audit fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Errors
    Error,
    /// Warnings and errors
    Warning,
    /// Any finding
    Info,
    /// Nothing
    Never,
}

/// What else can be done with rules.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List the rules
    Rules,
    /// Explain a rule: what it finds, how that comes about, what to do
    Explain(ExplainArgs),
}

/// Explain a rule.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Id of the rule
    #[arg(value_name = "RULE")]
    pub rule: String,
}
