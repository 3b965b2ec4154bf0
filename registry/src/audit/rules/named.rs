//! The platforms an image is listed under, whether or not they could be read.

use crate::audit::facts::{Entry, ImageFacts, Node};
use crate::oci::{Descriptor, Platform};

/// A platform of an image.
pub(super) struct Named<'a> {
    /// As the index names it, else as its configuration does.
    pub(super) platform: Platform,
    /// Its manifest.
    pub(super) descriptor: &'a Descriptor,
}

/// Returns the platforms, in the order of the index; none if something could not be read that may be one more.
pub(super) fn platforms(facts: &ImageFacts) -> Option<Vec<Named<'_>>> {
    let mut all = Vec::new();
    for entry in facts.entries() {
        match name(entry) {
            Name::Platform(platform) => all.push(Named { platform, descriptor: &entry.descriptor }),
            Name::None => {}
            Name::Unknown => return None,
        }
    }
    Some(all)
}

enum Name {
    Platform(Platform),
    /// It is no platform's image.
    None,
    /// Nobody knows.
    Unknown,
}

fn name(entry: &Entry) -> Name {
    if entry.is_attestation() || matches!(entry.node, Node::Index(_) | Node::Other) {
        return Name::None;
    }
    let named = match (&entry.node, entry.platform_image()) {
        (_, Some(image)) => Some(image.platform()),
        // An artifact.
        (Node::Image(_), None) => return Name::None,
        (_, None) => entry.descriptor.platform.clone(),
    };
    match named.filter(|platform| !platform.architecture.is_empty()) {
        Some(platform) => Name::Platform(platform),
        None => Name::Unknown,
    }
}
