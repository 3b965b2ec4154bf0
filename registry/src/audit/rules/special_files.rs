//! Devices and pipes in a layer.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::layer::Oddity;
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::layers;

pub(super) const RULE: Rule = Rule {
    id: "special-files",
    title: "a layer has device nodes or named pipes",
    severity: Severity::Warning,
    cost: Cost::Layers,
    group: Group::Layers,
    evidence: &[],
    explanation: "Container engines make the devices of a container themselves. Rootless engines and CI runners may not create \
        device nodes, and fail to unpack the layer. A character device 0/0 is overlayfs's own form of a whiteout, which \
        deletes nothing where it arrives in an archive.",
    fix: "leave /dev out of the archive the image is made from; unpack and pack layers with tools that know whiteouts",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for layer in layers::read(facts) {
        let kinds =
            [(Severity::Warning, Oddity::Device, "device nodes"), (Severity::Warning, Oddity::Special, "named pipes")];
        layer.oddities(findings, &kinds);
    }
}
