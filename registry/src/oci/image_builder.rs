//! Writes an image manifest around a configuration blob that stays as it is.
//!
//! For images whose layers were compressed here (classic image store, recompression). Never: for a
//! manifest that exists already; those bytes are kept.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Annotations, Descriptor, Digest, Format, RawManifest, media_type};

/// An image manifest under construction.
#[derive(Debug, Clone)]
pub struct ImageBuilder {
    format: Format,
    config: Descriptor,
    layers: Vec<Descriptor>,
    annotations: Annotations,
}

/// Why a manifest cannot be written in the chosen format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageBuildProblem {
    /// The blob's media type does not name a layer.
    #[error("layer {blob} has media type {media_type:?}, which is not a layer's")]
    NotALayer {
        /// The layer.
        blob: Digest,
        /// Its media type.
        media_type: String,
    },
    /// Docker manifests have no annotations, neither of their own nor on layers.
    #[error("a Docker image manifest cannot hold annotation {key:?}")]
    Annotation {
        /// The annotation's name.
        key: String,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema_version: u8,
    media_type: &'a str,
    config: &'a Descriptor,
    layers: &'a [Descriptor],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a Annotations,
}

impl ImageBuilder {
    /// Starts a manifest around a configuration of `size` bytes.
    pub fn new(format: Format, config: Digest, size: u64) -> Self {
        let config = Descriptor::new(format.config(), config, size);
        Self { format, config, layers: Vec::new(), annotations: Annotations::new() }
    }

    /// Adds the next layer. Its media type is rewritten to the manifest's format; the compression stays.
    #[must_use]
    pub fn layer(mut self, layer: Descriptor) -> Self {
        let media_type = in_format(&layer.media_type, self.format).unwrap_or_else(|| layer.media_type.clone());
        self.layers.push(Descriptor { media_type, ..layer });
        self
    }

    /// Adds annotations of the manifest.
    #[must_use]
    pub fn annotations(mut self, annotations: impl IntoIterator<Item = (String, String)>) -> Self {
        self.annotations.extend(annotations);
        self
    }

    /// Serialises the manifest once.
    ///
    /// # Errors
    /// Every problem, not the first.
    pub fn build(&self) -> Result<RawManifest, Vec<ImageBuildProblem>> {
        let problems: Vec<_> = self.problems().collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        let document = Document {
            schema_version: 2,
            media_type: self.format.manifest(),
            config: &self.config,
            layers: &self.layers,
            annotations: &self.annotations,
        };
        // Only strings, numbers and maps with string keys: this cannot fail.
        let bytes = serde_json::to_vec(&document).unwrap_or_default();
        Ok(RawManifest::new(self.format.manifest(), bytes))
    }

    fn problems(&self) -> impl Iterator<Item = ImageBuildProblem> {
        let odd = self.layers.iter().filter(|layer| media_type::layer_compression(&layer.media_type).is_none());
        let odd = odd.map(|layer| {
            let media_type = layer.media_type.clone();
            ImageBuildProblem::NotALayer { blob: layer.digest.clone(), media_type }
        });
        let keys = self.annotations.keys().chain(self.layers.iter().flat_map(|layer| layer.annotations.keys()));
        let docker = self.format == Format::Docker;
        odd.chain(keys.filter(move |_| docker).map(|key| ImageBuildProblem::Annotation { key: key.clone() }))
    }
}

/// Layers that must not be uploaded keep their own types: both formats' names are understood everywhere.
fn in_format(kind: &str, format: Format) -> Option<String> {
    let compression = media_type::layer_compression(kind)?;
    let keep = media_type::is_nondistributable(kind);
    Some(if keep { kind.to_owned() } else { format.layer(compression).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::media_type::{DOCKER_LAYER, DOCKER_LAYER_ZSTD, OCI_LAYER, OCI_LAYER_GZIP, OCI_LAYER_ZSTD};

    fn layer(media_type: &str) -> Descriptor {
        Descriptor::new(media_type, Digest::sha256("l"), 7)
    }

    #[test]
    fn bytes_are_known_and_types_follow_the_format() {
        let build = |format: Format| {
            let start = ImageBuilder::new(format, Digest::sha256("c"), 3);
            start.layer(layer(DOCKER_LAYER)).layer(layer(OCI_LAYER_ZSTD)).build().unwrap()
        };
        let want = |manifest: &str, config: &str, plain: &str, zstd: &str| {
            let (c, l) = (Digest::sha256("c"), Digest::sha256("l"));
            format!(
                r#"{{"schemaVersion":2,"mediaType":"{manifest}","config":{{"mediaType":"{config}","digest":"{c}","size":3}},"layers":[{{"mediaType":"{plain}","digest":"{l}","size":7}},{{"mediaType":"{zstd}","digest":"{l}","size":7}}]}}"#
            )
        };
        let oci = want(media_type::OCI_MANIFEST, media_type::OCI_CONFIG, OCI_LAYER, OCI_LAYER_ZSTD);
        assert_eq!(build(Format::Oci).bytes(), oci.as_bytes());
        let docker = want(media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG, DOCKER_LAYER, DOCKER_LAYER_ZSTD);
        assert_eq!(build(Format::Docker).bytes(), docker.as_bytes());
    }

    #[test]
    fn says_everything_it_cannot_hold() {
        let mut annotated = layer(OCI_LAYER_GZIP);
        annotated.annotations.insert("l".into(), "1".into());
        let problems = ImageBuilder::new(Format::Docker, Digest::sha256("c"), 3)
            .annotations([("m".into(), "1".into())])
            .layer(annotated.clone())
            .layer(layer("text/plain"))
            .build()
            .unwrap_err();
        let annotation = |key: &str| ImageBuildProblem::Annotation { key: key.into() };
        let odd = ImageBuildProblem::NotALayer { blob: Digest::sha256("l"), media_type: "text/plain".into() };
        assert_eq!(problems, [odd, annotation("m"), annotation("l")]);
        assert!(ImageBuilder::new(Format::Oci, Digest::sha256("c"), 3).layer(annotated).build().is_ok());
    }
}
