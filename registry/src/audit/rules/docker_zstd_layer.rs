//! zstd under Docker's media type.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::media_type::DOCKER_LAYER_ZSTD;

use super::words::some_are;

pub(super) const RULE: Rule = Rule {
    id: "docker-zstd-layer",
    title: "layers are compressed with zstd under Docker's media type, which no specification has",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &[
        "docker/cli#5011",
        "containerd/containerd#9859",
        "imagegenius/docker-immich#711",
        "anchore/stereoscope#486",
        "bottlerocket-os/bottlerocket#3806",
    ],
    explanation: "zstd is specified for OCI layers only. BuildKit told to compress with zstd and to write Docker's media types \
        writes one of its own, on which containerd before 2.0 says that layers and root file system do not fit, and podman \
        and skopeo that the type is unsupported. zstd in OCI layers is no finding here; which clients read that, the \
        profiles of a policy say.",
    fix: "build with OCI media types (oci-mediatypes=true), or compress with gzip",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for image in facts.platforms() {
        let layers = &image.manifest.view.layers;
        let count = layers.iter().filter(|layer| layer.media_type == DOCKER_LAYER_ZSTD).count();
        if count > 0 {
            findings.add(image.place(), format!("{} of the type {DOCKER_LAYER_ZSTD}", some_are(count, layers.len())));
        }
    }
}
