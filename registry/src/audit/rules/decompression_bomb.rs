//! A layer decompresses to far more than it is.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::layer::Ended;
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::{layers, words};

pub(super) const RULE: Rule = Rule {
    id: "decompression-bomb",
    title: "a layer decompresses to more than 200 times its size, or to more than 32 GiB",
    severity: Severity::Error,
    cost: Cost::Layers,
    group: Group::Layers,
    evidence: &[],
    explanation: "Whoever pulls it fills a disk with a small download. Reading it was ended where that became clear, so that \
        nothing else is known of the layer. The ratio only counts from 64 MiB on: a small file of zeros is no bomb. A large \
        one, such as a disk image or a database that was made in advance, looks like one and costs every client the same.",
    fix: "do not put large empty files into a layer: make them when the container starts",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for layer in layers::read(facts).into_iter().filter(|layer| layer.facts.ended == Ended::Bomb) {
        let (packed, unpacked) = (words::bytes(layer.facts.size), words::bytes(layer.facts.unpacked));
        let message = format!("layer {}: {packed} decompress to more than {unpacked}", layer.descriptor.digest);
        layer.found(findings, Severity::Error, "", message);
    }
}
