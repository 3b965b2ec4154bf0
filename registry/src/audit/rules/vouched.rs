//! What vouches for the manifests of an image, as the rules about signatures, SBOMs and provenance ask it.

use std::collections::HashSet;

use crate::audit::evidence::{self, Evidence};
use crate::audit::facts::{ImageFacts, Node, PlatformImage, ReferrerFacts};
use crate::audit::finding::{Findings, Place, Severity};
use crate::oci::index_builder::REFERENCE_DIGEST;
use crate::oci::{Descriptor, Digest, Manifest};

/// What is known of one manifest.
pub(super) struct Vouched {
    pub(super) evidence: Evidence,
    /// Nothing was left unasked: what is not there is missing.
    pub(super) is_complete: bool,
}

/// Returns what vouches for a manifest.
pub(super) fn of(facts: &ImageFacts, digest: &Digest) -> Vouched {
    let referrers = facts.referrers.as_ref().and_then(|all| all.get(digest));
    let (beside, is_read) = in_index(facts, digest);
    let evidence = referrers.map(of_referrers).unwrap_or_default().and(beside);
    Vouched { evidence, is_complete: is_read && referrers.is_some_and(|found| !found.unchecked) }
}

/// Returns the manifests and what refers to them, in the order of the index.
pub(super) fn subjects(facts: &ImageFacts) -> Vec<(&Digest, &ReferrerFacts)> {
    let mut seen = HashSet::new();
    let Some(all) = &facts.referrers else { return Vec::new() };
    let digests = facts.entries().into_iter().map(|entry| &entry.descriptor.digest);
    digests.filter(|digest| seen.insert(*digest)).filter_map(|digest| all.get_key_value(digest)).collect()
}

fn of_referrers(found: &ReferrerFacts) -> Evidence {
    let listed = found.real(&found.by_api).chain(found.real(&found.by_tag));
    let all = listed.fold(Evidence::default(), |all, entry| all.and(of_listed(found, entry)));
    found.cosign_tags.iter().fold(all, |all, tag| all.and(of_cosign(found, tag)))
}

/// Returns what an entry of a list of referrers is.
pub(super) fn of_listed(found: &ReferrerFacts, entry: &Descriptor) -> Evidence {
    evidence::of_entry(entry, found.read.get(&entry.digest))
}

fn of_cosign(found: &ReferrerFacts, tag: &str) -> Evidence {
    match tag.rsplit('.').next() {
        Some("sig") => Evidence { signature: true, ..Evidence::default() },
        Some("sbom") => Evidence { sbom: true, ..Evidence::default() },
        _ => found.tagged.get(tag).map(evidence::of_manifest).unwrap_or_default(),
    }
}

/// The attestations BuildKit keeps in the index; and whether all of them could be read.
fn in_index(facts: &ImageFacts, digest: &Digest) -> (Evidence, bool) {
    let (mut all, mut is_read) = (Evidence::default(), true);
    let about = digest.to_string();
    for entry in facts.entries() {
        if entry.descriptor.annotations.get(REFERENCE_DIGEST) != Some(&about) {
            continue;
        }
        match &entry.node {
            Node::Image(manifest) => all = all.and(evidence::of_manifest(&Manifest::Image(manifest.view.clone()))),
            Node::Unchecked => is_read = false,
            _ => {}
        }
    }
    (all, is_read)
}

/// What is asked for: a kind of evidence, its name, and whether the index has to have it.
pub(super) struct Wanted {
    pub(super) name: &'static str,
    pub(super) has: fn(Evidence) -> bool,
    pub(super) is_required: bool,
    /// Whether the index needs it for itself: clients verify a tag by the digest it leads to. What is about a platform
    /// alone is no less for that.
    pub(super) of_index: bool,
}

/// Adds a finding for each platform, and for the index, that has none. Without a policy only what is there for a part of the
/// image is looked at: an image that nobody signs is none that was signed by half.
pub(super) fn missing(facts: &ImageFacts, wanted: &Wanted, findings: &mut Findings) {
    let platforms = facts.platforms();
    if !facts.is_image() || platforms.is_empty() || (!wanted.is_required && facts.referrers.is_none()) {
        return;
    }
    let root = facts.index().map(|_| of(facts, &facts.root.descriptor.digest));
    let each: Vec<(&PlatformImage<'_>, Vouched)> =
        platforms.iter().map(|image| (image, of(facts, &image.descriptor.digest))).collect();
    let root_has = root.as_ref().is_some_and(|root| (wanted.has)(root.evidence));
    let some_have = each.iter().any(|(_, one)| (wanted.has)(one.evidence));
    if !wanted.is_required && !some_have && !root_has {
        return;
    }
    if let Some(root) = root.as_ref().filter(|_| wanted.of_index && !root_has)
        && root.is_complete
    {
        let message = format!("the index has no {}", wanted.name);
        findings.add_as(grade(wanted), Place::digest(&facts.root.descriptor.digest), message).key = "index".to_owned();
    }
    // What could not be asked of the index may be there for all.
    let is_known = root.as_ref().is_none_or(|root| root_has || root.is_complete);
    for (image, _) in each.iter().filter(|(_, one)| !(wanted.has)(one.evidence) && one.is_complete && is_known) {
        let severity = match (root_has, wanted.of_index, some_have) {
            (false, ..) | (true, true, true) => Some(if root_has { Severity::Warning } else { grade(wanted) }),
            (true, true, false) => Some(Severity::Info),
            // One for the whole index counts for all.
            (true, false, _) => None,
        };
        let Some(severity) = severity else { continue };
        let beside = if root_has { ", only the index has" } else { "" };
        findings.add_as(severity, image.place(), format!("it has no {} of its own{beside}", wanted.name));
    }
}

fn grade(wanted: &Wanted) -> Severity {
    if wanted.is_required { Severity::Error } else { Severity::Warning }
}
