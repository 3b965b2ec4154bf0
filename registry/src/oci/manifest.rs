//! Manifests and indexes: the raw bytes are the truth, the parsed view is for reading only.
//!
//! Owns: [`RawManifest`] (bytes with their media type and digest) and [`Manifest`], its view.
//! Never: writes a view back. What is pushed or stored is always [`RawManifest::bytes`].

use bytes::Bytes;
use serde::Deserialize;

use super::{Annotations, Descriptor, Digest, media_type};

/// A manifest or index exactly as it was read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    bytes: Bytes,
    media_type: String,
    digest: Digest,
}

impl RawManifest {
    /// Wraps bytes, computing their SHA-256 digest.
    pub fn new(media_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { digest: Digest::sha256(&bytes), media_type: media_type.into(), bytes }
    }

    /// Returns the bytes, unchanged.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the media type it was read or written with.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// Returns the SHA-256 digest of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns a descriptor of the bytes.
    pub fn descriptor(&self) -> Descriptor {
        Descriptor::new(self.media_type.clone(), self.digest.clone(), self.bytes.len() as u64)
    }

    /// Parses the view.
    ///
    /// # Errors
    /// [`ManifestError`] when the bytes are not a manifest, or say they are of another type.
    pub fn view(&self) -> Result<Manifest, ManifestError> {
        Manifest::parse(&self.media_type, &self.bytes)
    }
}

/// Why bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or a required field is missing or of the wrong type.
    #[error("manifest is not valid JSON of its type")]
    Json(#[source] serde_json::Error),
    /// `mediaType` in the body differs from the type the bytes came with (image-spec, manifest.md).
    #[error("manifest says it is {body:?} but came as {outer:?}")]
    MediaTypeMismatch {
        /// The body's `mediaType`.
        body: String,
        /// The Content-Type or descriptor's media type.
        outer: String,
    },
    /// A media type polyarch does not read, such as Docker schema 1.
    #[error("media type {0:?} is not an image manifest or index")]
    Unsupported(String),
    /// Both `manifests` and `layers` are there: two clients could read two different images.
    #[error("manifest has both `manifests` and `layers`/`config`")]
    Ambiguous,
}

/// The parsed view of a manifest or index.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "few views are alive at once; a box would show in every match")]
pub enum Manifest {
    /// One platform's image (or an artifact).
    Image(ImageManifest),
    /// An index or manifest list.
    Index(ImageIndex),
}

/// An image manifest (image-spec, manifest.md).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageManifest {
    /// The configuration blob.
    pub config: Descriptor,
    /// Layers, base first.
    #[serde(deserialize_with = "super::null_as_default")]
    pub layers: Vec<Descriptor>,
    /// What this manifest refers to.
    #[serde(default)]
    pub subject: Option<Descriptor>,
    /// Artifact type, for manifests that are not images.
    #[serde(default)]
    pub artifact_type: Option<String>,
    /// Annotations of the manifest itself.
    #[serde(default, deserialize_with = "super::null_as_default")]
    pub annotations: Annotations,
}

/// An image index (image-spec, image-index.md) or Docker manifest list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageIndex {
    /// The children, in order: the first that matches a platform wins.
    #[serde(deserialize_with = "super::null_as_default")]
    pub manifests: Vec<Descriptor>,
    /// What this index refers to.
    #[serde(default)]
    pub subject: Option<Descriptor>,
    /// Artifact type.
    #[serde(default)]
    pub artifact_type: Option<String>,
    /// Annotations of the index itself.
    #[serde(default, deserialize_with = "super::null_as_default")]
    pub annotations: Annotations,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Probe {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
}

impl Manifest {
    /// Parses bytes that came with `media_type` (parameters after `;` are ignored).
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn parse(outer: &str, bytes: &[u8]) -> Result<Self, ManifestError> {
        let outer = outer.split(';').next().unwrap_or_default().trim();
        let probe: Probe = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        if let Some(body) = probe.media_type.filter(|body| !body.is_empty() && body != outer) {
            return Err(ManifestError::MediaTypeMismatch { body, outer: outer.to_owned() });
        }
        if probe.manifests.is_some() && (probe.layers.is_some() || probe.config.is_some()) {
            return Err(ManifestError::Ambiguous);
        }
        if media_type::is_index(outer) {
            serde_json::from_slice(bytes).map(Self::Index).map_err(ManifestError::Json)
        } else if media_type::is_manifest(outer) {
            serde_json::from_slice(bytes).map(Self::Image).map_err(ManifestError::Json)
        } else {
            Err(ManifestError::Unsupported(outer.to_owned()))
        }
    }

    /// Returns the descriptors of everything this manifest points at: children, or config and layers.
    pub fn references(&self) -> Vec<&Descriptor> {
        match self {
            Self::Image(image) => std::iter::once(&image.config).chain(&image.layers).collect(),
            Self::Index(index) => index.manifests.iter().collect(),
        }
    }

    /// Returns the `subject`, if any.
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Self::Image(image) => image.subject.as_ref(),
            Self::Index(index) => index.subject.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#""config":{"mediaType":"a/b","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;

    #[test]
    fn go_null_is_an_empty_list() {
        let image =
            RawManifest::new(media_type::OCI_MANIFEST, format!(r#"{{{CONFIG},"layers":null,"annotations":null}}"#));
        let Ok(Manifest::Image(view)) = image.view() else { panic!("{:?}", image.view()) };
        assert_eq!((view.layers, view.annotations), (Vec::new(), Annotations::new()));
        let index = RawManifest::new(media_type::OCI_INDEX, r#"{"manifests":null}"#);
        assert_eq!(index.view().unwrap().references(), Vec::<&Descriptor>::new());
    }

    #[test]
    fn refuses_what_two_readers_could_read_differently() {
        for (outer, body, want) in [
            (media_type::OCI_INDEX, format!(r#"{{"manifests":[],{CONFIG}}}"#), "both"),
            (
                media_type::OCI_INDEX,
                r#"{"mediaType":"application/vnd.oci.image.manifest.v1+json","manifests":[]}"#.into(),
                "but came as",
            ),
            ("application/vnd.docker.distribution.manifest.v1+json", "{}".into(), "not an image manifest"),
            (media_type::OCI_MANIFEST, "{}".into(), "not valid JSON"),
            (media_type::OCI_MANIFEST, "<html>".into(), "not valid JSON"),
        ] {
            let error = Manifest::parse(outer, body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(want), "{body}: {error}");
        }
        assert!(
            Manifest::parse("application/vnd.oci.image.index.v1+json; charset=utf-8", br#"{"manifests":[]}"#).is_ok()
        );
    }
}
