//! Labels that the policy asks for.

use crate::audit::compare::brief;
use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "required-label",
    title: "a label that the policy requires is missing",
    severity: Severity::Warning,
    cost: Cost::Configs,
    group: Group::Policy,
    evidence: &["opencontainers/image-spec annotations.md"],
    explanation: "Looked for in the configuration of every platform, as `required_labels` of the policy says; an attestation \
        has none. An empty value is a missing one. Without a policy nothing is required.",
    fix: "set it in the Dockerfile (LABEL) or when building (`--label KEY=VALUE`)",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    for image in facts.platforms().into_iter().filter(|image| image.config.is_some()) {
        for key in &wanted.required_labels {
            if image.label(key).is_none_or(|value| value.trim().is_empty()) {
                findings.add(image.place(), format!("no label {}", brief(key))).key.clone_from(key);
            }
        }
    }
}
