//! The base of an image has been updated since.

use crate::audit::facts::{BaseFacts, ImageFacts};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "base-updated",
    title: "the tag of the base leads elsewhere than when the image was built",
    severity: Severity::Warning,
    cost: Cost::Elsewhere,
    group: Group::Drift,
    evidence: &["NVIDIA/nvcf#454", "lerd-env/lerd#1172", "opencontainers/image-spec#822"],
    explanation: "Fixes reach an image when it is built again on the new base. The annotations or labels \
        org.opencontainers.image.base.name and base.digest say what it was built on; with `--bases` the registry is asked \
        where the name leads now. A digest of one platform counts as current while the index of the tag has it. Labels \
        that come from the base itself, because the image sets none of its own, tell of the base's base.",
    fix: "build the image again on the current base, and release it",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for base in facts.bases.iter().flatten() {
        let message = match &base.now {
            Some(now) if *now == base.digest => continue,
            Some(now) => format!("its base {} is {now} now, and was {}", base.name, base.digest),
            None => format!("the tag of its base {} is gone", base.name),
        };
        for place in places(facts, base) {
            findings.add(place, message.clone()).key = base.name.clone();
        }
    }
}

/// Returns the platforms built on a base, or the image if all are.
pub(super) fn places(facts: &ImageFacts, base: &BaseFacts) -> Vec<Place> {
    let platforms = facts.platforms();
    if base.images.len() == platforms.len() {
        return vec![Place::digest(&facts.root.descriptor.digest)];
    }
    let of_base = platforms.iter().filter(|image| base.images.contains(&image.descriptor.digest));
    of_base.map(|image| image.place()).collect()
}
