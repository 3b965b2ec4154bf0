//! `polyarch copy`.

use clap::Args;

use super::RegistryAccess;
use super::values::Progress;

/// Copy an image with all its platforms, byte for byte, and what refers to it.
///
/// Blobs stream from one registry to the other, verified on the way; the tag moves last. What is there is not sent
/// again, so a copy that broke off is continued by the same command.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  polyarch copy docker.io/library/alpine:3.20 localhost:5000/alpine:3.20
  polyarch copy --platform linux/amd64,linux/arm64 ghcr.io/o/app:1 oci:app:1
  polyarch copy --all-tags registry.example.com/a/app localhost:5000/app
  polyarch copy localhost:5000/app:1 docker-archive:app.tar
  polyarch copy docker-daemon:app:1 registry.example.com/app:1")]
pub struct CopyArgs {
    /// Registry reference, oci:DIR[:NAME][@DIGEST], store:NAME[@DIGEST], docker-archive:FILE or docker-daemon:IMAGE
    #[arg(value_name = "SRC")]
    pub source: String,
    /// Registry reference, oci:DIR[:NAME], docker-archive:FILE or docker-daemon:IMAGE; without a tag it is the source's
    #[arg(value_name = "DST")]
    pub destination: String,
    /// Only these platforms of an index, with their attestations: the index, and so its digest, is another one
    #[arg(long, value_name = "LIST")]
    pub platform: Vec<String>,
    /// Every tag of the source's repository, under the same names
    #[arg(long)]
    pub all_tags: bool,
    /// Leave signatures, SBOMs and whatever else refers to the image behind
    #[arg(long)]
    pub no_referrers: bool,
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
