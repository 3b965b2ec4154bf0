//! A manifest that is not JSON of its type.

use crate::audit::compare::reason;
use crate::audit::facts::{ImageFacts, Node, UnusableKind};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

use super::words::place;

pub(super) const RULE: Rule = Rule {
    id: "unreadable-manifest",
    title: "a manifest is not valid JSON of its type",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &["opencontainers/image-spec manifest.md"],
    explanation: "The bytes are what their digest says, but no client can read them: they are not JSON, or a field that must be \
        there is missing or of the wrong type. Registries store what they do not understand. A page of a proxy or portal \
        that was answered instead of a manifest has another digest and is reported as such where a digest was asked for.",
    fix: "publish the image again",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for entry in facts.entries() {
        if let Node::Unusable(what) = &entry.node
            && what.kind == UnusableKind::Json
        {
            findings.add(place(entry), reason(&what.reason));
        }
    }
}
