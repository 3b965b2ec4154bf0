//! A layer cannot be unpacked.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::layer::Ended;
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::layers;
use crate::verify::tar_walk::{DATA_AFTER_END, SIZES_DISAGREE};

pub(super) const RULE: Rule = Rule {
    id: "broken-layer",
    title: "a layer cannot be decompressed, or is no sound archive",
    severity: Severity::Error,
    cost: Cost::Layers,
    group: Group::Layers,
    evidence: &[],
    explanation: "The bytes are what their digest says, but were wrong when they were hashed: cut short, of another compression \
        than every reader knows, or an archive whose headers do not add up. Clients fail after they downloaded everything.",
    fix: "build the image again with another tool, or push the layer from where it was whole",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for layer in layers::read(facts) {
        // What has another digest, or a rule of its own, is told there.
        let is_altered = layer.facts.digest.as_ref().is_some_and(|got| *got != layer.descriptor.digest);
        let is_own = match &layer.facts.ended {
            Ended::Tar { reason, .. } => *reason != SIZES_DISAGREE && *reason != DATA_AFTER_END,
            Ended::Compression(_) | Ended::TooMany => true,
            Ended::Whole | Ended::Enough | Ended::Bomb => false,
        };
        if let Some(fault) = layer.facts.fault().filter(|_| is_own && !is_altered) {
            layer.found(findings, Severity::Error, "", format!("layer {}: {fault}", layer.descriptor.digest));
        }
    }
}
