//! Docker's media types and OCI's in one image.

use crate::audit::facts::{Entry, ImageFacts, IndexFacts, Node};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::Descriptor;

use super::words::{place, plural};

pub(super) const RULE: Rule = Rule {
    id: "mixed-media-types",
    title: "Docker's media types and OCI's are mixed in one image",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &[
        "opencontainers/image-spec#1150",
        "quay/quay#6070",
        "podman-container-tools/container-libs#977",
        "distribution/distribution#3452",
        "moby/buildkit#1143",
        "mesosphere/mindthegap#96",
        "openshift/oc-mirror#253",
    ],
    explanation: "Joining images of several tools makes an OCI index with Docker manifests in it; adding a layer to an image of \
        the other kind makes a Docker manifest with OCI layers. Docker and containerd read both. Quay refused such indexes, \
        and skopeo, podman and CRI-O refuse such manifests. An error if the policy names the profile `quay` or `strict`. \
        What is neither Docker's nor OCI's (an in-toto statement) counts for neither.",
    fix: "rebuild or convert all parts to OCI media types; polyarch publishes an image in one family",
    check: Check::Image(check),
};

/// A family of media types.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Docker,
    Oci,
}

impl Family {
    fn of(media_type: &str) -> Option<Self> {
        match media_type {
            _ if media_type.starts_with("application/vnd.oci.image.") => Some(Self::Oci),
            _ if DOCKER.iter().any(|prefix| media_type.starts_with(prefix)) => Some(Self::Docker),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Docker => "Docker",
            Self::Oci => "OCI",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Docker => Self::Oci,
            Self::Oci => Self::Docker,
        }
    }
}

/// Schema 1 is not among them, nor are other things Docker stores in registries.
const DOCKER: [&str; 4] = [
    "application/vnd.docker.distribution.manifest.v2",
    "application/vnd.docker.distribution.manifest.list.v2",
    "application/vnd.docker.container.image.v1",
    "application/vnd.docker.image.rootfs.",
];

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    let is_refused = wanted.profiles.iter().any(|profile| profile == "quay" || profile == "strict");
    let severity = if is_refused { Severity::Error } else { Severity::Warning };
    for entry in facts.entries() {
        match &entry.node {
            Node::Index(index) => self::index(entry, index, severity, findings),
            Node::Image(manifest) if entry.platform_image().is_some() => {
                let parts = std::iter::once(&manifest.view.config).chain(&manifest.view.layers);
                let Some((own, foreign)) = foreign(manifest.raw.media_type(), parts) else { continue };
                let (own, other) = (own.name(), own.other().name());
                let message =
                    format!("{} {own} manifest with {}", article(own), plural(foreign, &format!("{other} part")));
                "manifest".clone_into(&mut findings.add_as(severity, place(entry), message).key);
            }
            _ => {}
        }
    }
}

fn index(entry: &Entry, index: &IndexFacts, severity: Severity, findings: &mut Findings) {
    let Some((own, foreign)) = foreign(index.raw.media_type(), &index.view.manifests) else { return };
    let (own, other) = (own.name(), own.other().name());
    let message = format!("{} {own} index with {}", article(own), plural(foreign, &format!("{other} manifest")));
    "index".clone_into(&mut findings.add_as(severity, Place::digest(&entry.descriptor.digest), message).key);
}

/// The family of a document, and how many of its parts are of the other one, if any are.
fn foreign<'a>(media_type: &str, parts: impl IntoIterator<Item = &'a Descriptor>) -> Option<(Family, usize)> {
    let own = Family::of(media_type)?;
    let is_foreign = |part: &&Descriptor| Family::of(&part.media_type) == Some(own.other());
    let count = parts.into_iter().filter(is_foreign).count();
    (count > 0).then_some((own, count))
}

fn article(family: &str) -> &'static str {
    if family == "OCI" { "an" } else { "a" }
}
