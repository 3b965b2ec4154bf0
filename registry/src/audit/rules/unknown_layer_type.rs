//! Layers of a type that is no layer's.

use crate::audit::compare::brief;
use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::media_type::layer_compression;

pub(super) const RULE: Rule = Rule {
    id: "unknown-layer-type",
    title: "a layer is of a media type that clients do not unpack",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &["containerd/containerd#8243", "bottlerocket-os/bottlerocket#3806", "moby/moby#45600"],
    explanation: "An image's layers must be tars: of OCI's or Docker's type, plain or compressed with gzip or zstd. A client \
        that meets another type in an image fails to pull or to unpack it. Artifacts and attestations, whose layers are \
        whatever they like, are not looked at; an encrypted layer is only worth knowing, for clients with its key read it.",
    fix: "build the image with layers of OCI's types; store other files as an artifact with an artifactType",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for image in facts.platforms() {
        for (number, layer) in image.manifest.view.layers.iter().enumerate() {
            let plain = layer.media_type.strip_suffix("+encrypted");
            if layer_compression(&layer.media_type).is_some() {
                continue;
            }
            let is_encrypted = plain.is_some_and(|plain| layer_compression(plain).is_some());
            let severity = if is_encrypted { Severity::Info } else { Severity::Error };
            let message = format!("layer {} is of the type \"{}\"", number + 1, brief(&layer.media_type));
            findings.add_as(severity, image.place(), message).key = format!("layer {}", number + 1);
        }
    }
}
