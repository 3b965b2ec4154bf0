//! `polyarch push`.

use clap::Args;

use super::RegistryAccess;
use super::values::Progress;

/// Publish a result that is in the store: blobs, children, index, and the tags last.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Name it was built with, or its digest (or a unique beginning of it)
    #[arg(value_name = "NAME-or-DIGEST")]
    pub source: String,
    /// Where it goes; repeat for several [default: NAME]
    #[arg(short, long, value_name = "REF")]
    pub tag: Vec<String>,
    /// How progress is shown on stderr [default: auto]
    #[arg(long, value_name = "MODE")]
    pub progress: Option<Progress>,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}
