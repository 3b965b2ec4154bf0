//! A manifest that is served or listed as another type than it says.

use crate::audit::compare::reason;
use crate::audit::facts::{ImageFacts, Node, UnusableKind};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

use super::words::place;

pub(super) const RULE: Rule = Rule {
    id: "media-type-mismatch",
    title: "a manifest is served or listed as another media type than it says it is",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &["CVE-2021-41190", "containers/skopeo#1451"],
    explanation: "The media type is named in up to three places: the index, the answer's Content-Type, and the document's own \
        `mediaType`. Clients decide by different ones of them how to read the document, and containerd refuses it if they \
        differ. Proxies and mirrors that rewrite headers are the usual cause, and indexes made by hand. A document without \
        a `mediaType` of its own is no finding.",
    fix: "push the manifest again with its own media type as Content-Type; correct its entry in the index",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for entry in facts.entries() {
        let served = match &entry.node {
            Node::Unusable(what) if what.kind == UnusableKind::MediaType => {
                findings.add(place(entry), reason(&what.reason));
                continue;
            }
            Node::Image(manifest) => manifest.raw.media_type(),
            Node::Index(index) => index.raw.media_type(),
            _ => continue,
        };
        let listed = &entry.descriptor.media_type;
        if served != listed {
            findings.add(place(entry), reason(&format!("the index says {listed}, the registry {served}")));
        }
    }
}
