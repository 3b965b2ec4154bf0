//! How `polyarch audit` goes about many images.

use clap::Args;

/// How many images are audited. None of it changes what is found.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// How long it is believed that a repository still has the manifests and configurations that were seen there
    ///
    /// Tags are asked about each time. Within that time a second audit costs one request for each tag.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub trust_for: String,
    /// Ask for everything, however lately it was seen: --trust-for 0s
    #[arg(long, conflicts_with = "trust_for")]
    pub recheck: bool,
    /// Go on where an audit of the same was interrupted
    #[arg(long)]
    pub resume: bool,
    /// Audit one of N parts of the images: the same part on every machine; `audit merge` joins the reports
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
}
