//! An attestation in an index is about an image that is not in it.

use crate::audit::facts::{ImageFacts, IndexFacts};
use crate::audit::finding::{Findings, Place};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::Digest;
use crate::oci::index_builder::{ATTESTATION_MANIFEST, REFERENCE_DIGEST, REFERENCE_TYPE};

pub(super) const RULE: Rule = Rule {
    id: "orphan-attestation",
    title: "an attestation in the index is about an image that is not in it",
    severity: crate::audit::Severity::Error,
    cost: Cost::Manifests,
    group: Group::Signed,
    evidence: &["sysadminsmedia/homebox#1685"],
    explanation: "BuildKit puts provenance and SBOMs into the index, and names the image each is about by digest. Leaving \
        platforms out of an index, or changing an image after it was built (another base, squashed layers, other media \
        types), changes digests: the attestation stays and vouches for something nobody pulls, while the image has none.",
    fix: "leave the attestation out of the index, or build the image again with it",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for (_, index) in facts.indexes() {
        for entry in &index.children {
            let annotations = &entry.descriptor.annotations;
            if annotations.get(REFERENCE_TYPE).is_none_or(|kind| kind != ATTESTATION_MANIFEST) {
                continue;
            }
            let problem = match annotations.get(REFERENCE_DIGEST).map(|text| text.parse::<Digest>()) {
                None => "it does not say what it is about".to_owned(),
                Some(Err(error)) => format!("what it is about is no digest: {error}"),
                Some(Ok(subject)) if has(index, &subject) => continue,
                Some(Ok(subject)) => format!("it is about {subject}, which is not in the index"),
            };
            let digest = &entry.descriptor.digest;
            findings.add(Place::digest(digest), format!("the attestation {digest}: {problem}"));
        }
    }
}

fn has(index: &IndexFacts, subject: &Digest) -> bool {
    index.children.iter().any(|entry| !entry.is_attestation() && entry.descriptor.digest == *subject)
}
