//! A document of a type that is no manifest's.

use crate::audit::compare::brief;
use crate::audit::facts::{ImageFacts, Node, UnusableKind};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

use super::schema1_manifest::is_schema1;
use super::words::place;

pub(super) const RULE: Rule = Rule {
    id: "unknown-manifest-type",
    title: "an entry is of a media type that is no manifest's",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &["opencontainers/image-spec#1150"],
    explanation: "Clients pull indexes and manifests of OCI's and Docker's types. A tag that leads to anything else cannot be \
        pulled as an image. An entry of an index that is of another type is passed over by clients, as the image-spec asks, \
        and only worth knowing; what an audit finds in the image, it finds in the other entries.",
    fix: "publish an image under the tag, or audit another tag; remove the entry from the index if nobody reads it",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for entry in facts.entries().into_iter().filter(|entry| !is_schema1(entry)) {
        let (severity, media_type) = match &entry.node {
            Node::Other => (Severity::Info, &*entry.descriptor.media_type),
            Node::Unusable(what) if what.kind == UnusableKind::Unsupported => (Severity::Error, what.raw.media_type()),
            _ => continue,
        };
        findings.add_as(severity, place(entry), format!("the media type is \"{}\"", brief(media_type)));
    }
}
