//! Whiteouts that tools take differently.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::layer::Oddity;
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::layers;

pub(super) const RULE: Rule = Rule {
    id: "invalid-whiteout",
    title: "a layer deletes nothing, or what it has itself",
    severity: Severity::Warning,
    cost: Cost::Layers,
    group: Group::Layers,
    evidence: &[
        "opencontainers/image-spec#1301",
        "containerd/containerd#6991",
        "anchore/stereoscope#694",
        "concourse/registry-image-resource#284",
    ],
    explanation: "A file `.wh.NAME` deletes NAME from the layers below. Without a name it is an error to some tools and a file \
        to others. Where a layer deletes a path and has it as well, tools that go by the order of the archive lose the new \
        file; a whiteout only ever concerns layers below.",
    fix: "build the layer again with a current tool; a replaced file needs no whiteout",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for layer in layers::read(facts) {
        layer.oddities(
            findings,
            &[
                (Severity::Error, Oddity::NamelessWhiteout, "whiteouts of nothing"),
                (Severity::Warning, Oddity::OwnWhiteout, "deleted and added in one layer"),
            ],
        );
    }
}
