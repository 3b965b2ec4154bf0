//! Artifacts that do not say what they are.

use crate::audit::compare::brief;
use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::places::manifests;
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::media_type::OCI_EMPTY;

use super::words::place;

pub(super) const RULE: Rule = Rule {
    id: "artifact-type",
    title: "an artifact does not say of which type it is",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &["opencontainers/image-spec manifest.md", "sigstore/cosign#4641"],
    explanation: "A manifest whose configuration is the empty object must have an artifactType (image-spec 1.1), or nobody can \
        tell what it is: registries list it among the referrers as application/vnd.oci.empty.v1+json. An artifactType must be \
        a media type. Images are not looked at.",
    fix: "push it with an artifact type: `oras push --artifact-type TYPE`",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for (entry, manifest) in manifests(facts) {
        let own = manifest.view.artifact_type.as_deref().unwrap_or_default();
        if own.is_empty() && manifest.view.config.media_type == OCI_EMPTY {
            findings.add(place(entry), "an empty configuration and no artifactType".to_owned());
        } else if !own.is_empty() && !is_media_type(own) {
            findings.add(place(entry), format!("the artifactType \"{}\" is no media type", brief(own)));
        }
    }
}

/// RFC 6838, section 4.2, without parameters.
fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        let rest_is_fine = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b));
        rest_is_fine && name.len() <= 127 && name.starts_with(|c: char| c.is_ascii_alphanumeric())
    };
    text.split_once('/').is_some_and(|(kind, name)| is_name(kind) && is_name(name))
}
