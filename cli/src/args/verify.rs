//! `polyarch verify`.

use clap::Args;

use super::RegistryAccess;
use super::values::ReportFormat;

/// Check that an image is complete and is what its digests and platforms say.
///
/// Reads every manifest and config, and asks for the presence and size of every layer.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Registry reference, store:NAME[@DIGEST], store:DIGEST or oci:DIR[:NAME][@DIGEST]
    ///
    /// NAME is what `polyarch store ls` shows; in a layout a tag or a full reference. Of a digest in the store or a layout, a
    /// unique beginning is enough.
    #[arg(value_name = "REF")]
    pub reference: String,
    /// Also read every layer: its digest, its decompressed diff_id, its entries
    #[arg(long)]
    pub deep: bool,
    /// Platforms that must be there; a missing one is a finding, with exit code 5
    #[arg(long, value_name = "LIST")]
    pub platform: Vec<String>,
    /// How the findings are written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: ReportFormat,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}
