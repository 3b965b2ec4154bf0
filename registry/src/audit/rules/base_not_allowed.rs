//! Bases from where the policy does not allow them.

use crate::audit::compare::brief;
use crate::audit::facts::{ImageFacts, PlatformImage};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::Reference;

pub(super) const RULE: Rule = Rule {
    id: "base-not-allowed",
    title: "the base image is from a place the policy does not allow",
    severity: Severity::Error,
    cost: Cost::Configs,
    group: Group::Policy,
    evidence: &["opencontainers/image-spec#822"],
    explanation: "The annotation or label org.opencontainers.image.base.name says what an image is built on; `allowed_bases` of \
        the policy lists registries and repositories, with * for anything. Where it is not said, that is only worth \
        knowing. Whoever builds the image writes it, so it is no proof.",
    fix: "build on an allowed base; build with the base's name as an annotation, if it is not known",
    check: Check::Image(check),
};

const NAME: &str = "org.opencontainers.image.base.name";

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    if wanted.allowed_bases.is_empty() {
        return;
    }
    for image in facts.platforms() {
        let Some(name) = named(facts, &image) else {
            let message = format!("nothing says what it is built on ({NAME})");
            "unknown".clone_into(&mut findings.add_as(Severity::Info, image.place(), message).key);
            continue;
        };
        if !wanted.allowed_bases.iter().any(|pattern| is_allowed(pattern, name)) {
            findings.add(image.place(), format!("it is built on {}", brief(name)));
        }
    }
}

/// What a platform's image or the index says.
fn named<'a>(facts: &'a ImageFacts, image: &PlatformImage<'a>) -> Option<&'a str> {
    let own = image.manifest.view.annotations.get(NAME).or_else(|| image.descriptor.annotations.get(NAME));
    let label = || image.config.and_then(|config| config.run.labels.get(NAME));
    let index = || facts.index().and_then(|index| index.view.annotations.get(NAME));
    own.or_else(label).or_else(index).map(|name| &**name).filter(|name| !name.trim().is_empty())
}

/// Whether a base is of a registry, or of a repository, that a pattern stands for. `scratch` is a name of its own.
fn is_allowed(pattern: &str, name: &str) -> bool {
    let Ok(reference) = name.parse::<Reference>() else { return matches(pattern, name) };
    let full = format!("{}/{}", reference.host(), reference.repository());
    name == "scratch" && pattern == "scratch" || matches(pattern, reference.host()) || matches(pattern, &full)
}

/// Whether a text is of a pattern, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_of_registries_and_of_repositories() {
        for (pattern, name) in [
            ("docker.io", "alpine:3"),
            ("docker.io/library/*", "alpine:3"),
            ("*.example.com", "r1.example.com/base:1"),
            (
                "ghcr.io/team/*-base",
                "ghcr.io/team/go-base@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            ("*/x*b*c", "ghcr.io/xaybzc"),
            ("scratch", "scratch"),
        ] {
            assert!(is_allowed(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("docker.io", "ghcr.io/alpine"),
            ("docker.io/library/*", "docker.io/team/alpine"),
            ("*.example.com", "example.com.evil.org/base"),
            ("ghcr.io/team/*", "ghcr.io/team"),
            ("docker.io/library/al*pine*ine", "alpine"),
            ("ghcr.io", "scratch"),
        ] {
            assert!(!is_allowed(pattern, name), "{pattern} {name}");
        }
    }
}
