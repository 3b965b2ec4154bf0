//! A layer is compressed otherwise than its media type says.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::layers;
use crate::oci::media_type::layer_compression;

pub(super) const RULE: Rule = Rule {
    id: "compression-mismatch",
    title: "a layer is compressed otherwise than its media type says",
    severity: Severity::Warning,
    cost: Cost::Layers,
    group: Group::Layers,
    evidence: &[
        "docker/cli#5011",
        "anchore/stereoscope#486",
        "containerd/containerd#9263",
        "aws/amazon-ecs-agent#4179",
    ],
    explanation: "containerd and Docker look at the first bytes of a layer, so that it works for most; scanners, older clients \
        and tools that believe the media type fail on it, or take it for something else. It comes about when layers are \
        compressed anew and only the digest is changed in the manifest.",
    fix: "write the media type that goes with the bytes, or compress the layer as its media type says",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for layer in layers::read(facts) {
        let named = layer_compression(&layer.descriptor.media_type);
        let (Some(want), Some(got)) = (named, layer.facts.compression) else { continue };
        if want != got {
            let (digest, kind) = (&layer.descriptor.digest, &layer.descriptor.media_type);
            let message = format!("layer {digest} is compressed with {}, but its type is {kind}", got.name());
            layer.found(findings, Severity::Warning, "", message);
        }
    }
}
