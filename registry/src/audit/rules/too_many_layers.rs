//! Images of more layers than Docker or the policy allows.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "too-many-layers",
    title: "an image has more layers than Docker or the policy allows",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Policy,
    evidence: &["docker/for-linux#414", "moby/moby#25957", "ai-shifu/ai-shifu#170", "openebs/mayastor#539"],
    explanation: "Docker's classic image store refuses an image of more than 125 layers (\"max depth exceeded\"). It usually \
        comes of an image that is built on itself, a few layers more each time. `max_layers` of the policy sets another \
        limit.",
    fix: "build from the base instead of the last image; join steps",
    check: Check::Image(check),
};

/// `maxLayerDepth` of moby's layer/layer.go.
const DOCKER: usize = 125;

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    let most = wanted.max_layers.unwrap_or(DOCKER);
    for image in facts.platforms() {
        let count = image.manifest.view.layers.len();
        if count > most {
            findings.add(image.place(), format!("{count} layers, more than {most}"));
        }
    }
}
