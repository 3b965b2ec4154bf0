//! Annotations that the policy asks for.

use crate::audit::compare::brief;
use crate::audit::facts::{ImageFacts, Node};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "required-annotation",
    title: "an annotation that the policy requires is missing",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Policy,
    evidence: &["opencontainers/image-spec annotations.md"],
    explanation: "Looked for on the index, or on the manifest of an image without one, as `required_annotations` of the policy \
        says. What a manifest or an entry within an index has does not count: registries show the annotations of what the \
        tag leads to. An empty value is a missing one. Without a policy nothing is required.",
    fix: "build with the annotation on the index: `--annotation index:KEY=VALUE`",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    let annotations = match &facts.root.node {
        Node::Index(index) => &index.view.annotations,
        Node::Image(manifest) => &manifest.view.annotations,
        _ => return,
    };
    for key in &wanted.required_annotations {
        if annotations.get(key).is_none_or(|value| value.trim().is_empty()) {
            findings.add(Place::image(), format!("no annotation {}", brief(key))).key.clone_from(key);
        }
    }
}
