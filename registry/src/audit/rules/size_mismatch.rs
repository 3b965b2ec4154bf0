//! A descriptor tells another size than its content has.

use crate::audit::facts::{BlobFacts, ConfigFacts, Entry, ImageFacts, ManifestFacts, Node};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::words;
use crate::oci::Descriptor;

pub(super) const RULE: Rule = Rule {
    id: "size-mismatch",
    title: "a descriptor tells another size than its content has",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Complete,
    evidence: &["containers/skopeo#1451", "goharbor/harbor#15310"],
    explanation: "The size in a descriptor is part of what clients check: containerd and others refuse content of another \
        length, even if its digest is right. It comes from tools that edit an index or manifest by hand and from uploads \
        that were cut. Manifests and configurations are measured by every audit, layers with `--blobs`, by the length the \
        registry announces.",
    fix: "write the index or manifest again with the true size; if content was cut, push it again",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for entry in facts.entries() {
        let own = match &entry.node {
            Node::Index(index) => index.raw.bytes().len(),
            Node::Image(manifest) => manifest.raw.bytes().len(),
            Node::Unusable(unusable) => unusable.raw.bytes().len(),
            _ => continue,
        } as u64;
        compare(findings, entry, ("manifest", "its manifest"), &entry.descriptor, Some(own));
        if let Node::Image(manifest) = &entry.node {
            blobs(facts, entry, manifest, findings);
        }
    }
}

fn blobs(facts: &ImageFacts, entry: &Entry, manifest: &ManifestFacts, findings: &mut Findings) {
    let told = |blob: &Descriptor| match facts.blobs.as_ref().and_then(|blobs| blobs.get(&blob.digest)) {
        Some(BlobFacts::Present(size)) => Some(*size),
        _ => None,
    };
    let config = &manifest.view.config;
    let size = match &manifest.config {
        ConfigFacts::Read(read) => Some(read.bytes.len() as u64),
        _ => told(config),
    };
    compare(findings, entry, ("config", "its configuration"), config, size);
    for (number, layer) in (1..).zip(&manifest.view.layers) {
        compare(findings, entry, (&format!("layer {number}"), &format!("layer {number}")), layer, told(layer));
    }
}

fn compare(findings: &mut Findings, entry: &Entry, (key, what): (&str, &str), named: &Descriptor, size: Option<u64>) {
    let Some(size) = size.filter(|size| *size != named.size) else { return };
    let message = format!("{what}, {}, has {size} bytes, its descriptor says {}", named.digest, named.size);
    findings.add_as(words::milder(entry, Severity::Error), words::place(entry), message).key = key.to_owned();
}
