//! A platform that the policy asks for is not there.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::named;

pub(super) const RULE: Rule = Rule {
    id: "missing-platform",
    title: "a platform that the policy requires is not in the image",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Platforms,
    evidence: &["snok/container-retention-policy#43", "akitaonrails/ai-memory#427"],
    explanation: "`no matching manifest for linux/arm64` is what clients of that platform see. A platform drops out when \
        one builder of several fails unnoticed, when an index is written again without it, or when a later push of one \
        platform takes the tag. Names are compared as containerd does: arm64 is arm64/v8, arm is arm/v7. Nothing is said \
        where a part of the image could not be read that may be the platform.",
    fix: "build the platform and push the index with it",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    if wanted.required_platforms.is_empty() || !facts.is_image() {
        return;
    }
    let Some(named) = named::platforms(facts) else { return };
    for platform in &wanted.required_platforms {
        if named.iter().any(|one| one.platform.same_as(platform)) {
            continue;
        }
        let place = Place { platform: Some(platform.clone()), digest: None };
        let message = match named.is_empty() {
            true => "it is required, and the image has no platform at all".to_owned(),
            false => {
                let list: Vec<String> = named.iter().map(|one| one.platform.to_string()).collect();
                format!("it is required; the image has {}", list.join(", "))
            }
        };
        findings.add(place, message);
    }
}
