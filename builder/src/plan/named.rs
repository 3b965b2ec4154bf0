//! Named contexts: `--build-context NAME=…` replaces a stage or an image (BuildKit `dockerui/namedcontext.go`).

use std::collections::BTreeSet;

/// Names of contexts, in comparable form.
#[derive(Debug, Default)]
pub(super) struct NamedContexts(BTreeSet<String>);

impl NamedContexts {
    pub(super) fn new(names: &BTreeSet<String>) -> Self {
        Self(names.iter().map(|name| familiar(name)).collect())
    }

    /// Returns whether a stage or image is replaced; `scratch` and `context` never are.
    pub(super) fn replaces(&self, name: &str) -> bool {
        !matches!(name, "scratch" | "context" | "") && self.0.contains(&familiar(name))
    }
}

/// Shortest form of a reference: without Docker Hub's host and default namespace, without `:latest`.
fn familiar(name: &str) -> String {
    let lower = name.to_lowercase();
    let short = lower.strip_prefix("docker.io/").or(lower.strip_prefix("index.docker.io/")).unwrap_or(&lower);
    let short = short.strip_prefix("library/").unwrap_or(short);
    short.strip_suffix(":latest").unwrap_or(short).to_owned()
}
