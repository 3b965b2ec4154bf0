//! `polyarch inspect`.

use clap::Args;

use super::RegistryAccess;
use super::tools::ListingArgs;

/// Show what is behind a reference: index, platforms, attestations, and what refers to them.
///
/// --field writes a line per platform.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Registry reference, store:NAME[@DIGEST], store:DIGEST or oci:DIR[:NAME][@DIGEST]
    ///
    /// NAME is what `polyarch store ls` shows; in a layout a tag or a full reference. Of a digest in the store or a layout, a
    /// unique beginning is enough.
    #[arg(value_name = "REF")]
    pub reference: String,
    /// How it is written.
    #[command(flatten)]
    pub listing: ListingArgs,
    /// Show only the image that a client of this platform gets, by containerd's rules
    #[arg(long, value_name = "PLATFORM", conflicts_with = "raw")]
    pub resolve_for: Option<String>,
    /// Write the manifest's own bytes, unchanged
    #[arg(long, conflicts_with_all = ["format", "field"])]
    pub raw: bool,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}
