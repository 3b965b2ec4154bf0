//! Parts of an image that have no signature.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::vouched::{self, Wanted};

pub(super) const RULE: Rule = Rule {
    id: "missing-signature",
    title: "the index or a platform of it has no signature",
    severity: Severity::Warning,
    cost: Cost::Referrers,
    group: Group::Signed,
    evidence: &[
        "notaryproject/ratify#2157",
        "notaryproject/ratify#101",
        "sigstore/cosign#786",
        "kyverno/kyverno#12630",
    ],
    explanation: "Clients verify either the digest a tag leads to, which is the index, or that of the platform they run. Signing only \
        one of them makes admission fail where the other is asked for. Signatures are looked for by the referrers API, the tag \
        that stands in for it, and cosign's tags. Where the policy requires one, an index or image without any is an error. \
        Without a policy only images that are signed by half are told; that the index alone is signed, as `cosign sign` does \
        without --recursive, is worth knowing, no more. Whether a signature is valid, and whose it is, is not asked.",
    fix: "sign the index and each platform: `cosign sign --recursive`, or `notation sign` for each digest",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    let is_required = wanted.require_signature;
    let wanted = Wanted { name: "signature", has: |found| found.signature, is_required, of_index: true };
    vouched::missing(facts, &wanted, findings);
}
