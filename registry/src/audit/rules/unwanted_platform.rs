//! A platform that the policy does not allow.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::named;

pub(super) const RULE: Rule = Rule {
    id: "unwanted-platform",
    title: "the image has a platform that the policy does not allow",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Policy,
    evidence: &[],
    explanation: "The policy lists the platforms images may have, because only those are tested or supported. Another one \
        in the index is offered to every client it matches. Attestations are no platforms. Names are compared as containerd \
        does: arm64 is arm64/v8, arm is arm/v7.",
    fix: "leave the platform out of the build, or add it to `allowed-platforms` in the policy",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    if wanted.allowed_platforms.is_empty() || !facts.is_image() {
        return;
    }
    for one in named::platforms(facts).unwrap_or_default() {
        if !wanted.allowed_platforms.iter().any(|allowed| allowed.same_as(&one.platform)) {
            findings
                .add(Place::platform(&one.platform, &one.descriptor.digest), "it is not among the allowed platforms");
        }
    }
}
