//! A layer is not what its digest, its size or its diff_id says.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::layers;
use crate::oci::Algorithm;

pub(super) const RULE: Rule = Rule {
    id: "altered-layer",
    title: "a layer's bytes are not what its digest, its size or its diff_id says",
    severity: Severity::Error,
    cost: Cost::Layers,
    group: Group::Layers,
    evidence: &["moby/moby#47150", "moby/moby#48241", "boxlite-ai/boxlite#772", "goharbor/harbor#15310"],
    explanation: "Every client hashes a layer while it downloads it, and again when it is unpacked, and refuses the image if \
        either hash is wrong. Mirrors and caches that lose bytes, registries that compress anew, and tools that write a \
        configuration before its layers make such images. diff_ids of another algorithm than SHA-256 are not compared.",
    fix: "push the layer again from where it is right; if the diff_id is wrong, build the image again",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for layer in layers::read(facts) {
        let (want, found) = (layer.descriptor, layer.facts);
        let Some(got) = &found.digest else { continue };
        if got != &want.digest {
            layer.found(findings, Severity::Error, "digest", format!("layer {} has the bytes of {got}", want.digest));
            continue;
        }
        if found.size != want.size {
            let message = format!("layer {} has {} bytes, not {}", want.digest, found.size, want.size);
            layer.found(findings, Severity::Error, "size", message);
        }
        let Some(got) = &found.diff_id else { continue };
        let wrong = layer.uses.iter().find_map(|(image, number)| {
            let id = image.config?.view.rootfs.diff_ids.get(*number)?;
            (*id.algorithm() == Algorithm::Sha256 && id != got).then_some(id)
        });
        if let Some(id) = wrong {
            let message = format!("layer {} unpacks to {got}, not to the diff_id {id}", want.digest);
            layer.found(findings, Severity::Error, "diff_id", message);
        }
    }
}
