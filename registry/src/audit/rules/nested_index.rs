//! An index in an index.

use crate::audit::facts::{ImageFacts, Node};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

use super::words::place;

pub(super) const RULE: Rule = Rule {
    id: "nested-index",
    title: "an index holds another index, which many clients and cleanup tools do not follow",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &["CodesWhat/drydock#816"],
    explanation: "Joining the tags of several builds into one index nests them when a build made an index itself, as BuildKit \
        does as soon as there is an attestation. The image-spec allows it; Docker's classic image store does not pull \
        through it, and cleanup tools that look one level deep delete what is below.",
    fix: "join the manifests of the inner index instead of the index: `docker buildx imagetools create` does, given the tags",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for entry in facts.entries().into_iter().skip(1) {
        if let Node::Index(index) = &entry.node {
            let message = format!("an index within the index, with {}", entries(index.children.len()));
            findings.add(place(entry), message);
        }
    }
}

fn entries(count: usize) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}
