//! `polyarch build`: buildx's names and meanings wherever both have the feature.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::RegistryAccess;
use super::lock::LockedArgs;
use super::values::{Compression, Denied, Feature, Format, Progress, Transfer};

/// Build an image for every platform asked for, and join the results into one index.
///
/// Without an output the result stays in the local store, from where `polyarch push` publishes it.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Directory, Git or HTTP URL, or `-` for a tar or a Dockerfile on stdin
    #[arg(value_name = "CONTEXT", default_value = ".")]
    pub context: String,
    /// What is built.
    #[command(flatten)]
    pub source: SourceArgs,
    /// The lock file.
    #[command(flatten)]
    pub locked: LockedArgs,
    /// Where it is built.
    #[command(flatten)]
    pub builder: BuilderArgs,
    /// What RUN instructions get.
    #[command(flatten)]
    pub sandbox: SandboxArgs,
    /// Cache options.
    #[command(flatten)]
    pub cache: CacheArgs,
    /// What becomes of the result.
    #[command(flatten)]
    pub result: ResultArgs,
    /// How registries are reached.
    #[command(flatten)]
    pub registries: RegistryAccess,
    /// What the user is told.
    #[command(flatten)]
    pub report: ReportArgs,
}

/// What decides how a Dockerfile is read.
#[derive(Debug, Args)]
#[command(next_help_heading = "What to build")]
pub struct DockerfileArgs {
    /// Dockerfile, or `-` for stdin [default: CONTEXT/Dockerfile]
    #[arg(short, long, value_name = "PATH")]
    pub file: Option<String>,
    /// Platforms, such as linux/amd64,linux/arm64 [default: the node's own]
    #[arg(long, value_name = "LIST")]
    pub platform: Vec<String>,
    /// Stage to build [default: the last]
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Build argument; without a value, the environment's
    #[arg(long, value_name = "KEY[=VALUE]")]
    pub build_arg: Vec<String>,
    /// Named context: a directory, docker-image://, oci-layout://, target: or a URL
    #[arg(long, value_name = "NAME=SOURCE")]
    pub build_context: Vec<String>,
}

/// What is built.
#[derive(Debug, Args)]
#[command(next_help_heading = "What to build")]
pub struct SourceArgs {
    /// How the Dockerfile is read.
    #[command(flatten)]
    pub dockerfile: DockerfileArgs,
    /// Label of every image
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Annotation, at `index:`, `manifest:`, `index-descriptor:` or `manifest-descriptor:`;
    /// `manifest[linux/arm64]:` for one platform [default level: manifest]
    #[arg(long, value_name = "[LEVEL:]KEY=VALUE")]
    pub annotation: Vec<String>,
    /// Ask the Dockerfile frontend instead of building: check, outline or targets; format=json for programs
    #[arg(long, value_name = "WHAT[,format=FORMAT]", default_value = "build", num_args = 1, hide_default_value = true)]
    pub call: String,
    /// Shorthand for --call=check
    #[arg(long, conflicts_with = "call")]
    pub check: bool,
}

/// Where it is built.
#[derive(Debug, Args)]
#[command(next_help_heading = "Builders")]
pub struct BuilderArgs {
    /// docker, unix://, tcp://, ssh://, buildkit+unix://, buildkit+tcp://, docker-container://NAME or
    /// dind[://?image=…]; repeat for several nodes [default: docker]
    #[arg(long, value_name = "BUILDER")]
    pub builder: Vec<String>,
    /// Stop all platforms when one fails, instead of letting the others finish
    #[arg(long)]
    pub fail_fast: bool,
    /// Warn instead of failing if a daemon lacks this feature
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    pub allow_missing: Vec<Feature>,
    /// Refuse to build if a step would run this way
    #[arg(long, value_name = "MODE", value_delimiter = ',')]
    pub deny: Vec<Denied>,
    /// Do not ask registries about base images while the build begins; the builder finds out by itself
    #[arg(long)]
    pub no_resolve: bool,
    /// Which way the result takes to the registry
    #[arg(long, value_name = "WAY", default_value = "store")]
    pub transfer: Transfer,
}

/// What RUN instructions get.
#[derive(Debug, Args)]
#[command(next_help_heading = "Inside the build")]
pub struct SandboxArgs {
    /// Secret: id=NAME[,src=FILE|,env=VAR][,type=file|env]
    #[arg(long, value_name = "SPEC")]
    pub secret: Vec<String>,
    /// SSH agent socket or keys: default, or ID=SOCKET|KEY[,KEY]
    #[arg(long, value_name = "SPEC")]
    pub ssh: Vec<String>,
    /// Entry of /etc/hosts; ADDRESS may be host-gateway
    #[arg(long, value_name = "HOST:ADDRESS")]
    pub add_host: Vec<String>,
    /// Network of RUN instructions: default, none or host
    #[arg(long, value_name = "MODE", default_value = "default")]
    pub network: String,
    /// Size of /dev/shm, such as 64m
    #[arg(long, value_name = "BYTES")]
    pub shm_size: Option<String>,
    /// Limit, such as nofile=1024:2048
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    pub ulimit: Vec<String>,
    /// Entitlement: network.host or security.insecure
    #[arg(long, value_name = "ENTITLEMENT")]
    pub allow: Vec<String>,
}

/// Cache options.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cache")]
pub struct CacheArgs {
    /// Take nothing from cache
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub no_cache: bool,
    /// Take these stages not from cache
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub no_cache_filter: Vec<String>,
    /// Resolve base images again, even if the daemon has them
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub pull: bool,
    /// Cache to read: a reference, or type=registry|local|gha|s3|azblob,…
    #[arg(long, value_name = "SPEC")]
    pub cache_from: Vec<String>,
    /// Cache to write: a reference, or type=registry|local|inline|gha|s3|azblob,…
    #[arg(long, value_name = "SPEC")]
    pub cache_to: Vec<String>,
}

/// What becomes of the result.
#[derive(Debug, Args)]
#[command(next_help_heading = "Result")]
pub struct ResultArgs {
    /// Name and tag; repeat for several tags or registries
    #[arg(short, long, value_name = "REF")]
    pub tag: Vec<String>,
    /// Publish to the registries of the tags, shorthand for --output=type=registry
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub push: bool,
    /// Load into the Docker daemon, shorthand for --output=type=docker
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true)]
    #[arg(
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub load: bool,
    /// oci:DIR, DIR (files, a folder per platform), - (tar on stdout), or
    /// type=registry|oci|docker|local|tar[,dest=PATH]
    #[arg(short, long, value_name = "OUTPUT")]
    pub output: Vec<String>,
    /// Media types: OCI index or Docker manifest list [default: oci]
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// Compression of new layers [default: the daemon's, gzip]
    #[arg(long, value_name = "KIND")]
    pub compression: Option<Compression>,
    /// Level: 0-9 for gzip and estargz, 0-22 for zstd
    #[arg(long, value_name = "N")]
    pub compression_level: Option<i32>,
    /// Compress again the layers that exist in another form
    #[arg(long)]
    pub force_compression: bool,
    /// Provenance attestation: true, false, mode=min or mode=max [default: none]
    #[arg(long, value_name = "SPEC")]
    pub provenance: Option<String>,
    /// SBOM attestation: true, false or generator=IMAGE [default: none]
    #[arg(long, value_name = "SPEC")]
    pub sbom: Option<String>,
    /// Attestation: type=provenance|sbom,…
    #[arg(long, value_name = "SPEC")]
    pub attest: Vec<String>,
}

/// What the user is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Progress and reports")]
pub struct ReportArgs {
    /// How progress is shown on stderr [default: auto]
    #[arg(long, value_name = "MODE")]
    pub progress: Option<Progress>,
    /// Shorthand for --progress=quiet
    #[arg(short, long, conflicts_with = "progress")]
    pub quiet: bool,
    /// Write the result's metadata to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub metadata_file: Option<PathBuf>,
    /// Write the result's digest to this file
    #[arg(long, value_name = "FILE")]
    pub iidfile: Option<PathBuf>,
}
