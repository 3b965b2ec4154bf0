//! `polyarch audit`.

use clap::{Args, Subcommand};

use super::RegistryAccess;
use super::audit_output::{AuditOutput, MergeArgs, RulesArgs};
use super::audit_policy::{PolicyArgs, PolicyCommand};
use super::audit_run::RunArgs;

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
    /// What is expected, and of what
    #[command(flatten)]
    pub policy: PolicyArgs,
    /// What is read
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// What is asked beyond the images
    #[command(flatten)]
    pub beyond: BeyondArgs,
    /// How the report is written
    #[command(flatten)]
    pub output: AuditOutput,
    /// How many images are audited
    #[command(flatten)]
    pub run: RunArgs,
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

/// What an audit asks beyond the images that are audited.
#[derive(Debug, Clone, Args)]
pub struct BeyondArgs {
    /// Ask registries whether the bases that images name were updated, or are gone
    #[arg(long)]
    pub bases: bool,
    /// Compare what is audited with this repository, of which it is a mirror, by digests alone
    #[arg(long, value_name = "REPO")]
    pub mirror_of: Option<String>,
    /// Ask for each tag again at the end: one that has moved meanwhile is told
    #[arg(long)]
    pub recheck_tags: bool,
    /// Hold tags to where they lead in an earlier report (--format json)
    #[arg(long, value_name = "REPORT")]
    pub unmoved_since: Option<std::path::PathBuf>,
}

/// What else can be done with rules.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List the rules
    Rules(RulesArgs),
    /// Explain a rule: what it finds, how that comes about, what to do
    Explain(ExplainArgs),
    /// Join reports in JSON, such as those of shards, into one
    Merge(MergeArgs),
    /// Look at a policy without auditing anything
    #[command(subcommand)]
    Policy(PolicyCommand),
}

/// Explain a rule.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Id of the rule
    #[arg(value_name = "RULE")]
    pub rule: String,
}
