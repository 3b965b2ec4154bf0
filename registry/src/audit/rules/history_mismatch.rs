//! Layers and history that do not fit.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

use super::words::plural;

pub(super) const RULE: Rule = Rule {
    id: "history-mismatch",
    title: "the history has another number of steps with a layer than the manifest has layers",
    severity: Severity::Warning,
    cost: Cost::Configs,
    group: Group::Format,
    evidence: &[
        "opencontainers/image-spec#872",
        "aquasecurity/fanal#423",
        "aws/aws-lambda-base-images#2",
        "bazel-contrib/rules_oci#645",
    ],
    explanation: "Each step of the history that is not marked as empty stands for one layer. Scanners attribute files to steps by \
        it, and buildah refuses to build on an image in which the numbers differ. An image without any history is valid, \
        and only worth knowing.",
    fix: "build with a tool that writes a history for each layer it adds, or none at all",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for image in facts.platforms() {
        let Some(config) = image.config else { continue };
        let layers = image.manifest.view.layers.len();
        let steps = config.view.history.iter().filter(|step| !step.empty_layer).count();
        if layers == steps {
            continue;
        }
        match config.view.history.is_empty() {
            true => {
                "absent".clone_into(&mut findings.add_as(Severity::Info, image.place(), "no history".to_owned()).key);
            }
            false => {
                findings.add(
                    image.place(),
                    format!("{}, but {} of the history made one", plural(layers, "layer"), plural(steps, "step")),
                );
            }
        }
    }
}
