//! What a request needs that a node does not have. Said before the build starts: BuildKit ignores what it does not know.

use std::fmt;

use super::{Feature, NodeFacts};
use crate::request::{AttestationKind, BuildRequest, CacheSpec, CompressionKind, ContextSource};

/// A part of the request a node cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingFeature {
    /// The flag as the user wrote it.
    pub flag: String,
    /// The feature it needs.
    pub feature: Feature,
    /// Name of the node.
    pub node: String,
    /// Version of the node.
    pub version: String,
    /// What a node needs to have it.
    pub needs: String,
}

impl fmt::Display for MissingFeature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flag, node, version, needs, .. } = self;
        write!(f, "{flag} cannot be done by {node} ({version}); it needs {needs}")
    }
}

/// Returns every part of `request` that a node cannot do, in the order of the request's fields.
pub fn missing_features(request: &BuildRequest, node: &str, facts: &NodeFacts) -> Vec<MissingFeature> {
    needs(request).into_iter().filter_map(|(flag, feature)| missing_feature(&flag, feature, node, facts)).collect()
}

/// Returns what one flag needs and a node does not have.
pub fn missing_feature(flag: &str, feature: Feature, node: &str, facts: &NodeFacts) -> Option<MissingFeature> {
    (!facts.features.has(feature)).then(|| MissingFeature {
        flag: flag.to_owned(),
        feature,
        node: node.to_owned(),
        version: facts.version.clone(),
        needs: feature.needs(facts.store),
    })
}

fn needs(request: &BuildRequest) -> Vec<(String, Feature)> {
    let mut needs = Vec::new();
    for (name, source) in &request.build_contexts {
        needs.push((format!("--build-context {name}"), Feature::NamedContexts));
        if matches!(source, ContextSource::OciLayout { .. }) {
            needs.push((format!("--build-context {name}=oci-layout://…"), Feature::OciLayoutContexts));
        }
    }
    // An import that is not understood is only a miss, and the daemon says so; an export would be lost.
    needs.extend(request.cache_to.iter().filter_map(cache));
    for kind in request.attestations.keys() {
        let flag = match kind {
            AttestationKind::Provenance => "--provenance",
            AttestationKind::Sbom => "--sbom",
        };
        needs.push((flag.to_owned(), Feature::Attestations));
    }
    if request.shm_size.is_some() {
        needs.push(("--shm-size".to_owned(), Feature::ResourceOptions));
    }
    if !request.ulimits.is_empty() {
        needs.push(("--ulimit".to_owned(), Feature::ResourceOptions));
    }
    match request.compression.kind {
        Some(CompressionKind::Zstd) => needs.push(("--compression zstd".to_owned(), Feature::Zstd)),
        Some(CompressionKind::Estargz) => needs.push(("--compression estargz".to_owned(), Feature::Estargz)),
        Some(CompressionKind::Uncompressed | CompressionKind::Gzip) | None => {}
    }
    if request.compression.level.is_some() {
        needs.push(("--compression-level".to_owned(), Feature::CompressionLevel));
    }
    if !request.manifest_annotations.is_empty() {
        needs.push(("--annotation manifest:…".to_owned(), Feature::ManifestAnnotations));
    }
    needs
}

fn cache(spec: &CacheSpec) -> Option<(String, Feature)> {
    Some((format!("--cache-to type={}", spec.kind), cache_feature(spec)?))
}

/// The feature a cache export needs. A daemon knows its own kinds, and names those it does not know.
pub(super) fn cache_feature(spec: &CacheSpec) -> Option<Feature> {
    Some(match spec.kind.as_str() {
        "inline" => Feature::CacheInline,
        "registry" => Feature::CacheRegistry,
        "local" => Feature::CacheLocal,
        "gha" => Feature::CacheGha,
        "s3" => Feature::CacheS3,
        "azblob" => Feature::CacheAzblob,
        _ => return None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use indexmap::IndexMap;

    use super::super::{Features, ImageStore, Told, facts_from};
    use super::*;
    use crate::request::{Compression, DockerfileSource};

    fn request() -> BuildRequest {
        BuildRequest::of(ContextSource::Dir(".".into()), DockerfileSource::Text(Vec::new()))
    }

    pub(in super::super) fn demanding() -> BuildRequest {
        let layout = ContextSource::OciLayout { path: "l".into(), reference: None };
        BuildRequest {
            build_contexts: IndexMap::from([("base".to_owned(), layout)]),
            cache_to: vec![CacheSpec { kind: "registry".into(), attrs: IndexMap::new() }],
            attestations: IndexMap::from([(AttestationKind::Sbom, String::new())]),
            shm_size: Some(1),
            compression: Compression { kind: Some(CompressionKind::Zstd), level: Some(3), force: false },
            ..request()
        }
    }

    pub(in super::super) fn facts(store: ImageStore, buildkit: &str) -> NodeFacts {
        let facts = facts_from(&Told { docker: None, buildkit: Some(buildkit), platforms: &[] });
        NodeFacts { version: "Docker 20.10".into(), store, features: Features::of(store, facts.buildkit), ..facts }
    }

    #[test]
    fn asks_nothing_special_of_a_plain_build() {
        assert_eq!(missing_features(&request(), "n", &facts(ImageStore::Classic, "0.8")), []);
    }

    #[test]
    fn names_every_flag_the_node_and_the_way_out() {
        let got = missing_features(&demanding(), "old", &facts(ImageStore::Classic, "0.8"));
        let lines: Vec<String> = got.iter().map(ToString::to_string).collect();
        let store = "Docker's containerd image store or a standalone BuildKit";
        assert_eq!(
            lines,
            [
                "--build-context base cannot be done by old (Docker 20.10); it needs BuildKit 0.10 or later".to_owned(),
                format!("--build-context base=oci-layout://… cannot be done by old (Docker 20.10); it needs {store}"),
                format!("--cache-to type=registry cannot be done by old (Docker 20.10); it needs {store}"),
                format!("--sbom cannot be done by old (Docker 20.10); it needs {store}"),
                "--shm-size cannot be done by old (Docker 20.10); it needs BuildKit 0.9 or later".to_owned(),
            ]
        );
        assert_eq!(missing_features(&demanding(), "new", &facts(ImageStore::Containerd, "0.25")), []);
    }
}
