//! The platforms of a report.
//!
//! Owns: which entries of an index are platforms, read or not, and what of each could not be asked. Pure.

use super::facts::{Entry, ImageFacts, Node, PlatformImage};
use super::finding::Unchecked;
use super::report::{PlatformReport, PlatformState};
use crate::oci::Digest;

/// Returns the platforms in the order of the index, also those that could not be read.
pub(super) fn of(facts: &ImageFacts) -> Vec<PlatformReport> {
    facts.entries().into_iter().filter_map(|entry| child(entry, &facts.unchecked)).collect()
}

fn child(entry: &Entry, unchecked: &[Unchecked]) -> Option<PlatformReport> {
    if let Some(image) = entry.platform_image() {
        return Some(read(image, unchecked));
    }
    let state = match &entry.node {
        Node::Missing => PlatformState::Missing,
        Node::Unchecked => PlatformState::Unchecked,
        Node::Altered { .. } | Node::Unusable(_) => PlatformState::Unusable,
        Node::TooMuch | Node::Other | Node::Index(_) | Node::Image(_) => return None,
    };
    let platform = entry.descriptor.platform.as_ref().filter(|_| !entry.is_attestation())?;
    let digest = &entry.descriptor.digest;
    Some(PlatformReport {
        platform: platform.to_string(),
        digest: digest.clone(),
        state,
        size: 0,
        layers: 0,
        created: None,
        unchecked: about(unchecked, |one| one == digest),
    })
}

fn read(image: PlatformImage<'_>, unchecked: &[Unchecked]) -> PlatformReport {
    let view = &image.manifest.view;
    let digest = &image.descriptor.digest;
    let is_its =
        |one: &Digest| one == digest || *one == view.config.digest || view.layers.iter().any(|it| it.digest == *one);
    PlatformReport {
        platform: image.platform().to_string(),
        digest: digest.clone(),
        state: PlatformState::Read,
        size: image.size(),
        layers: view.layers.len(),
        created: image.config.and_then(|config| config.view.created.clone()),
        unchecked: about(unchecked, is_its),
    }
}

fn about(unchecked: &[Unchecked], is_its: impl Fn(&Digest) -> bool) -> Vec<String> {
    let its = unchecked.iter().filter(|one| one.digest.as_ref().is_some_and(&is_its));
    let mut names: Vec<String> = its.map(|one| one.what.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
