//! Layers of a type that is no layer's.

use crate::audit::compare::brief;
use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::media_type::layer_compression;

use super::words::and_more;

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
        for (is_encrypted, severity) in [(false, Severity::Error), (true, Severity::Info)] {
            let layers = image.manifest.view.layers.iter().enumerate();
            let mut odd = layers.filter(|(_, layer)| kind(&layer.media_type) == Some(is_encrypted));
            let Some((number, first)) = odd.next() else { continue };
            let message = format!("layer {} is of the type \"{}\"", number + 1, brief(&first.media_type));
            let key = if is_encrypted { "encrypted" } else { "unknown" };
            key.clone_into(&mut findings.add_as(severity, image.place(), and_more(message, odd.count())).key);
        }
    }
}

/// Whether a media type that is no layer's is that of an encrypted one.
fn kind(media_type: &str) -> Option<bool> {
    let is_layer = |media_type: &str| layer_compression(media_type).is_some();
    (!is_layer(media_type)).then(|| media_type.strip_suffix("+encrypted").is_some_and(is_layer))
}
