//! What an image was built on is not there any more.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::base_updated::places;

pub(super) const RULE: Rule = Rule {
    id: "base-gone",
    title: "the digest of the base cannot be resolved any more",
    severity: Severity::Warning,
    cost: Cost::Elsewhere,
    group: Group::Drift,
    evidence: &["cozystack/cozystack#3305"],
    explanation: "Registries remove manifests that no tag leads to, some within days. A Dockerfile that pins such a digest \
        cannot be built any more, and the image cannot be built again as it was. Asked with `--bases` for what \
        org.opencontainers.image.base.name and base.digest name; a registry that refuses to say is listed as not checked.",
    fix: "pin the digest the base has now, and keep a copy of bases that must stay",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for base in facts.bases.iter().flatten().filter(|base| !base.is_there) {
        for place in places(facts, base) {
            let message = format!("{} of its base {} is not there any more", base.digest, base.name);
            findings.add(place, message).key = base.name.clone();
        }
    }
}
