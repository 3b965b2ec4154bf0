//! The tools over one repository: `tags`, `repos`, `tag`, `rm`, `referrers`, `blob`, `manifest`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::RegistryAccess;
use super::values::ReportFormat;

/// How a listing is written.
#[derive(Debug, Clone, Args)]
pub struct ListingArgs {
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: ReportFormat,
    /// Only these columns, in full and separated by tabs, without a head
    #[arg(long, value_name = "LIST", value_delimiter = ',', conflicts_with = "format")]
    pub field: Vec<String>,
}

/// List the tags of a repository.
#[derive(Debug, Args)]
pub struct TagsArgs {
    /// Repository
    #[arg(value_name = "REPO")]
    pub repository: String,
    /// How it is written.
    #[command(flatten)]
    pub listing: ListingArgs,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// List the repositories of a registry, where it tells them.
#[derive(Debug, Args)]
pub struct ReposArgs {
    /// Registry
    #[arg(value_name = "HOST[:PORT]")]
    pub host: String,
    /// How it is written.
    #[command(flatten)]
    pub listing: ListingArgs,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// Give an image more tags in its repository. Nothing is copied.
#[derive(Debug, Args)]
pub struct TagArgs {
    /// The image
    #[arg(value_name = "SRC")]
    pub source: String,
    /// Tags, or references in the same repository
    #[arg(value_name = "NEW", required = true)]
    pub names: Vec<String>,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// Remove a tag; with --digest the manifest, and with it every tag that points at it.
#[derive(Debug, Args)]
pub struct RmRefArgs {
    /// The tag, or with --digest any reference to the manifest
    #[arg(value_name = "REF")]
    pub reference: String,
    /// Remove the manifest itself
    #[arg(long)]
    pub digest: bool,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// List what refers to an image: signatures, SBOMs, attestations.
#[derive(Debug, Args)]
pub struct ReferrersArgs {
    /// The image
    #[arg(value_name = "REF")]
    pub reference: String,
    /// Only those of this type
    #[arg(long, value_name = "TYPE")]
    pub artifact_type: Option<String>,
    /// How it is written.
    #[command(flatten)]
    pub listing: ListingArgs,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// Read or write one blob.
#[derive(Debug, Subcommand)]
pub enum BlobCommand {
    /// Write a blob to a file or stdout; its end only comes if its digest is right
    Get(BlobGetArgs),
    /// Send a file as a blob and print its digest
    Put(BlobPutArgs),
}

/// Write a blob to a file or stdout.
#[derive(Debug, Args)]
pub struct BlobGetArgs {
    /// REPO@DIGEST
    #[arg(value_name = "REPO@DIGEST")]
    pub reference: String,
    /// File, instead of stdout; it is there only if the blob is whole and right
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// Send a file as a blob.
#[derive(Debug, Args)]
pub struct BlobPutArgs {
    /// Repository
    #[arg(value_name = "REPO")]
    pub repository: String,
    /// File
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// Read or write one manifest or index, byte for byte.
#[derive(Debug, Subcommand)]
pub enum ManifestCommand {
    /// Write a manifest's bytes to stdout, unchanged
    Get(ManifestGetArgs),
    /// Send a file as a manifest, unchanged, and print its digest
    Put(ManifestPutArgs),
}

/// Write a manifest's bytes to stdout.
#[derive(Debug, Args)]
pub struct ManifestGetArgs {
    /// The manifest
    #[arg(value_name = "REF")]
    pub reference: String,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}

/// Send a file as a manifest.
#[derive(Debug, Args)]
pub struct ManifestPutArgs {
    /// Where it goes; a digest must be the file's
    #[arg(value_name = "REF")]
    pub reference: String,
    /// File
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Its type, where it does not say so itself
    #[arg(long, value_name = "TYPE")]
    pub media_type: Option<String>,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}
