//! `polyarch store`.

use clap::{Args, Subcommand};

use super::tools::ListingArgs;

/// Look after the local content store.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// List what is in the store
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Forget names; their content goes with the next gc
    Rm(RmArgs),
    /// Remove content that no name reaches
    Gc,
}

/// List what is in the store.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// How it is written.
    #[command(flatten)]
    pub listing: ListingArgs,
}

/// Forget names; their content goes with the next gc.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// NAME as `store ls` shows it, NAME@DIGEST, or DIGEST with all its names; `store:` before it is the same
    #[arg(value_name = "IMAGE", required = true)]
    pub names: Vec<String>,
}
