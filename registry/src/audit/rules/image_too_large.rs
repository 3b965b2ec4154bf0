//! Images larger than the policy allows.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

use super::words::bytes;

pub(super) const RULE: Rule = Rule {
    id: "image-too-large",
    title: "a platform's layers together are larger than the policy allows",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Policy,
    evidence: &["oxsecurity/megalinter#4170"],
    explanation: "`max_image_bytes` of the policy limits what has to be pulled for one platform: the sizes of its layers, \
        compressed, as the manifest says. Without a policy any size is fine.",
    fix: "look for what the image does not need: build tools, caches, a smaller base",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    let Some(most) = wanted.max_image_bytes else { return };
    for image in facts.platforms().into_iter().filter(|image| image.size() > most) {
        findings.add(image.place(), format!("{} of layers, more than {}", bytes(image.size()), bytes(most)));
    }
}
