//! From the platforms' images to the one manifest that is tagged.
//!
//! Owns: which annotation goes to which level, and that every platform asked for is there. Pure.
//! Never: touches a child's bytes; reads a store.

use std::collections::BTreeMap;

use polyarch_registry::oci::index_builder::{IndexBuilder, IndexProblem};
use polyarch_registry::oci::media_type::Format;
use polyarch_registry::oci::{Annotations, Descriptor, Platform, RawManifest};

use crate::image::BuiltImage;

/// Annotations of the index and of its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexAnnotations {
    /// `--annotation index:…`.
    pub index: Annotations,
    /// `--annotation index-descriptor:…`: the store's own entry for the index.
    pub index_descriptor: Annotations,
    /// `--annotation manifest-descriptor:…`, for one platform or all.
    pub manifest_descriptor: Vec<(Option<Platform>, String, String)>,
}

/// Why the images cannot become one index. All problems are listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct AssembleError(pub Vec<AssembleProblem>);

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssembleProblem {
    /// A platform was asked for and has no image.
    #[error("no image for {0}")]
    Missing(Platform),
    /// The format cannot hold what was asked for.
    #[error(transparent)]
    Index(IndexProblem),
}

/// Joins the images, in the order asked for.
///
/// # Errors
/// [`AssembleError`] with every problem.
pub fn assemble(
    format: Format,
    asked: &[Platform],
    images: &[BuiltImage],
    annotations: &IndexAnnotations,
) -> Result<RawManifest, AssembleError> {
    let by_platform: BTreeMap<&Platform, &BuiltImage> = images.iter().map(|image| (&image.platform, image)).collect();
    let mut problems = Vec::new();
    let mut index = IndexBuilder::new(format).annotations(annotations.index.clone());
    for platform in asked {
        match by_platform.get(platform) {
            Some(image) => index = add(index, image, annotations),
            None => problems.push(AssembleProblem::Missing(platform.clone())),
        }
    }
    match index.build() {
        Ok(raw) if problems.is_empty() => Ok(raw),
        built => {
            problems.extend(built.err().unwrap_or_default().into_iter().map(AssembleProblem::Index));
            Err(AssembleError(problems))
        }
    }
}

fn add(index: IndexBuilder, image: &BuiltImage, annotations: &IndexAnnotations) -> IndexBuilder {
    let wanted = annotations
        .manifest_descriptor
        .iter()
        .filter(|(platform, _, _)| platform.as_ref().is_none_or(|platform| platform.same_as(&image.platform)));
    let entry = Descriptor {
        annotations: wanted.map(|(_, key, value)| (key.clone(), value.clone())).collect(),
        ..image.manifest.descriptor()
    };
    let index = index.image(entry, image.config_platform.clone());
    // Only the annotations that describe the reference are kept: `created` is the time of the build and would make
    // equal input give another digest. The builder writes the type and the subject itself.
    image
        .attestations
        .iter()
        .fold(index, |index, attestation| index.attestation(attestation.manifest.descriptor(), image.manifest.digest()))
}

#[cfg(test)]
mod tests {
    use polyarch_registry::oci::{Digest, media_type};

    use super::*;
    use crate::image::Attestation;
    use crate::steps::Steps;

    fn image(platform: &str) -> BuiltImage {
        let platform: Platform = platform.parse().unwrap();
        let manifest = RawManifest::new(media_type::OCI_MANIFEST, format!("{{\"{platform}\":1}}"));
        BuiltImage {
            config_platform: platform.clone(),
            manifest,
            config: Descriptor::new(media_type::OCI_CONFIG, Digest::sha256(platform.to_string()), 1),
            platform,
            layers: Vec::new(),
            attestations: Vec::new(),
            steps: Steps::default(),
        }
    }

    fn platforms(names: &[&str]) -> Vec<Platform> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn order_and_bytes_follow_what_was_asked_for() {
        let asked = platforms(&["linux/arm64", "linux/amd64"]);
        let (a, b) = (image("linux/amd64"), image("linux/arm64"));
        let one = assemble(Format::Oci, &asked, &[a.clone(), b.clone()], &IndexAnnotations::default()).unwrap();
        let two = assemble(Format::Oci, &asked, &[b.clone(), a], &IndexAnnotations::default()).unwrap();
        assert_eq!(one, two);
        let text = String::from_utf8(one.bytes().to_vec()).unwrap();
        assert!(text.find("arm64").unwrap() < text.find("amd64").unwrap(), "{text}");
    }

    #[test]
    fn names_every_missing_platform() {
        let asked = platforms(&["linux/amd64", "linux/arm64", "linux/riscv64"]);
        let error = assemble(Format::Oci, &asked, &[image("linux/arm64")], &IndexAnnotations::default()).unwrap_err();
        assert_eq!(error.to_string(), "no image for linux/amd64; no image for linux/riscv64");
    }

    #[test]
    fn annotations_go_to_their_level_and_platform() {
        let asked = platforms(&["linux/amd64", "linux/arm64"]);
        let annotations = IndexAnnotations {
            index: Annotations::from([("a".into(), "1".into())]),
            manifest_descriptor: vec![(Some(asked[1].clone()), "b".into(), "2".into())],
            ..IndexAnnotations::default()
        };
        let raw = assemble(Format::Oci, &asked, &[image("linux/amd64"), image("linux/arm64")], &annotations).unwrap();
        let value: serde_json::Value = serde_json::from_slice(raw.bytes()).unwrap();
        assert_eq!(value["annotations"]["a"], "1");
        assert_eq!(value["manifests"][0].get("annotations"), None);
        assert_eq!(value["manifests"][1]["annotations"]["b"], "2");
    }

    #[test]
    fn an_attestation_loses_its_time_and_keeps_its_subject() {
        let mut built = image("linux/amd64");
        let manifest = RawManifest::new(media_type::OCI_MANIFEST, "{\"attestation\":1}");
        let mut descriptor = manifest.descriptor();
        descriptor.annotations.insert("org.opencontainers.image.created".into(), "now".into());
        built.attestations.push(Attestation { descriptor, manifest });
        let raw = assemble(Format::Oci, &platforms(&["linux/amd64"]), &[built.clone()], &IndexAnnotations::default())
            .unwrap();
        let value: serde_json::Value = serde_json::from_slice(raw.bytes()).unwrap();
        let annotations = value["manifests"][1]["annotations"].as_object().unwrap();
        assert_eq!(annotations.len(), 2);
        assert_eq!(annotations["vnd.docker.reference.digest"], built.manifest.digest().to_string());
    }

    #[test]
    fn says_what_a_docker_list_cannot_hold() {
        let annotations =
            IndexAnnotations { index: Annotations::from([("a".into(), "1".into())]), ..IndexAnnotations::default() };
        let error =
            assemble(Format::Docker, &platforms(&["linux/amd64"]), &[image("linux/amd64")], &annotations).unwrap_err();
        assert!(error.0.iter().any(
            |problem| matches!(problem, AssembleProblem::Index(IndexProblem::IndexAnnotation { key }) if key == "a")
        ));
        assert_eq!(error.0.len(), 2, "{error}");
    }
}
