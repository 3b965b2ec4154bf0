//! Manifests that registries may refuse.

use crate::audit::facts::{ImageFacts, Node};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::verify::MANIFEST_LIMIT;

use super::words::{bytes, place};

pub(super) const RULE: Rule = Rule {
    id: "manifest-too-large",
    title: "a manifest is near or over 4 MiB, the most that every registry takes",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &["opencontainers/distribution-spec#293", "distribution/distribution#4636"],
    explanation: "The distribution-spec lets registries refuse manifests over 4 MiB, and many clients read no more. Embedded \
        data, thousands of entries, or large annotations make a manifest grow. From seven eighths of the limit on it is \
        reported as near, before it can no longer be copied.",
    fix: "keep data in blobs instead of annotations; split the index",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for entry in facts.entries() {
        let size = match &entry.node {
            Node::Index(index) => index.raw.bytes().len() as u64,
            Node::Image(manifest) => manifest.raw.bytes().len() as u64,
            Node::Unusable(what) => what.raw.bytes().len() as u64,
            Node::Unchecked => entry.descriptor.size,
            _ => continue,
        };
        if size > MANIFEST_LIMIT {
            findings.add(place(entry), format!("{}, more than the 4 MiB every registry takes", bytes(size)));
        } else if size > MANIFEST_LIMIT / 8 * 7 {
            findings.add(place(entry), format!("{}, near the 4 MiB every registry takes", bytes(size)));
        }
    }
}
