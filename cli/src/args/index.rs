//! `polyarch index`.

use clap::{Args, Subcommand};

use super::RegistryAccess;
use super::tools::ListingArgs;
use super::values::Format;

/// Make and change indexes in a registry. What is not changed stays byte for byte.
#[derive(Debug, Subcommand)]
pub enum IndexCommand {
    /// Join images into an index
    Create(CreateArgs),
    /// Add images to an index
    Add(AddArgs),
    /// Take images out of an index, with the attestations about them
    Rm(RmEntryArgs),
    /// Set or remove annotations of an index or of its entries
    Annotate(AnnotateArgs),
    /// List the entries of an index
    Show(ShowArgs),
}

/// What protects a tag.
#[derive(Debug, Clone, Args)]
pub struct GuardArgs {
    /// Change the tag only while it points at this digest
    #[arg(long, value_name = "DIGEST")]
    pub if_digest: Option<String>,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// Join images into an index.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The index
    #[arg(value_name = "REF")]
    pub reference: String,
    /// Images and indexes of any repository; of an index all entries. What is elsewhere is copied first
    #[arg(value_name = "SRC", required = true)]
    pub sources: Vec<String>,
    /// Media types
    #[arg(long, value_name = "FORMAT", default_value = "oci")]
    pub format: Format,
    /// Annotation of the index
    #[arg(long, value_name = "KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Its protection.
    #[command(flatten)]
    pub guard: GuardArgs,
}

/// Add images to an index.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// The index
    #[arg(value_name = "REF")]
    pub reference: String,
    /// As for `create`
    #[arg(value_name = "SRC", required = true)]
    pub sources: Vec<String>,
    /// Its protection.
    #[command(flatten)]
    pub guard: GuardArgs,
}

/// Take images out of an index.
#[derive(Debug, Args)]
pub struct RmEntryArgs {
    /// The index
    #[arg(value_name = "REF")]
    pub reference: String,
    /// Platforms or digests
    #[arg(value_name = "ENTRY", required = true)]
    pub entries: Vec<String>,
    /// Its protection.
    #[command(flatten)]
    pub guard: GuardArgs,
}

/// Set or remove annotations.
#[derive(Debug, Args)]
pub struct AnnotateArgs {
    /// The index
    #[arg(value_name = "REF")]
    pub reference: String,
    /// KEY=VALUE sets, KEY- removes
    #[arg(value_name = "CHANGE", required = true)]
    pub changes: Vec<String>,
    /// Of this entry, a platform or digest, instead of the index
    #[arg(long, value_name = "ENTRY")]
    pub entry: Option<String>,
    /// Its protection.
    #[command(flatten)]
    pub guard: GuardArgs,
}

/// List the entries of an index.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The index
    #[arg(value_name = "REF")]
    pub reference: String,
    /// How it is written.
    #[command(flatten)]
    pub listing: ListingArgs,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}
