//! Joins image manifests into an OCI index or a Docker manifest list.
//!
//! Owns: what each format can hold, order and bytes: the same calls give the same digest.
//! Never: changes a child; reorders platforms.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Annotations, Descriptor, Digest, Format, Platform, RawManifest, media_type};

/// BuildKit's annotation on an attestation manifest's descriptor: the image it is about (buildkit, `attestation-storage.md`).
pub const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";
/// BuildKit's annotation that marks an attestation manifest's descriptor.
pub const REFERENCE_TYPE: &str = "vnd.docker.reference.type";
/// The value of [`REFERENCE_TYPE`].
pub const ATTESTATION_MANIFEST: &str = "attestation-manifest";

/// An index under construction.
#[derive(Debug, Clone)]
pub struct IndexBuilder {
    format: Format,
    annotations: Annotations,
    images: Vec<Descriptor>,
    attestations: Vec<Descriptor>,
}

/// Why children cannot be joined in the chosen format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexProblem {
    /// There is no image.
    #[error("an index needs at least one image")]
    Empty,
    /// Two children are for one platform; a client would never get the second.
    #[error("platform {platform} has two images, {first} and {second}")]
    DuplicatePlatform {
        /// The platform, normalised.
        platform: Platform,
        /// The first child.
        first: Digest,
        /// The second child.
        second: Digest,
    },
    /// Docker manifest lists have no annotations.
    #[error("a Docker manifest list cannot hold annotation {key:?}")]
    IndexAnnotation {
        /// The annotation's name.
        key: String,
    },
    /// Docker manifest lists have no annotations on their entries either.
    #[error("a Docker manifest list cannot hold annotation {key:?} of {child}")]
    DescriptorAnnotation {
        /// The child.
        child: Digest,
        /// The annotation's name.
        key: String,
    },
    /// The child's media type does not belong in this format.
    #[error("{child} of type {media_type:?} cannot be in an index of type {index:?}")]
    ChildType {
        /// The child.
        child: Digest,
        /// Its media type.
        media_type: String,
        /// The index's media type.
        index: &'static str,
    },
    /// Docker manifest lists have no artifacts, so neither attestations.
    #[error("a Docker manifest list cannot hold artifact or attestation {child}")]
    Artifact {
        /// The child.
        child: Digest,
    },
    /// The attestation is about an image that is not in the index.
    #[error("attestation {child} is about {}, which is not in the index", .subject.as_deref().unwrap_or("nothing"))]
    OrphanAttestation {
        /// The attestation manifest.
        child: Digest,
        /// What its annotation names.
        subject: Option<String>,
    },
}

/// Field order as BuildKit and Docker write it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema_version: u8,
    media_type: &'a str,
    manifests: Vec<&'a Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a Annotations,
}

impl IndexBuilder {
    /// Starts an empty index.
    pub fn new(format: Format) -> Self {
        Self { format, annotations: Annotations::new(), images: Vec::new(), attestations: Vec::new() }
    }

    /// Adds annotations of the index itself.
    #[must_use]
    pub fn annotations(mut self, annotations: impl IntoIterator<Item = (String, String)>) -> Self {
        self.annotations.extend(annotations);
        self
    }

    /// Adds an image. `platform` is written as given, so pass what its configuration says.
    #[must_use]
    pub fn image(mut self, manifest: Descriptor, platform: Platform) -> Self {
        self.images.push(Descriptor { platform: Some(platform), ..manifest });
        self
    }

    /// Adds an attestation manifest about the image `subject`. It comes after all images, as BuildKit does it.
    #[must_use]
    pub fn attestation(mut self, manifest: Descriptor, subject: &Digest) -> Self {
        let mut child = Descriptor { platform: Some(Platform::new("unknown", "unknown", None)), ..manifest };
        child.annotations.insert(REFERENCE_TYPE.to_owned(), ATTESTATION_MANIFEST.to_owned());
        child.annotations.insert(REFERENCE_DIGEST.to_owned(), subject.to_string());
        self.attestations.push(child);
        self
    }

    /// Serialises the index once.
    ///
    /// # Errors
    /// Every problem, not the first.
    pub fn build(&self) -> Result<RawManifest, Vec<IndexProblem>> {
        let problems = self.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let document = Document {
            schema_version: 2,
            media_type: self.format.index(),
            manifests: self.children().collect(),
            annotations: &self.annotations,
        };
        // Only strings, numbers and maps with string keys: this cannot fail.
        let bytes = serde_json::to_vec(&document).unwrap_or_default();
        Ok(RawManifest::new(self.format.index(), bytes))
    }

    fn children(&self) -> impl Iterator<Item = &Descriptor> {
        self.images.iter().chain(&self.attestations)
    }

    fn problems(&self) -> Vec<IndexProblem> {
        let mut problems = self.duplicates();
        if self.images.is_empty() {
            problems.push(IndexProblem::Empty);
        }
        problems.extend(self.orphans());
        problems.extend(self.children().filter(|child| !self.may_hold(&child.media_type)).map(|child| {
            let (media_type, index) = (child.media_type.clone(), self.format.index());
            IndexProblem::ChildType { child: child.digest.clone(), media_type, index }
        }));
        if self.format == Format::Docker {
            problems.extend(self.docker_problems());
        }
        problems
    }

    /// An OCI index may mix in Docker's manifests (image-spec, image-index.md); the other way round no client copes.
    fn may_hold(&self, child: &str) -> bool {
        match self.format {
            Format::Oci => media_type::is_manifest(child),
            Format::Docker => child == media_type::DOCKER_MANIFEST,
        }
    }

    fn duplicates(&self) -> Vec<IndexProblem> {
        let mut seen = BTreeMap::new();
        let mut problems = Vec::new();
        for image in &self.images {
            let Some(platform) = image.platform.as_ref().map(Platform::normalize) else { continue };
            match seen.get(&platform) {
                Some(&first) => problems.push(IndexProblem::DuplicatePlatform {
                    platform,
                    first: Digest::clone(first),
                    second: image.digest.clone(),
                }),
                None => drop(seen.insert(platform, &image.digest)),
            }
        }
        problems
    }

    fn orphans(&self) -> impl Iterator<Item = IndexProblem> {
        self.attestations.iter().filter_map(|child| {
            let subject = child.annotations.get(REFERENCE_DIGEST);
            let known = self.images.iter().any(|image| Some(&image.digest.to_string()) == subject);
            let problem = IndexProblem::OrphanAttestation { child: child.digest.clone(), subject: subject.cloned() };
            (!known).then_some(problem)
        })
    }

    fn docker_problems(&self) -> impl Iterator<Item = IndexProblem> {
        let index = self.annotations.keys().map(|key| IndexProblem::IndexAnnotation { key: key.clone() });
        let entries = self.images.iter().flat_map(|image| {
            let child = image.digest.clone();
            let annotation =
                move |key: &String| IndexProblem::DescriptorAnnotation { child: child.clone(), key: key.clone() };
            image.annotations.keys().map(annotation)
        });
        let typed = self.images.iter().filter(|image| image.artifact_type.is_some());
        let artifacts =
            typed.chain(&self.attestations).map(|child| IndexProblem::Artifact { child: child.digest.clone() });
        index.chain(entries).chain(artifacts)
    }
}

#[cfg(test)]
mod tests;
