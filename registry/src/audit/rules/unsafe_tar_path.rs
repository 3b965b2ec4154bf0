//! A layer has names that lead out of the image.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::layer::Oddity;
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::layers;

pub(super) const RULE: Rule = Rule {
    id: "unsafe-tar-path",
    title: "a layer has names with `..`, from the root of the file system, or with a NUL",
    severity: Severity::Error,
    cost: Cost::Layers,
    group: Group::Layers,
    evidence: &[
        "google/go-containerregistry#2227",
        "google/go-containerregistry#2279",
        "google/go-containerregistry#2330",
    ],
    explanation: "Tools that unpack a layer without care write outside the directory they were given. containerd refuses names \
        that lead out of it; names from the root are taken as from the image's root by most, but not by all.",
    fix: "build the layer with names relative to the image's root; if nobody meant these, find out where it comes from",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for layer in layers::read(facts) {
        layer.oddities(
            findings,
            &[
                (Severity::Error, Oddity::Traversal, "names with `..`"),
                (Severity::Error, Oddity::Nul, "names with a NUL"),
                (Severity::Warning, Oddity::Absolute, "names from the root of the file system"),
            ],
        );
    }
}
