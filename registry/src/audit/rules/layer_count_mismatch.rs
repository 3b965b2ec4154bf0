//! Layers and diff_ids that do not fit.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

use super::words::plural;

pub(super) const RULE: Rule = Rule {
    id: "layer-count-mismatch",
    title: "the manifest has another number of layers than the configuration has diff_ids",
    severity: Severity::Error,
    cost: Cost::Configs,
    group: Group::Format,
    evidence: &["moby/moby#47150", "moby/moby#48241", "boxlite-ai/boxlite#772", "opencontainers/umoci#15"],
    explanation: "Each layer has one diff_id in the configuration, in the same order. Clients refuse an image in which the \
        numbers differ. It comes of tools that add a layer to the manifest and forget the configuration, or take one \
        configuration for two manifests.",
    fix: "build the platform again, or append the layer with a tool that writes both",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for image in facts.platforms() {
        let Some(config) = image.config else { continue };
        let (layers, ids) = (image.manifest.view.layers.len(), config.view.rootfs.diff_ids.len());
        if layers != ids {
            findings.add(image.place(), format!("{}, but {}", plural(layers, "layer"), plural(ids, "diff_id")));
        }
    }
}
