//! Layers that are there twice.

use std::collections::HashMap;

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::Digest;

use super::words::and_more;

pub(super) const RULE: Rule = Rule {
    id: "duplicate-layer",
    title: "a layer is applied more than once",
    severity: Severity::Info,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &["pkjmesra/PKScreener#117", "wagoodman/dive"],
    explanation: "The same bytes applied again change nothing that a layer between did not, so a step was done twice: a COPY \
        repeated in a later stage, or an image built on itself. Layers are stored and pulled once whatever their number. \
        Layers of less than 4 KiB, the empty one among them, are left out.",
    fix: "remove the step that is done twice",
    check: Check::Image(check),
};

/// Below this a layer holds a few names at most, in bytes.
const TINY: u64 = 4096;

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for image in facts.platforms() {
        let mut first: HashMap<&Digest, usize> = HashMap::new();
        let layers = image.manifest.view.layers.iter().enumerate().filter(|(_, layer)| layer.size >= TINY);
        let mut again = layers.filter_map(|(number, layer)| {
            let earlier = *first.entry(&layer.digest).or_insert(number);
            (earlier != number).then_some((number, earlier))
        });
        let Some((number, earlier)) = again.next() else { continue };
        let message = format!("layer {} is layer {} again", number + 1, earlier + 1);
        findings.add(image.place(), and_more(message, again.count()));
    }
}
