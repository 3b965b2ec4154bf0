//! Layers that registries may refuse.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

use super::words::{and_more, bytes};

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
        let layers = image.manifest.view.layers.iter().enumerate();
        let mut large = layers.filter(|(_, layer)| layer.size > most);
        let Some((number, first)) = large.next() else { continue };
        let message = format!("layer {} is of {}, more than {}", number + 1, bytes(first.size), bytes(most));
        findings.add(image.place(), and_more(message, large.count()));
    }
}
