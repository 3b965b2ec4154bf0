//! Where findings about entries are.
//!
//! Owns: the place of an entry, and which manifests there are. Pure. Never: findings.

use super::facts::{Entry, ImageFacts, ManifestFacts, Node};
use super::finding::Place;

/// Returns the place of an entry: its platform's, if its parent names one and it is no attestation.
pub(super) fn place(entry: &Entry) -> Place {
    if let Some(image) = entry.platform_image() {
        return image.place();
    }
    let digest = &entry.descriptor.digest;
    match &entry.descriptor.platform {
        Some(platform) if !entry.is_attestation() => Place::platform(platform, digest),
        _ => Place::digest(digest),
    }
}

/// Returns every manifest that was read: images, attestations and artifacts.
pub(super) fn manifests(facts: &ImageFacts) -> impl Iterator<Item = (&Entry, &ManifestFacts)> {
    facts.entries().into_iter().filter_map(|entry| match &entry.node {
        Node::Image(manifest) => Some((entry, &**manifest)),
        _ => None,
    })
}
