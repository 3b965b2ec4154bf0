//! Tags of signatures and referrers whose image is gone.

use crate::audit::facts::RepositoryFacts;
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::repository::subject_of;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::words;

pub(super) const RULE: Rule = Rule {
    id: "orphan-signature-tags",
    title: "tags of signatures or referrers are about manifests that are gone",
    severity: Severity::Info,
    cost: Cost::Referrers,
    group: Group::Signed,
    evidence: &["artifact-keeper/artifact-keeper#3559", "dataaxiom/ghcr-cleanup-action#71"],
    explanation: "Cleanup that removes images leaves the tags `sha256-<digest>.sig`, `.att` and `.sbom` that cosign made for \
        them, and the tags `sha256-<digest>` that list referrers. They keep their blobs from being collected and hide the tags \
        that matter. Lists of referrers are a warning: what they list is about nothing. Asked where all tags of a repository \
        are audited with `--referrers`; digests that no image of a tag has are looked for, so that untagged images count.",
    fix: "remove the tags: what they vouch for is gone",
    check: Check::Repository(check),
};

/// Tags that are named in a message.
const NAMED: usize = 3;

fn check(facts: &RepositoryFacts, _: &Expectations, findings: &mut Findings) {
    let is_orphan = |tag: &&String| subject_of(tag).is_some_and(|subject| facts.gone_subjects.contains(&subject));
    let (cosign, lists): (Vec<&String>, Vec<&String>) =
        facts.tags.iter().filter(is_orphan).partition(|tag| tag.contains('.'));
    for (severity, key, tags) in [(Severity::Info, "cosign", cosign), (Severity::Warning, "referrers", lists)] {
        let Some(subject) = tags.first().and_then(|tag| subject_of(tag)) else { continue };
        let named: Vec<&str> = tags.iter().take(NAMED).map(|tag| tag.as_str()).collect();
        let more = if tags.len() > NAMED { ", …" } else { "" };
        let are = if tags.len() == 1 { "is about a manifest that is" } else { "are about manifests that are" };
        let message = format!("{} {are} gone: {}{more}", words::plural(tags.len(), "tag"), named.join(", "));
        findings.add_as(severity, Place::digest(&subject), message).key = key.to_owned();
    }
}
