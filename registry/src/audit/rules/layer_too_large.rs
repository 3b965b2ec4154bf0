//! Layers that registries may refuse.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

use super::words::bytes;

pub(super) const RULE: Rule = Rule {
    id: "layer-too-large",
    title: "a layer is larger than the policy or common registries allow",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Policy,
    evidence: &["docs.github.com: working with the container registry"],
    explanation: "Registries limit the size of one layer: GitHub's takes 10 GB, and what is pushed there now may not be \
        copied elsewhere. `max_layer_bytes` of the policy sets another limit; sizes are compressed, as the manifest says.",
    fix: "split the step that makes the layer; keep data sets and models out of the image",
    check: Check::Image(check),
};

/// What GitHub's registry takes, in bytes.
const USUAL: u64 = 10_000_000_000;

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    let most = wanted.max_layer_bytes.unwrap_or(USUAL);
    for image in facts.platforms() {
        for (number, layer) in image.manifest.view.layers.iter().enumerate() {
            if layer.size > most {
                let message = format!("layer {} has {}, more than {}", number + 1, bytes(layer.size), bytes(most));
                findings.add(image.place(), message).key = format!("layer {}", number + 1);
            }
        }
    }
}
