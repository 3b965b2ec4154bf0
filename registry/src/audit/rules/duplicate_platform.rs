//! Two entries of an index are for one platform.

use std::collections::BTreeMap;

use crate::audit::facts::{Entry, ImageFacts, IndexFacts, Node};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::Platform;

pub(super) const RULE: Rule = Rule {
    id: "duplicate-platform",
    title: "several entries of the index are for the same platform",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Platforms,
    evidence: &[
        "headroomlabs-ai/headroom#2673",
        "moby/moby#41507",
        "kubeshark/kubeshark#1795",
        "buildpacks/lifecycle#660",
        "kubernetes-sigs/kubebuilder#2158",
    ],
    explanation: "Clients take the first entry that matches; the others are never pulled, though somebody built and \
        scanned them. It comes from merging an index with one that has the platform already, and of names that look \
        different and are not (arm64 and arm64/v8, arm and arm/v7, x86_64 and amd64). Different images under one name are \
        an error, the same image twice is a warning. Entries that differ in operating system version or features are \
        different platforms, and so are those that containers/image marks as compressed with zstd.",
    fix: "write the index again with one entry per platform",
    check: Check::Image(check),
};

/// Set by containers/image on further entries of a platform that differ in compression only
/// (containers/image, `internal/manifest/oci_index.go`).
const ZSTD_ENTRY: &str = "io.github.containers.compression.zstd";

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for (_, index) in facts.indexes() {
        duplicates(index, findings);
    }
}

fn duplicates(index: &IndexFacts, findings: &mut Findings) {
    let mut first: BTreeMap<(Platform, bool), &Entry> = BTreeMap::new();
    for entry in &index.children {
        let Some(platform) = named(entry) else { continue };
        let is_zstd = entry.descriptor.annotations.get(ZSTD_ENTRY).is_some_and(|value| value == "true");
        let winner = *first.entry((platform.normalize(), is_zstd)).or_insert(entry);
        if std::ptr::eq(winner, entry) {
            continue;
        }
        let (won, lost) = (&winner.descriptor, &entry.descriptor);
        let place = Place::platform(platform, &lost.digest);
        match won.digest == lost.digest {
            true => findings.add_as(Severity::Warning, place, format!("{} is listed more than once", lost.digest)),
            false => {
                let name = won.platform.as_ref().filter(|name| *name != platform);
                let name = name.map(|name| format!(" as {name}")).unwrap_or_default();
                findings
                    .add(place, format!("{} is never pulled: {} is listed before it{name}", lost.digest, won.digest))
            }
        };
    }
}

/// Returns the platform of an entry that clients choose by it.
fn named(entry: &Entry) -> Option<&Platform> {
    let is_artifact = entry.descriptor.artifact_type.is_some()
        || matches!(&entry.node, Node::Image(_)) && entry.platform_image().is_none();
    let platform = entry.descriptor.platform.as_ref()?;
    (!entry.is_attestation() && !is_artifact && !platform.architecture.is_empty()).then_some(platform)
}
