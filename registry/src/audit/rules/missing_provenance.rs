//! Parts of an image that have no provenance attestation.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::vouched::{self, Wanted};

pub(super) const RULE: Rule = Rule {
    id: "missing-provenance",
    title: "a platform has no provenance attestation",
    severity: Severity::Warning,
    cost: Cost::Referrers,
    group: Group::Signed,
    evidence: &["sysadminsmedia/homebox#1685", "kyverno/kyverno#12630"],
    explanation: "Provenance tells what a platform was built from, and by whom; each platform is built on its own. BuildKit's attestations \
        in the index count, and so do referrers and cosign's tags; one attached to the index counts for all platforms. Where \
        the policy requires it, a platform without is an error; without a policy only platforms without one beside others \
        that have one are told: they were often built another way.",
    fix: "build with `--provenance`, or attach one to each platform",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    let is_required = wanted.require_provenance;
    let wanted = Wanted { name: "provenance attestation", has: |found| found.provenance, is_required, of_index: false };
    vouched::missing(facts, &wanted, findings);
}
