//! `polyarch push`.

use clap::Args;

/// Publish a result that is in the store: blobs, children, index, and the tags last.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Name it was built with, or its digest (or a unique beginning of it)
    #[arg(value_name = "NAME-or-DIGEST")]
    pub source: String,
    /// Where it goes; repeat for several [default: NAME]
    #[arg(short, long, value_name = "REF")]
    pub tag: Vec<String>,
}
