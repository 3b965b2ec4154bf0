//! Attestations in an index that a client of the policy does not take.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "attestation-entries",
    title: "the index has attestations, which a client of the policy refuses",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &[
        "aws/aws-lambda-roadmap#82",
        "docker/buildx#1533",
        "terraform-aws-modules/terraform-aws-lambda#741",
        "zarf-dev/zarf#5272",
    ],
    explanation: "AWS Lambda takes an image manifest, or nothing: an index with the entries in which BuildKit keeps \
        provenance and SBOMs is refused as an unsupported media type. Asked only where the policy's profiles name `lambda`; \
        everyone else passes over these entries.",
    fix: "build with `--provenance=false --sbom=false`, or push the attestations as referrers",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    if !wanted.profiles.iter().any(|profile| profile == "lambda") {
        return;
    }
    for (descriptor, index) in facts.indexes() {
        let count = index.children.iter().filter(|entry| entry.is_attestation()).count();
        if count > 0 {
            let entries = if count == 1 {
                "1 entry is an attestation".to_owned()
            } else {
                format!("{count} entries are attestations")
            };
            findings.add(Place::digest(&descriptor.digest), format!("{entries}, which AWS Lambda refuses"));
        }
    }
}
