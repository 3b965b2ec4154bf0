//! An index names a manifest that is not there.

use crate::audit::facts::{ImageFacts, Node};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "dangling-child",
    title: "the index names a manifest that the registry does not have",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Complete,
    evidence: &[
        "some-natalie/kubernoodles#664",
        "snok/container-retention-policy#43",
        "aws/containers-roadmap#1466",
        "distribution/distribution#3178",
        "goharbor/harbor#22390",
    ],
    explanation: "Cleaning up untagged images removes the children of an index, because a child has no tag of its own. The \
        tag stays, and pulling it fails on the platforms whose child is gone. Every missing child is listed, not the first.",
    fix: "push the platform again, or copy it from a registry that still has it; exclude children of indexes from cleanup",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for entry in facts.entries().into_iter().filter(|entry| matches!(entry.node, Node::Missing)) {
        let digest = &entry.descriptor.digest;
        if entry.is_attestation() {
            let message = format!("the attestation {digest} is not there");
            findings.add_as(Severity::Warning, Place::digest(digest), message);
            continue;
        }
        match &entry.descriptor.platform {
            Some(platform) => findings.add(Place::platform(platform, digest), format!("{digest} is not there")),
            None => findings.add(Place::digest(digest), format!("{digest} is not there")),
        };
    }
}
