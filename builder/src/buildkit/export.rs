//! Where a solve's result goes: BuildKit's exporters and their attributes.
//!
//! Owns: the spelling of exporter types and attributes. Pure. Never: receives bytes; the session's services do.

use std::collections::BTreeMap;

use crate::request::{BuildRequest, Compression, CompressionKind, Format};
use polyarch_registry::oci::Platform;

/// Exporter attributes, sorted.
pub type Attrs = BTreeMap<String, String>;

/// Where a solve's result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Export {
    /// Blobs into the session's `export` content store (`type=oci,tar=false`).
    OciDirectory(ImageOptions),
    /// One OCI layout as a tar stream through FileSend (bytes).
    OciTar(ImageOptions),
    /// One `docker save` tar stream through FileSend (bytes).
    DockerTar(ImageOptions),
    /// Into the image store of a Docker daemon, under this tag (`moby`, the classic store's exporter).
    Moby {
        /// Name with tag.
        tag: String,
    },
    /// The root file system's files through FileSend (packets).
    LocalDir,
    /// The root file system as a tar stream through FileSend (bytes).
    Tar,
    /// The daemon pushes by digest, tagging nothing, keeping nothing in its image store.
    ImagePush {
        /// Repositories without tags.
        repositories: Vec<String>,
        /// How the image is written.
        options: ImageOptions,
        /// Plain HTTP or unverified TLS is allowed (`registry.insecure`).
        insecure: bool,
    },
    /// Into the daemon's image store under these names (`image`, the containerd store's exporter).
    ImageStore {
        /// Names with tags.
        tags: Vec<String>,
        /// How the image is written.
        options: ImageOptions,
    },
    /// Nowhere: only the daemon's cache is filled.
    CacheOnly,
}

/// How an image is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageOptions {
    /// Media types.
    pub format: Format,
    /// Layer compression.
    pub compression: Compression,
    /// Annotations of the image manifest.
    pub annotations: BTreeMap<String, String>,
}

impl ImageOptions {
    /// Returns the request's options for one platform.
    pub fn of(request: &BuildRequest, platform: &Platform) -> Self {
        let wanted =
            request.manifest_annotations.iter().filter(|a| a.platform.as_ref().is_none_or(|p| p.same_as(platform)));
        Self {
            format: request.format,
            compression: request.compression.clone(),
            annotations: wanted.map(|a| (a.key.clone(), a.value.clone())).collect(),
        }
    }

    fn attrs(&self) -> Attrs {
        let mut attrs = Attrs::new();
        attrs.insert("oci-mediatypes".into(), (self.format == Format::Oci).to_string());
        if let Some(kind) = self.compression.kind {
            attrs.insert("compression".into(), compression_name(kind).into());
        }
        if let Some(level) = self.compression.level {
            attrs.insert("compression-level".into(), level.to_string());
        }
        if self.compression.force {
            attrs.insert("force-compression".into(), "true".into());
        }
        attrs.extend(self.annotations.iter().map(|(k, v)| (format!("annotation-manifest.{k}"), v.clone())));
        attrs
    }
}

impl Export {
    /// Returns BuildKit's exporter type and attributes; `None` for [`Export::CacheOnly`].
    pub fn entry(&self) -> Option<(&'static str, Attrs)> {
        let with = |options: &ImageOptions, extra: &[(&str, &str)]| {
            let mut attrs = options.attrs();
            attrs.extend(extra.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
            attrs
        };
        Some(match self {
            Self::OciDirectory(options) => ("oci", with(options, &[("tar", "false")])),
            Self::OciTar(options) => ("oci", with(options, &[])),
            Self::DockerTar(options) => ("docker", with(options, &[])),
            Self::Moby { tag } => ("moby", Attrs::from([("name".into(), tag.clone())])),
            // The folder per platform is ours: each platform is a solve of its own.
            Self::LocalDir => ("local", Attrs::from([("platform-split".into(), "false".into())])),
            Self::Tar => ("tar", Attrs::new()),
            Self::ImagePush { repositories, options, insecure } => {
                let names = repositories.join(",");
                let mut attrs = with(options, &[("name", &names), ("push", "true"), ("push-by-digest", "true")]);
                attrs.extend([("name-canonical".into(), "true".into()), ("store".into(), "false".into())]);
                if *insecure {
                    attrs.insert("registry.insecure".into(), "true".into());
                }
                ("image", attrs)
            }
            Self::ImageStore { tags, options } => ("image", with(options, &[("name", &tags.join(","))])),
            Self::CacheOnly => return None,
        })
    }
}

fn compression_name(kind: CompressionKind) -> &'static str {
    match kind {
        CompressionKind::Uncompressed => "uncompressed",
        CompressionKind::Gzip => "gzip",
        CompressionKind::Estargz => "estargz",
        CompressionKind::Zstd => "zstd",
    }
}
