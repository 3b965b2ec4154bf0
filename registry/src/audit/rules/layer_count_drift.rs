//! Platforms of one image with different numbers of layers.

use crate::audit::compare::{comparable, usual};
use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

use super::words::plural;

pub(super) const RULE: Rule = Rule {
    id: "layer-count-drift",
    title: "platforms of one image have different numbers of layers",
    severity: Severity::Info,
    cost: Cost::Manifests,
    group: Group::Drift,
    evidence: &["headroomlabs-ai/headroom#2673", "attevon-llc/OpenTranscribe#680"],
    explanation: "One Dockerfile on one base gives every platform the same number of layers, so another number means another \
        Dockerfile, another base, or a base whose platforms differ themselves. No client suffers from it. Platforms of \
        different operating systems are not compared.",
    fix: "compare the histories of the platforms; build them from one Dockerfile",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for group in comparable(facts) {
        let counts: Vec<usize> = group.iter().map(|image| image.manifest.view.layers.len()).collect();
        let like = usual(&counts);
        for (image, count) in group.iter().zip(&counts).filter(|(_, count)| **count != counts[like]) {
            let message = format!("{}, but {} on {}", plural(*count, "layer"), counts[like], group[like].platform());
            findings.add(image.place(), message);
        }
    }
}
