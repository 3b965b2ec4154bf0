//! Where each platform's cache goes, and where it is found again. Pure.

use polyarch_registry::oci::{Platform, Reference};

use crate::request::CacheSpec;

/// Returns where one of several platforms exports its cache; alone it exports to what the user named.
pub fn exports(specs: &[CacheSpec], platform: &Platform, is_alone: bool) -> Vec<CacheSpec> {
    if is_alone {
        return specs.to_vec();
    }
    specs.iter().map(|spec| of(spec, platform)).collect()
}

/// Returns where a platform looks for its cache: also where [`exports`] puts it, for kinds whose exports are not joined.
/// A cache that is not there costs BuildKit a warning at most.
pub fn imports(specs: &[CacheSpec], platform: &Platform) -> Vec<CacheSpec> {
    let own = specs.iter().filter(|spec| scope(&spec.kind).is_some()).map(|spec| of(spec, platform));
    specs.iter().cloned().chain(own).collect()
}

/// Returns whether the platforms' exports are joined into what the user named.
pub fn is_joined(spec: &CacheSpec) -> bool {
    matches!(spec.kind.as_str(), "registry" | "local")
}

/// Returns where a platform's export of a registry cache goes before it is joined.
pub fn reference_for(reference: &Reference, platform: &Platform) -> Reference {
    let reference = reference.or_latest();
    let (own, platform) = (reference.tag().unwrap_or("latest"), platform.folder_name().replace('_', "-"));
    let tag = format!("{own}-{platform}");
    // A tag has at most 128 characters (distribution-spec). Of a longer one the hash tells it from others.
    match tag.len() <= 128 {
        true => reference.with_tag(&tag),
        false => {
            reference.with_tag(&format!("cache-{}-{platform}", polyarch_registry::oci::Digest::sha256(own).short()))
        }
    }
}

fn of(spec: &CacheSpec, platform: &Platform) -> CacheSpec {
    let mut spec = spec.clone();
    let own = platform.folder_name().replace('_', "-");
    if let Some((key, default)) = scope(&spec.kind) {
        let name = spec.attrs.get(key).map_or(default, String::as_str);
        let name = format!("{name}-{own}");
        spec.attrs.insert(key.to_owned(), name);
    } else if spec.kind == "registry"
        && let Some(reference) = spec.attrs.get("ref").and_then(|text| text.parse::<Reference>().ok())
    {
        spec.attrs.insert("ref".to_owned(), reference_for(&reference, platform).to_string());
    }
    spec
}

/// Returns the attribute that names a cache, and its default (BuildKit `cache/remotecache/{gha,s3,azblob}`).
fn scope(kind: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "gha" => Some(("scope", "buildkit")),
        "s3" | "azblob" => Some(("name", "buildkit")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;

    use super::*;

    fn spec(kind: &str, attrs: &[(&str, &str)]) -> CacheSpec {
        let attrs: IndexMap<String, String> = attrs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        CacheSpec { kind: kind.to_owned(), attrs }
    }

    #[test]
    fn platforms_do_not_write_over_each_other() {
        let platform: Platform = "linux/arm/v7".parse().unwrap();
        let all = [
            spec("registry", &[("ref", "r.example/app:cache"), ("mode", "max")]),
            spec("gha", &[]),
            spec("s3", &[("bucket", "b"), ("name", "n")]),
            spec("local", &[("dest", "/c")]),
            spec("inline", &[]),
        ];
        assert_eq!(exports(&all, &platform, true), all);
        let want = [
            spec("registry", &[("ref", "r.example/app:cache-linux-arm-v7"), ("mode", "max")]),
            spec("gha", &[("scope", "buildkit-linux-arm-v7")]),
            spec("s3", &[("bucket", "b"), ("name", "n-linux-arm-v7")]),
            spec("local", &[("dest", "/c")]),
            spec("inline", &[]),
        ];
        assert_eq!(exports(&all, &platform, false), want);
        let found = imports(&[spec("registry", &[("ref", "x")]), spec("gha", &[("scope", "s")])], &platform);
        let want = [
            spec("registry", &[("ref", "x")]),
            spec("gha", &[("scope", "s")]),
            spec("gha", &[("scope", "s-linux-arm-v7")]),
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn long_tags_are_told_apart_by_their_hash() {
        let long: Reference = format!("r.example/a:{}", "x".repeat(128)).parse().unwrap();
        let tag = reference_for(&long, &"linux/amd64".parse().unwrap()).tag().unwrap().to_owned();
        let other: Reference = format!("r.example/a:y{}", "x".repeat(127)).parse().unwrap();
        let own = reference_for(&other, &"linux/amd64".parse().unwrap());
        assert!(tag.starts_with("cache-") && tag.ends_with("-linux-amd64") && own.tag() != Some(&tag), "{tag}");
    }
}
