//! Bytes are not what their digest says.

use crate::audit::facts::{ConfigFacts, ImageFacts, Node};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::words;

pub(super) const RULE: Rule = Rule {
    id: "digest-mismatch",
    title: "the registry answers with other bytes than those of the digest",
    severity: Severity::Error,
    cost: Cost::Configs,
    group: Group::Complete,
    evidence: &["containers/skopeo#1451", "containers/skopeo#1692", "goharbor/harbor#15310"],
    explanation: "Damaged storage, a proxy that rewrites what passes, or a registry that converts manifests hands out \
        bytes whose hash is not the digest that was asked for. Clients check it and refuse the image. What cannot be \
        hashed here (an unknown algorithm) is not called wrong.",
    fix: "push the image again; if it stays, ask the registry itself, without the proxy or mirror before it",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for entry in facts.entries() {
        match &entry.node {
            Node::Altered { got, size } => {
                let message = format!("{} is answered with {size} bytes of digest {got}", entry.descriptor.digest);
                findings.add_as(words::milder(entry, Severity::Error), words::place(entry), message);
            }
            Node::Image(manifest) if matches!(manifest.config, ConfigFacts::Altered) => {
                let digest = &manifest.view.config.digest;
                let message = format!("its configuration {digest} is answered with other bytes");
                let severity = words::milder(entry, Severity::Error);
                findings.add_as(severity, words::place(entry), message).key = "config".to_owned();
            }
            _ => {}
        }
    }
}
