//! Platforms of one image that stand on different bases.

use crate::audit::compare::{brief, comparable, usual};
use crate::audit::facts::{ImageFacts, PlatformImage};
use crate::audit::finding::{Findings, Severity};
use crate::audit::neutral::neutral;
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::Reference;

pub(super) const RULE: Rule = Rule {
    id: "base-drift",
    title: "platforms of one image stand on different base images",
    severity: Severity::Warning,
    cost: Cost::Configs,
    group: Group::Drift,
    evidence: &["headroomlabs-ai/headroom#2673", "DerOetzi/solaredge2mqtt#433"],
    explanation: "Platforms that were built apart can come from another base or another release of it: other libraries, other \
        security fixes. Compared are the first step of each history and the annotation org.opencontainers.image.base.name of \
        the platforms of one operating system, without the names of architectures and checksums in them; the base's digest \
        only where several platforms have the same, for it may be each platform's own. What names no base and has no \
        history is not compared.",
    fix: "build all platforms from one Dockerfile whose base is an index, in one build",
    check: Check::Image(check),
};

const NAME: &str = "org.opencontainers.image.base.name";
const DIGEST: &str = "org.opencontainers.image.base.digest";

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for group in comparable(facts) {
        let named = |image: &PlatformImage<'_>| image.annotation(NAME).map(str::to_owned);
        if differ(&group, named, full_name, ("name", "the base is"), findings) {
            continue;
        }
        let digest = |image: &PlatformImage<'_>| image.annotation(DIGEST).map(str::to_owned);
        let digests: Vec<String> = group.iter().filter_map(digest).collect();
        let is_shared = digests.iter().any(|one| digests.iter().filter(|other| *other == one).count() > 1);
        if is_shared && differ(&group, digest, str::to_owned, ("digest", "the base has the digest"), findings) {
            continue;
        }
        differ(&group, first_step, neutral, ("history", "the history begins with"), findings);
    }
}

/// `alpine:3` is `docker.io/library/alpine:3`.
fn full_name(name: &str) -> String {
    let full = name.parse::<Reference>().map(|reference| reference.to_string());
    neutral(&full.unwrap_or_else(|_| name.to_owned()))
}

/// The step that made the first layer.
fn first_step(image: &PlatformImage<'_>) -> Option<String> {
    let step = image.config?.view.history.iter().find(|step| !step.empty_layer)?;
    step.created_by.clone().filter(|text| !text.is_empty())
}

/// Reports those whose value is not the usual one; returns whether there were any.
fn differ(
    group: &[PlatformImage<'_>],
    value: impl Fn(&PlatformImage<'_>) -> Option<String>,
    same: impl Fn(&str) -> String,
    (key, words): (&str, &str),
    findings: &mut Findings,
) -> bool {
    let known: Vec<(&PlatformImage<'_>, String)> =
        group.iter().filter_map(|image| Some((image, value(image)?))).collect();
    let values: Vec<String> = known.iter().map(|(_, value)| same(value)).collect();
    let like = usual(&values);
    let before = findings.list.len();
    for ((image, own), _) in known.iter().zip(&values).filter(|(_, value)| **value != values[like]) {
        let (other, usual) = &known[like];
        let message = format!("{words} {}, but {} on {}", brief(own), brief(usual), other.platform());
        key.clone_into(&mut findings.add(image.place(), message).key);
    }
    findings.list.len() > before
}
