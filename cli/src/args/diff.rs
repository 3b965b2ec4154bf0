//! `polyarch diff`.

use clap::Args;

use super::RegistryAccess;
use super::values::ReportFormat;

/// Show what differs between two images, or between two platforms of one: configurations and layers.
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
    /// End with exit code 7 if something differs
    #[arg(long)]
    pub exit_code: bool,
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: ReportFormat,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}
