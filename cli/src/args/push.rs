//! `polyarch push`.

use clap::Args;

use super::RegistryAccess;
use super::values::Progress;

/// Publish a result that is in the store: blobs, children, index, and the tags last.
///
/// stdout gets the summary; with `--progress json` the metadata document, with `quiet` the digest alone.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// store:NAME[@DIGEST], store:DIGEST or oci:DIR[:NAME][@DIGEST]; without a prefix, in the store
    ///
    /// NAME is what `polyarch store ls` shows; in a layout a tag or a full reference. Of a digest, a unique beginning is
    /// enough. An image in a layout is verified first, every byte of it.
    #[arg(value_name = "IMAGE")]
    pub source: String,
    /// Where it goes; repeat for several [default: NAME, if it says where]
    #[arg(short, long, value_name = "REF")]
    pub tag: Vec<String>,
    /// How progress is shown on stderr [default: auto]
    #[arg(long, value_name = "MODE")]
    pub progress: Option<Progress>,
    /// Shorthand for --progress=quiet
    #[arg(short, long, conflicts_with = "progress")]
    pub quiet: bool,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
}
