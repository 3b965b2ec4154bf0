//! Parts of an image that have no SBOM.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::vouched::{self, Wanted};

pub(super) const RULE: Rule = Rule {
    id: "missing-sbom",
    title: "a platform has no SBOM",
    severity: Severity::Warning,
    cost: Cost::Referrers,
    group: Group::Signed,
    evidence: &["docker/buildx#3047", "kyverno/kyverno#12630"],
    explanation: "Each platform has packages of its own, so that each needs an SBOM; scanners that look at one architecture only miss the \
        others. BuildKit's attestations in the index count, and so do referrers and cosign's tags; one attached to the index \
        counts for all platforms. Where the policy requires it, a platform without is an error; without a policy only \
        platforms without one beside others that have one are told.",
    fix: "build with `--sbom`, or attach one to each platform",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    let is_required = wanted.require_sbom;
    let wanted = Wanted { name: "SBOM", has: |found| found.sbom, is_required, of_index: false };
    vouched::missing(facts, &wanted, findings);
}
