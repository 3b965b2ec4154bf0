//! Layers that registries do not have.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::media_type::is_nondistributable;

use super::words::some_are;

pub(super) const RULE: Rule = Rule {
    id: "foreign-layer",
    title: "a layer is marked as not to be uploaded, so that it is fetched from elsewhere or not at all",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &["CVE-2020-15157", "opencontainers/image-spec#965", "containerd/containerd#7676"],
    explanation: "Foreign (non-distributable) layers were Windows' base layers; the image-spec deprecates them, and Microsoft \
        stopped using them in 2023. Clients fetch them from the URLs in the manifest, which fails in closed networks, once \
        leaked credentials to whoever wrote the manifest, and goes wrong when the other server is gone. Copying tools leave \
        them out.",
    fix: "rebuild on a current base; push with layers included (--allow-nondistributable-artifacts, crane push)",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for image in facts.platforms() {
        let layers = &image.manifest.view.layers;
        let count = layers.iter().filter(|layer| is_nondistributable(&layer.media_type)).count();
        if count > 0 {
            findings.add(image.place(), format!("{} foreign", some_are(count, layers.len())));
        }
    }
}
