//! What the user asks to be built, free of terminals and of BuildKit's wire types.
//!
//! Owns: the data. Never: reads files or the environment; the command line resolves both first.

use std::path::PathBuf;

use indexmap::IndexMap;
use polyarch_registry::oci::Platform;
pub use polyarch_registry::oci::media_type::Format;

use crate::secret::Secret;

/// One build, for every platform in `platforms`.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The main build context.
    pub context: ContextSource,
    /// Where the Dockerfile is.
    pub dockerfile: DockerfileSource,
    /// Platforms, in the order asked for, normalised, without duplicates.
    pub platforms: Vec<Platform>,
    /// Stage to build; the last one if `None`.
    pub target: Option<String>,
    /// `--build-arg`, resolved against the environment.
    pub build_args: IndexMap<String, String>,
    /// The image that reads the Dockerfile, whatever its `# syntax=` line names.
    pub frontend: Option<String>,
    /// `--build-context NAME=…`.
    pub build_contexts: IndexMap<String, ContextSource>,
    /// `--secret`, by id.
    pub secrets: IndexMap<String, SecretSource>,
    /// `--ssh`, by id.
    pub ssh: IndexMap<String, SshSource>,
    /// `--label`.
    pub labels: IndexMap<String, String>,
    /// `--no-cache` and `--no-cache-filter`.
    pub no_cache: NoCache,
    /// `--pull`: resolve base images again.
    pub pull: bool,
    /// `--cache-from`.
    pub cache_from: Vec<CacheSpec>,
    /// `--cache-to`.
    pub cache_to: Vec<CacheSpec>,
    /// `--provenance` and `--sbom`, as BuildKit's attestation attributes (`mode=max`, `generator=…`).
    pub attestations: IndexMap<AttestationKind, String>,
    /// `--add-host NAME:ADDRESS`.
    pub add_hosts: Vec<(String, String)>,
    /// `--network`.
    pub network: Network,
    /// `--shm-size`, bytes.
    pub shm_size: Option<u64>,
    /// `--ulimit`, as written: `nofile=1024:2048`.
    pub ulimits: Vec<String>,
    /// `--allow`: entitlements granted to the build, such as `network.host`.
    pub allow: Vec<String>,
    /// How new layers are compressed.
    pub compression: Compression,
    /// OCI or Docker media types.
    pub format: Format,
    /// `--annotation manifest:…`, written into each platform's manifest, with an optional platform filter.
    pub manifest_annotations: Vec<ManifestAnnotation>,
}

impl BuildRequest {
    /// Returns a request with nothing but these: no platform, no option.
    pub fn of(context: ContextSource, dockerfile: DockerfileSource) -> Self {
        Self {
            context,
            dockerfile,
            platforms: Vec::new(),
            target: None,
            build_args: IndexMap::new(),
            frontend: None,
            build_contexts: IndexMap::new(),
            secrets: IndexMap::new(),
            ssh: IndexMap::new(),
            labels: IndexMap::new(),
            no_cache: NoCache::Allow,
            pull: false,
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            attestations: IndexMap::new(),
            add_hosts: Vec::new(),
            network: Network::Default,
            shm_size: None,
            ulimits: Vec::new(),
            allow: Vec::new(),
            compression: Compression::default(),
            format: Format::Oci,
            manifest_annotations: Vec::new(),
        }
    }
}

/// An annotation of one level of one platform (or of all).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestAnnotation {
    /// Only this platform, or all.
    pub platform: Option<Platform>,
    /// Annotation key.
    pub key: String,
    /// Annotation value.
    pub value: String,
}

/// Where files of a build come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextSource {
    /// A local directory.
    Dir(PathBuf),
    /// A Git repository URL, fetched by the daemon.
    Git(String),
    /// An HTTP(S) URL of a tar or a Dockerfile, fetched by the daemon.
    Http(String),
    /// A tar stream from standard input, already spooled to this file by the command line.
    Tar(PathBuf),
    /// `docker-image://REF` (named contexts only).
    Image(String),
    /// `oci-layout://PATH[:TAG][@DIGEST]` (named contexts only).
    OciLayout {
        /// Layout directory.
        path: PathBuf,
        /// Tag and/or digest, as written.
        reference: Option<String>,
    },
    /// `target:NAME` or anything else BuildKit's frontend understands, passed as written.
    Verbatim(String),
}

/// Where the Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerfileSource {
    /// A file on this machine, possibly outside the context directory.
    File(PathBuf),
    /// A path inside a context that is not a local directory.
    InContext(String),
    /// The text itself (`-f -`).
    Text(Vec<u8>),
}

/// Where a secret's value comes from.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// A file, read when asked for.
    File(PathBuf),
    /// A value, from the environment.
    Value(Secret),
}

/// Where an SSH forwarding goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshSource {
    /// An agent's socket.
    Agent(PathBuf),
    /// Private key files, served by an in-process agent.
    Keys(Vec<PathBuf>),
}

/// What must not come from cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCache {
    /// Everything may.
    Allow,
    /// Nothing may.
    All,
    /// These stages may not.
    Stages(Vec<String>),
}

/// One cache import or export, `type=registry,ref=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSpec {
    /// `registry`, `local`, `inline`, `gha`, `s3`, `azblob`.
    pub kind: String,
    /// All other attributes.
    pub attrs: IndexMap<String, String>,
}

/// Attestations BuildKit can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttestationKind {
    /// SLSA provenance.
    Provenance,
    /// Software bill of materials.
    Sbom,
}

/// `--network` of RUN instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// The builder's sandbox network.
    #[default]
    Default,
    /// The daemon's host network (needs an entitlement on BuildKit).
    Host,
    /// No network.
    None,
}

/// How new layers are compressed, as buildx's exporter attributes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compression {
    /// The kind; `None` leaves the daemon's default (gzip).
    pub kind: Option<CompressionKind>,
    /// Level; `None` leaves the default.
    pub level: Option<i32>,
    /// Also convert layers that exist in another form.
    pub force: bool,
}

/// Layer compressions BuildKit offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionKind {
    /// No compression.
    Uncompressed,
    /// gzip.
    Gzip,
    /// eStargz, a seekable gzip.
    Estargz,
    /// zstd.
    Zstd,
}
