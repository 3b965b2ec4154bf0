//! A list of referrers does not say what they are.

use crate::audit::evidence;
use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::{vouched, words};

pub(super) const RULE: Rule = Rule {
    id: "untyped-referrer",
    title: "a list of referrers does not tell the type of an artifact whose manifest does",
    severity: Severity::Info,
    cost: Cost::Referrers,
    group: Group::Signed,
    evidence: &["sigstore/cosign#4641", "NVIDIA/aicr#1957"],
    explanation: "An entry of the list should repeat the artifact's type and annotations, so that clients can choose \
        without reading every manifest. Lists that older cosign and other clients keep in the tag `sha256-<digest>` lack \
        them, and some registries tell the empty type instead. Clients that filter by type then find no signature. Here \
        the manifest is read, so that nothing is taken for missing.",
    fix: "attach the artifact again with a client that writes its type into the list",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for (digest, found) in vouched::subjects(facts) {
        let listed = found.by_api.iter().chain(&found.by_tag).flatten();
        let untyped: std::collections::BTreeSet<_> = listed
            .filter(|entry| evidence::told_type(entry).is_none())
            .filter(|entry| found.read.get(&entry.digest).and_then(evidence::type_of).is_some())
            .map(|entry| &entry.digest)
            .collect();
        if let Some(first) = untyped.first() {
            let count = words::plural(untyped.len(), "referrer");
            findings
                .add(Place::digest(digest), format!("{count} of {digest} without a type in the list, {first} first"));
        }
    }
}
