//! Named contexts: `--build-context NAME=…` replaces a stage or an image (BuildKit `dockerui/namedcontext.go`).

use std::collections::BTreeSet;

use polyarch_registry::oci::Platform;

/// Names of contexts, in comparable form.
#[derive(Debug, Default)]
pub(super) struct NamedContexts(BTreeSet<String>);

impl NamedContexts {
    pub(super) fn new(names: &BTreeSet<String>) -> Self {
        let comparable = |name: &String| match name.split_once("::") {
            Some((name, platform)) => format!("{}::{}", familiar(name), normal(platform)),
            None => familiar(name),
        };
        Self(names.iter().map(comparable).collect())
    }

    /// Returns whether a stage or image is replaced for a platform; `scratch` and `context` never are.
    pub(super) fn replaces(&self, name: &str, platform: &Platform) -> bool {
        if self.0.is_empty() || matches!(name, "scratch" | "context" | "") {
            return false;
        }
        let name = familiar(name);
        self.0.contains(&format!("{name}::{}", platform.normalize())) || self.0.contains(&name)
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
        let names = ["Alpine", "base::linux/arm64/v8"].map(str::to_owned);
        let contexts = NamedContexts::new(&names.into_iter().collect());
        let of = |name: &str, platform: &str| contexts.replaces(name, &platform.parse().unwrap());
        assert!(of("docker.io/library/alpine:latest", "linux/amd64"));
        assert!(of("base", "linux/arm64") && !of("base", "linux/amd64"));
        assert!(!of("scratch", "linux/amd64") && !of("alpine:3", "linux/amd64"));
    }
}
