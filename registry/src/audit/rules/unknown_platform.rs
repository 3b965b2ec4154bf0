//! An entry of `unknown/unknown` that is no attestation.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::Platform;
use crate::oci::index_builder::{ATTESTATION_MANIFEST, REFERENCE_TYPE};

pub(super) const RULE: Rule = Rule {
    id: "unknown-platform",
    title: "an entry of the platform unknown/unknown does not say that it is an attestation",
    severity: Severity::Info,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &["goharbor/harbor#22848", "tektoncd/pipeline#6257", "containers/skopeo#1874", "docker/buildx#3047"],
    explanation: "BuildKit lists attestations as unknown/unknown, so that no client chooses them, and marks them with \
        `vnd.docker.reference.type`. Tools that copy or rewrite an index may lose the mark: then scanners, mirrors and web \
        pages take the entry for an image of a strange platform. Clients that pull are not affected.",
    fix: "write the index again with its annotations, or without the entry",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for (_, index) in facts.indexes() {
        for entry in &index.children {
            let is_unknown = entry.descriptor.platform.as_ref().is_some_and(Platform::is_unknown);
            let kind = entry.descriptor.annotations.get(REFERENCE_TYPE);
            if is_unknown && kind.is_none_or(|kind| kind != ATTESTATION_MANIFEST) {
                let digest = &entry.descriptor.digest;
                findings.add(
                    Place::digest(digest),
                    format!("{digest} is unknown/unknown, and not marked as an attestation"),
                );
            }
        }
    }
}
