//! A document that is an index and a manifest at once.

use crate::audit::compare::reason;
use crate::audit::facts::{ImageFacts, Node, UnusableKind};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

use super::words::place;

pub(super) const RULE: Rule = Rule {
    id: "ambiguous-manifest",
    title: "a manifest has the fields of an index and of an image: clients may read two different images",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &["CVE-2021-41190"],
    explanation: "One digest must stand for one image. A document with both `manifests` and `layers` or `config` is taken for \
        an index by one client and for an image by another, depending on the Content-Type, so that what was scanned or \
        signed need not be what runs. No tool writes such a document by accident. containerd refuses it.",
    fix: "find out who pushed it; publish the image again from a source you trust",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for entry in facts.entries() {
        if let Node::Unusable(what) = &entry.node
            && what.kind == UnusableKind::Ambiguous
        {
            findings.add(place(entry), reason(&what.reason));
        }
    }
}
