//! Which child of an index a client takes.
//!
//! Owns: each client's way of choosing, and for which machines it is tried. Pure. Never: findings.

use std::collections::BTreeSet;

use super::facts::{ConfigFacts, Entry, ImageFacts, IndexFacts, Node};
use super::policy::Expectations;
use super::profile::{Choice, Profile};
use crate::oci::Platform;

/// Machines tried for one image. Real indexes have some ten platforms.
const MOST_MACHINES: usize = 64;

/// A machine a client may run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Machine {
    /// As the client names it.
    pub(super) platform: Platform,
    /// Whether the image is meant for it: it is listed or required.
    pub(super) is_meant: bool,
}

/// Returns the machines to try: those of the platforms that are required or listed, and the usual ones of the architectures and of
/// their 64-bit or 32-bit kin. Windows is left out: versions decide there, and they are no client's matter.
pub(super) fn machines(facts: &ImageFacts, wanted: &Expectations) -> Vec<Machine> {
    let listed = facts.platforms().into_iter().map(|image| image.platform().normalize());
    let meant: BTreeSet<Platform> = listed.chain(wanted.required_platforms.iter().map(Platform::normalize)).collect();
    let linux = |platform: &&Platform| platform.os == "linux" && !platform.architecture.is_empty();
    let meant: Vec<Platform> = meant.iter().filter(linux).take(MOST_MACHINES).cloned().collect();
    let has = |architecture: &str| meant.iter().any(|one| one.architecture == architecture);
    let usual = [
        (has("amd64") || has("386"), Platform::new("linux", "amd64", None)),
        (has("arm64") || has("arm"), Platform::new("linux", "arm64", None)),
        (has("arm"), Platform::new("linux", "arm", Some("v7"))),
        (has("arm"), Platform::new("linux", "arm", Some("v6"))),
    ];
    let others = usual.into_iter().filter(|(fits, one)| *fits && !meant.contains(one)).map(|(_, one)| one);
    let others: Vec<Machine> = others.map(|platform| Machine { platform, is_meant: false }).collect();
    meant.into_iter().map(|platform| Machine { platform, is_meant: true }).chain(others).collect()
}

/// Returns what a client takes from an index on a machine: a manifest; or an index, if it does not go on from there.
pub(super) fn choose<'a>(profile: &Profile, index: &'a IndexFacts, machine: &Platform) -> Option<&'a Entry> {
    let candidates: Vec<&Entry> = index.children.iter().filter(|entry| is_candidate(entry)).collect();
    let named = candidates.iter().filter_map(|entry| {
        let platform = entry.descriptor.platform.as_ref()?;
        Some((rank(profile.choice, machine, platform)?, *entry))
    });
    // Of equals the first: `min_by_key` keeps it.
    let mut best = named.min_by_key(|(rank, _)| *rank).map(|(_, entry)| entry);
    if best.is_none() && profile.choice == Choice::Docker20 && machine.architecture == "arm" {
        best = candidates.iter().copied().find(|entry| is_any_arm(entry, machine));
    }
    if best.is_none() && profile.unnamed {
        let mut unnamed = candidates.iter().copied().filter(|entry| entry.descriptor.platform.is_none());
        best = unnamed.find(|entry| is_within(profile, entry, machine));
    }
    match &best?.node {
        Node::Index(inner) if profile.nested => choose(profile, inner, machine),
        _ => best,
    }
}

/// Whether clients look at an entry: it is no attestation, no artifact, and a manifest or index.
fn is_candidate(entry: &Entry) -> bool {
    let is_image = match &entry.node {
        Node::Other => false,
        Node::Image(_) => entry.platform_image().is_some(),
        _ => true,
    };
    is_image && !entry.is_attestation() && entry.descriptor.artifact_type.is_none()
}

/// How far an entry is from what the client wants; `None`: it is not for it.
fn rank(choice: Choice, machine: &Platform, entry: &Platform) -> Option<usize> {
    match choice {
        Choice::All | Choice::NoIndex => None,
        Choice::Best => machine.preference(entry),
        Choice::Containerd16 => containerd16(machine, entry),
        Choice::Docker20 if machine.architecture == "arm" => machine.preference(entry),
        Choice::Docker20 => machine.matches_strictly(entry).then_some(0),
    }
}

/// `platformVector` of containerd 1.6: 64-bit ARM has no older variants, only the 32-bit ones.
fn containerd16(machine: &Platform, entry: &Platform) -> Option<usize> {
    let machine = machine.normalize();
    if machine.architecture != "arm64" {
        return machine.preference(entry);
    }
    if machine.matches_strictly(entry) {
        return Some(0);
    }
    // What is no number (v9.2) has no older variants at all.
    let variant = machine.variant.clone().unwrap_or_else(|| "v8".to_owned());
    let arm = Platform { architecture: "arm".to_owned(), variant: Some(variant), ..machine };
    Some(1 + arm.preference(entry)?)
}

/// What Docker 20.10 calls a deprecated partial match.
fn is_any_arm(entry: &Entry, machine: &Platform) -> bool {
    let platform = entry.descriptor.platform.as_ref();
    platform.is_some_and(|platform| platform.os == machine.os && platform.architecture == machine.architecture)
}

/// Whether what an entry of no platform leads to is for the machine.
fn is_within(profile: &Profile, entry: &Entry, machine: &Platform) -> bool {
    match &entry.node {
        Node::Index(inner) => profile.nested && choose(profile, inner, machine).is_some(),
        Node::Image(manifest) => match &manifest.config {
            ConfigFacts::Read(config) => rank(profile.choice, machine, &config.view.platform()).is_some(),
            _ => false,
        },
        _ => false,
    }
}
