//! A request without what a daemon cannot do and the user can do without. Pure.

use super::Feature;
use super::requirements::cache_feature;
use crate::request::{BuildRequest, Compression, CompressionKind, ContextSource};

/// Returns the request without the parts that need these features; every other part is as it was.
#[must_use]
pub fn without(request: &BuildRequest, features: &[Feature]) -> BuildRequest {
    let mut request = request.clone();
    for feature in features {
        leave_out(&mut request, *feature);
    }
    request
}

fn leave_out(request: &mut BuildRequest, feature: Feature) {
    match feature {
        Feature::Attestations => request.attestations.clear(),
        Feature::NamedContexts => request.build_contexts.clear(),
        Feature::OciLayoutContexts => {
            request.build_contexts.retain(|_, source| !matches!(source, ContextSource::OciLayout { .. }));
        }
        Feature::CacheInline
        | Feature::CacheRegistry
        | Feature::CacheLocal
        | Feature::CacheGha
        | Feature::CacheS3
        | Feature::CacheAzblob => request.cache_to.retain(|spec| cache_feature(spec) != Some(feature)),
        Feature::ResourceOptions => {
            request.shm_size = None;
            request.ulimits.clear();
        }
        // A level says nothing without its kind, and forcing the default is not what was asked for.
        Feature::Zstd => forget(&mut request.compression, CompressionKind::Zstd),
        Feature::Estargz => forget(&mut request.compression, CompressionKind::Estargz),
        Feature::CompressionLevel => request.compression.level = None,
        Feature::ManifestAnnotations => request.manifest_annotations.clear(),
        // Of the way a result takes, and of questions: no part of a request.
        Feature::ContentExport | Feature::OciTarExport | Feature::Outline | Feature::Lint | Feature::Info => {}
    }
}

fn forget(compression: &mut Compression, kind: CompressionKind) {
    if compression.kind == Some(kind) {
        *compression = Compression::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::requirements::tests::{demanding, facts};
    use super::super::{Features, ImageStore, missing_features};
    use super::*;
    use crate::request::CacheSpec;

    fn request() -> BuildRequest {
        let mut request = demanding();
        request.build_contexts.insert("plain".into(), ContextSource::Dir("d".into()));
        request.cache_to.push(CacheSpec { kind: "inline".into(), attrs: indexmap::IndexMap::new() });
        request.compression.force = true;
        request
    }

    /// Lines of the debug form that are not in the other's, without their indentation.
    fn lost(before: &BuildRequest, after: &BuildRequest) -> Vec<String> {
        let lines = |request: &BuildRequest| format!("{request:#?}").lines().map(str::to_owned).collect::<Vec<_>>();
        let after = lines(after);
        lines(before).into_iter().filter(|line| !after.contains(line)).map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn leaves_out_what_needs_the_feature_and_nothing_else() {
        let request = request();
        for (feature, want) in [
            (Feature::Attestations, &["attestations: {", "Sbom: \"\","][..]),
            (Feature::CacheRegistry, &["kind: \"registry\","]),
            (Feature::CacheInline, &["kind: \"inline\","]),
            (Feature::CacheS3, &[]),
            (Feature::CompressionLevel, &["level: Some(", "3,"]),
            (Feature::Estargz, &[]),
            (Feature::Info, &[]),
        ] {
            assert_eq!(lost(&request, &without(&request, &[feature])), want, "{feature:?}");
        }
        assert_eq!(without(&request, &[Feature::Zstd]).compression, Compression::default());
        let contexts = |feature| without(&request, &[feature]).build_contexts.into_keys().collect::<Vec<_>>();
        assert_eq!(contexts(Feature::OciLayoutContexts), ["plain"]);
        assert!(contexts(Feature::NamedContexts).is_empty());
    }

    #[test]
    fn nothing_is_missing_afterwards() {
        let old = facts(ImageStore::Classic, "v0.8.0");
        let missing: Vec<_> = missing_features(&request(), "n", &old).into_iter().map(|m| m.feature).collect();
        assert!(!missing.is_empty());
        assert_eq!(missing_features(&without(&request(), &missing), "n", &old), []);
        let none = super::super::NodeFacts { features: Features::default(), ..old };
        let missing: Vec<_> = missing_features(&request(), "n", &none).into_iter().map(|m| m.feature).collect();
        assert_eq!(missing_features(&without(&request(), &missing), "n", &none), []);
    }
}
