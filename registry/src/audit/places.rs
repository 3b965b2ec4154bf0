//! Which manifests an image has.
//!
//! Owns: the walk over them. Pure. Never: findings.

use super::facts::{Entry, ImageFacts, ManifestFacts, Node};

/// Returns every manifest that was read: images, attestations and artifacts.
pub(super) fn manifests(facts: &ImageFacts) -> impl Iterator<Item = (&Entry, &ManifestFacts)> {
    facts.entries().into_iter().filter_map(|entry| match &entry.node {
        Node::Image(manifest) => Some((entry, &**manifest)),
        _ => None,
    })
}
