//! Named contexts: `--build-context NAME=…` replaces a stage or an image (BuildKit `dockerui/namedcontext.go`).

use std::collections::BTreeMap;

use polyarch_registry::oci::Platform;

/// Contexts by their names in comparable form, with the reference of one that is an image.
#[derive(Debug, Default)]
pub(super) struct NamedContexts(BTreeMap<String, Option<String>>);

impl NamedContexts {
    pub(super) fn new(contexts: &BTreeMap<String, Option<String>>) -> Self {
        let comparable = |name: &String| match name.split_once("::") {
            Some((name, platform)) => format!("{}::{}", familiar(name), normal(platform)),
            None => familiar(name),
        };
        Self(contexts.iter().map(|(name, image)| (comparable(name), image.clone())).collect())
    }

    /// Returns whether a stage or image is replaced for a platform; `scratch` and `context` never are.
    pub(super) fn replaces(&self, name: &str, platform: &Platform) -> bool {
        self.find(name, platform).is_some()
    }

    /// Returns the image that replaces a stage or image for a platform, if one does; `scratch` is none.
    pub(super) fn image(&self, name: &str, platform: &Platform) -> Option<&str> {
        self.find(name, platform)?.as_deref().filter(|image| *image != "scratch")
    }

    fn find(&self, name: &str, platform: &Platform) -> Option<&Option<String>> {
        if self.0.is_empty() || matches!(name, "scratch" | "context" | "") {
            return None;
        }
        let name = familiar(name);
        self.0.get(&format!("{name}::{}", platform.normalize())).or_else(|| self.0.get(&name))
    }
}

fn normal(platform: &str) -> String {
    platform.parse::<Platform>().map_or_else(|_| platform.to_owned(), |platform| platform.to_string())
}

/// Shortest form of a reference: without Docker Hub's host and default namespace, without `:latest`.
fn familiar(name: &str) -> String {
    let lower = name.to_lowercase();
    let short = lower.strip_prefix("docker.io/").or(lower.strip_prefix("index.docker.io/")).unwrap_or(&lower);
    let short = short.strip_prefix("library/").unwrap_or(short);
    short.strip_suffix(":latest").unwrap_or(short).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_may_be_for_one_platform_only() {
        let names =
            [("Alpine", Some("alpine:3")), ("base::linux/arm64/v8", None), ("base::linux/386", Some("scratch"))];
        let named = names.map(|(name, image)| (name.to_owned(), image.map(str::to_owned)));
        let contexts = NamedContexts::new(&named.into_iter().collect());
        let of = |name: &str, platform: &str| contexts.replaces(name, &platform.parse().unwrap());
        assert!(of("docker.io/library/alpine:latest", "linux/amd64"));
        assert!(of("base", "linux/arm64") && !of("base", "linux/amd64"));
        assert!(!of("scratch", "linux/amd64") && !of("alpine:3", "linux/amd64"));
        let image = |name: &str, platform: &str| contexts.image(name, &platform.parse().unwrap());
        assert_eq!(image("alpine", "linux/amd64"), Some("alpine:3"));
        assert_eq!((image("base", "linux/arm64"), image("base", "linux/386")), (None, None));
    }
}
