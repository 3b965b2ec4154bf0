//! A manifest names a configuration or layer that is not there.

use crate::audit::facts::{BlobFacts, ConfigFacts, Entry, ImageFacts, ManifestFacts, Node};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::words;
use crate::oci::Digest;

pub(super) const RULE: Rule = Rule {
    id: "missing-blob",
    title: "a manifest names a configuration or layer that the registry does not have",
    severity: Severity::Error,
    cost: Cost::Blobs,
    group: Group::Complete,
    evidence: &[
        "distribution/distribution#3899",
        "distribution/distribution#4939",
        "goharbor/harbor#20131",
        "goharbor/harbor#15654",
        "buildpacks/lifecycle#1044",
    ],
    explanation: "Garbage collection that runs while an image is pushed, a replication that broke off, or storage that was \
        restored from an older state leaves a manifest whose blobs are gone. The manifest can be read, so that everything \
        looks well until somebody pulls. A missing configuration is seen by every audit; layers are only asked for with \
        `--blobs`. Layers that are not distributed by registries (foreign layers) are not asked for.",
    fix: "push the image again, or copy it from a registry that still has it",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    let is_missing = |digest: &Digest| {
        facts.blobs.as_ref().is_some_and(|blobs| matches!(blobs.get(digest), Some(BlobFacts::Missing)))
    };
    for entry in facts.entries() {
        let Node::Image(manifest) = &entry.node else { continue };
        let config = &manifest.view.config;
        if matches!(manifest.config, ConfigFacts::Missing) || is_missing(&config.digest) {
            add(findings, entry, format!("its configuration {} is not there", config.digest)).key = "config".to_owned();
        }
        layers(manifest, is_missing, |number, message| {
            add(findings, entry, message).key = format!("layer {number}");
        });
    }
}

fn layers(manifest: &ManifestFacts, is_missing: impl Fn(&Digest) -> bool, mut found: impl FnMut(usize, String)) {
    let count = manifest.view.layers.len();
    for (number, layer) in (1..).zip(&manifest.view.layers) {
        if is_missing(&layer.digest) {
            let size = words::bytes(layer.size);
            found(number, format!("layer {number} of {count}, {} ({size}), is not there", layer.digest));
        }
    }
}

fn add<'a>(findings: &'a mut Findings, entry: &Entry, message: String) -> &'a mut crate::audit::Finding {
    findings.add_as(words::milder(entry, Severity::Error), words::place(entry), message)
}
