//! More manifests than are read.

use crate::audit::facts::{ImageFacts, Node};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::transfer::graph::{MAX_DEPTH, MAX_MANIFESTS};

pub(super) const RULE: Rule = Rule {
    id: "too-many-manifests",
    title: "the image has more manifests, or nests them deeper, than any client should follow",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &["CVE-2021-41190"],
    explanation: "An index can name itself through others, or thousands of children: a client that follows them all never ends. \
        polyarch reads 2048 manifests of one image, 8 levels deep, and says how many it left out. Those were not judged. \
        Real images have some dozens of manifests in one or two levels.",
    fix: "publish a flat index of the platforms; keep other artifacts out of it",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    let left = facts.entries().iter().filter(|entry| matches!(entry.node, Node::TooMuch)).count();
    if left > 0 {
        let message = format!(
            "{left} entries were not read: an image of more than {MAX_MANIFESTS} manifests, or nested over {MAX_DEPTH} deep"
        );
        findings.add(Place::image(), message);
    }
}
