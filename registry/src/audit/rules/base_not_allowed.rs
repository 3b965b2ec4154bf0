//! Bases from where the policy does not allow them.

use crate::audit::compare::brief;
use crate::audit::facts::{ImageFacts, PlatformImage};
use crate::audit::finding::{Findings, Severity};
use crate::audit::glob::names_repository;
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
        the policy lists registries and repositories, as patterns. Where it is not said, that is only worth \
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
        if !is_allowed(&wanted.allowed_bases, name) {
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

/// Whether a base is of a registry or repository the policy names. `scratch` is a name of its own.
fn is_allowed(patterns: &[String], name: &str) -> bool {
    match name.parse::<Reference>() {
        Ok(_) if name == "scratch" => patterns.iter().any(|pattern| pattern == name),
        Ok(reference) => names_repository(patterns, &reference.name()),
        Err(_) => false,
    }
}
