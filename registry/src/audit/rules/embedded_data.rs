//! Content within descriptors that is not what they describe.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::audit::facts::{Entry, ImageFacts, Node};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::Descriptor;

use super::words::{and_more, place};

pub(super) const RULE: Rule = Rule {
    id: "embedded-data",
    title: "the content embedded in a descriptor is not what its digest says",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Complete,
    evidence: &["opencontainers/image-spec descriptor.md"],
    explanation: "A descriptor may carry its content in `data`, base64, to save a request. It must have the descriptor's size \
        and digest. Where it has not, a client that trusts it reads something else than one that fetches the blob.",
    fix: "write the descriptor again without `data`, or with the right content",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for entry in facts.entries() {
        let parts = within(entry).into_iter();
        let mut wrong = parts.filter_map(|one| Some((&one.digest, problem(one, one.data.as_deref()?)?)));
        let Some((digest, problem)) = wrong.next() else { continue };
        findings.add(place(entry), and_more(format!("{digest}: {problem}"), wrong.count()));
    }
}

/// The descriptors that a document holds.
pub(super) fn within(entry: &Entry) -> Vec<&Descriptor> {
    match &entry.node {
        Node::Index(index) => index.view.manifests.iter().chain(&index.view.subject).collect(),
        Node::Image(manifest) => {
            let view = &manifest.view;
            std::iter::once(&view.config).chain(&view.layers).chain(&view.subject).collect()
        }
        _ => Vec::new(),
    }
}

fn problem(descriptor: &Descriptor, data: &str) -> Option<String> {
    let Ok(content) = STANDARD.decode(data) else { return Some("the embedded data is not base64".to_owned()) };
    if content.len() as u64 != descriptor.size {
        return Some(format!("the embedded data has {} bytes, the descriptor says {}", content.len(), descriptor.size));
    }
    let mut hasher = descriptor.digest.hasher().ok()?;
    hasher.update(&content);
    let got = hasher.finish();
    (got != descriptor.digest).then(|| format!("the embedded data has the digest {got}"))
}
