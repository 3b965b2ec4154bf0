//! The images a build's provenance lists (SLSA v0.2 `materials`, v1 `resolvedDependencies`; purl of type `docker`, as BuildKit writes it).
//!
//! Pure.

use percent_encoding::percent_decode_str;
use serde::Deserialize;

use crate::oci::{Digest, Reference};

/// An image that a build used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Material {
    pub(super) reference: Reference,
    pub(super) digest: Option<Digest>,
    pub(super) platform: Option<String>,
}

/// Most materials of one statement that are taken.
const MOST: usize = 1000;

#[derive(Deserialize)]
struct Statement {
    #[serde(default)]
    predicate: Option<Predicate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    #[serde(default)]
    materials: Option<Vec<Resource>>,
    #[serde(default)]
    build_definition: Option<Definition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Definition {
    #[serde(default)]
    resolved_dependencies: Option<Vec<Resource>>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    digest: std::collections::HashMap<String, String>,
}

/// Returns the images of a statement; what is no statement has none.
pub(super) fn materials(statement: &[u8]) -> Vec<Material> {
    let Ok(Statement { predicate: Some(predicate) }) = serde_json::from_slice(statement) else { return Vec::new() };
    let resolved = predicate.build_definition.and_then(|definition| definition.resolved_dependencies);
    let all = predicate.materials.into_iter().chain(resolved).flatten();
    all.take(MOST).filter_map(|one| material(&one)).collect()
}

fn material(resource: &Resource) -> Option<Material> {
    let purl = resource.uri.as_deref()?.strip_prefix("pkg:docker/")?;
    let purl = purl.split('#').next().unwrap_or_default();
    let (path, query) = purl.split_once('?').unwrap_or((purl, ""));
    let (name, version) = path.split_once('@').map_or((path, None), |(name, version)| (name, Some(version)));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned());
    let qualifier = |want: &str| {
        let found = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == want));
        found.and_then(|(_, value)| decoded(value))
    };
    let version = version.and_then(decoded);
    let (tag, pinned) = match version {
        // A reference without a tag has its digest in the place of one.
        Some(version) if version.contains(':') => (None, version.parse::<Digest>().ok()),
        tag => (tag, None),
    };
    let reference: Reference = decoded(name)?.parse().ok()?;
    if reference.tag().is_some() || reference.digest().is_some() {
        return None;
    }
    let reference = match &tag {
        Some(tag) if crate::oci::reference::is_tag(tag) => reference.with_tag(tag),
        Some(_) => return None,
        None => reference,
    };
    let recorded = resource.digest.get("sha256").and_then(|hex| format!("sha256:{hex}").parse().ok());
    let digest = recorded.or(pinned).or_else(|| qualifier("digest").and_then(|digest| digest.parse().ok()));
    Some(Material { reference, digest, platform: qualifier("platform") })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(statement: &serde_json::Value) -> Vec<String> {
        let shown = |one: Material| {
            let digest = one.digest.map(|digest| digest.short().to_owned());
            format!("{} {} {}", one.reference, digest.unwrap_or_default(), one.platform.unwrap_or_default())
        };
        materials(statement.to_string().as_bytes()).into_iter().map(shown).collect()
    }

    #[test]
    fn both_versions_list_images() {
        let digest = Digest::sha256("x");
        let (short, hex) = (digest.short(), digest.encoded());
        let list = json!([
            {"uri": "pkg:docker/golang@1.25?platform=linux%2Famd64", "digest": {"sha256": hex}},
            {"uri": "pkg:docker/localhost%3A5000/team/base@2", "digest": {"sha256": "odd"}},
            {"uri": format!("pkg:docker/ghcr.io/o/a@1?digest={digest}&platform=linux%2Farm64"), "digest": {}},
            {"uri": format!("pkg:docker/alpine@{}", digest.to_string().replace(':', "%3A"))},
            {"uri": "https://example.com/archive.tar", "digest": {"sha256": hex}},
            {"uri": "pkg:docker/UPPER/x@1"},
            {"uri": "pkg:docker/x@-bad"},
            {"uri": 7},
        ]);
        assert_eq!(read(&json!({"predicate": {"materials": list}})), Vec::<String>::new(), "one is not of its type");
        let list: Vec<_> = list.as_array().unwrap()[..7].to_vec();
        let want = [
            format!("docker.io/library/golang:1.25 {short} linux/amd64"),
            "localhost:5000/team/base:2  ".to_owned(),
            format!("ghcr.io/o/a:1 {short} linux/arm64"),
            format!("docker.io/library/alpine {short} "),
        ];
        assert_eq!(read(&json!({"predicate": {"materials": list}})), want);
        assert_eq!(read(&json!({"predicate": {"buildDefinition": {"resolvedDependencies": list}}})), want);
        assert_eq!(read(&json!({"predicate": null})), Vec::<String>::new());
        assert_eq!(materials(b"no json"), []);
    }
}
