//! A manifest of Docker's first schema.

use serde::Deserialize;

use crate::audit::facts::{Entry, ImageFacts, Node, UnusableKind};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::RawManifest;

use super::words::place;

pub(super) const RULE: Rule = Rule {
    id: "schema1-manifest",
    title: "the manifest is of Docker's schema 1, which current clients refuse",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &[
        "moby/moby#39701",
        "docker/cli#4938",
        "google/go-containerregistry#296",
        "eclipse-che/che-plugin-registry#2082",
    ],
    explanation: "Docker before 1.10 (2016) pushed this format; since Docker 26 and containerd 2.0 it is refused. It names no digest \
        of a configuration, and its signature changes its digest. Some registries (Quay) also make one for a client that \
        does not say it accepts anything newer; an audit accepts all newer types, so what it gets is what is stored.",
    fix: "pull the image with a client that still can, and push it again; better, rebuild it",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for entry in facts.entries().into_iter().filter(|entry| is_schema1(entry)) {
        findings.add(place(entry), "a manifest of Docker's schema 1".to_owned());
    }
}

/// Whether an entry is of the first schema: by its type, or by its fields where the registry names none.
pub(super) fn is_schema1(entry: &Entry) -> bool {
    let named = |media_type: &str| media_type.starts_with("application/vnd.docker.distribution.manifest.v1+");
    match &entry.node {
        Node::Other => named(&entry.descriptor.media_type),
        Node::Unusable(what) if what.kind == UnusableKind::Unsupported => {
            named(what.raw.media_type()) || has_its_fields(&what.raw)
        }
        _ => false,
    }
}

fn has_its_fields(raw: &RawManifest) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Schema1 {
        schema_version: u64,
        #[serde(rename = "fsLayers")]
        _fs_layers: Vec<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Schema1>(raw.bytes()).is_ok_and(|schema| schema.schema_version == 1)
}
