//! `polyarch diff`.

use clap::Args;

use super::RegistryAccess;
use super::tools::ListingArgs;

/// Show what differs between two images, or between two platforms of one: configurations, layers and, if asked for, files.
///
/// Exit code 0 whether they differ or not; 7 with --exit-code if they do.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Registry reference, store:NAME[@DIGEST] or oci:DIR[:NAME][@DIGEST]
    #[arg(value_name = "A")]
    pub left: String,
    /// The other image, or with two --platform nothing
    #[arg(value_name = "B")]
    pub right: Option<String>,
    /// Platforms that are compared; of one image, two [default: every platform that both have]
    #[arg(long, value_name = "LIST")]
    pub platform: Vec<String>,
    /// Compare files, too: type, size, mode, owner, content. Every layer is read, unless both have the same
    #[arg(long)]
    pub files: bool,
    /// End with exit code 7 if something differs
    #[arg(long)]
    pub exit_code: bool,
    /// How it is written.
    #[command(flatten)]
    pub listing: ListingArgs,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}
