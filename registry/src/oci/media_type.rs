//! Media types of the OCI image-spec and of Docker's image manifest version 2, schema 2.
//!
//! Owns: names and their classification. Never: bytes.

/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI layer, uncompressed.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// OCI layer, gzip.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI layer, zstd.
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker image configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker layer, uncompressed.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
/// Docker layer, gzip.
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// Docker layer, zstd, as BuildKit writes it.
pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
/// The empty JSON object of OCI artifacts.
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// An in-toto statement, as BuildKit stores attestations.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// What a client asks for when it reads a manifest (distribution-spec, "Pulling manifests").
pub const MANIFEST_ACCEPT: [&str; 4] = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST];

/// Returns whether the type names an index or a manifest list.
pub fn is_index(media_type: &str) -> bool {
    matches!(media_type, OCI_INDEX | DOCKER_LIST)
}

/// Returns whether the type names an image manifest.
pub fn is_manifest(media_type: &str) -> bool {
    matches!(media_type, OCI_MANIFEST | DOCKER_MANIFEST)
}

/// Returns whether the type names an image configuration.
pub fn is_config(media_type: &str) -> bool {
    matches!(media_type, OCI_CONFIG | DOCKER_CONFIG)
}

/// Which of the two families of media types a manifest is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// OCI image-spec.
    #[default]
    Oci,
    /// Docker image manifest version 2, schema 2: no annotations, no artifacts, no subjects.
    Docker,
}

impl Format {
    /// Returns the type of an index (a manifest list).
    pub fn index(self) -> &'static str {
        match self {
            Self::Oci => OCI_INDEX,
            Self::Docker => DOCKER_LIST,
        }
    }

    /// Returns the type of an image manifest.
    pub fn manifest(self) -> &'static str {
        match self {
            Self::Oci => OCI_MANIFEST,
            Self::Docker => DOCKER_MANIFEST,
        }
    }

    /// Returns the type of an image configuration.
    pub fn config(self) -> &'static str {
        match self {
            Self::Oci => OCI_CONFIG,
            Self::Docker => DOCKER_CONFIG,
        }
    }

    /// Returns the type of a layer.
    pub fn layer(self, compression: LayerCompression) -> &'static str {
        match (self, compression) {
            (Self::Oci, LayerCompression::None) => OCI_LAYER,
            (Self::Oci, LayerCompression::Gzip) => OCI_LAYER_GZIP,
            (Self::Oci, LayerCompression::Zstd) => OCI_LAYER_ZSTD,
            (Self::Docker, LayerCompression::None) => DOCKER_LAYER,
            (Self::Docker, LayerCompression::Gzip) => DOCKER_LAYER_GZIP,
            (Self::Docker, LayerCompression::Zstd) => DOCKER_LAYER_ZSTD,
        }
    }
}

/// How a layer's tar is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LayerCompression {
    /// A plain tar.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// zstd (RFC 8878).
    Zstd,
}

impl LayerCompression {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::None, Self::Gzip, Self::Zstd];

    /// Returns a short name, for file names and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Returns the compression a layer's media type promises, or `None` for what is not a layer.
pub fn layer_compression(media_type: &str) -> Option<LayerCompression> {
    let nondistributable = media_type
        .replace("image.layer.nondistributable.v1", "image.layer.v1")
        .replace("rootfs.foreign.diff", "rootfs.diff");
    match nondistributable.as_str() {
        OCI_LAYER | DOCKER_LAYER => Some(LayerCompression::None),
        OCI_LAYER_GZIP | DOCKER_LAYER_GZIP => Some(LayerCompression::Gzip),
        OCI_LAYER_ZSTD | DOCKER_LAYER_ZSTD => Some(LayerCompression::Zstd),
        _ => None,
    }
}

/// Returns whether a layer must not be uploaded (image-spec, layer.md "Non-Distributable Layers").
pub fn is_nondistributable(media_type: &str) -> bool {
    media_type.contains(".nondistributable.") || media_type.contains(".rootfs.foreign.")
}
