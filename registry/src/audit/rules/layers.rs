//! Layers that were read, for the rules about what is in them.

use std::sync::Arc;

use crate::audit::facts::{ImageFacts, PlatformImage};
use crate::audit::finding::{Finding, Findings, Place, Severity};
use crate::audit::layer::tree::Tree;
use crate::audit::layer::{LayerFacts, Noted, Oddity};
use crate::oci::Descriptor;

/// A layer that was read.
pub(super) struct Layer<'a> {
    pub(super) descriptor: &'a Descriptor,
    pub(super) facts: &'a LayerFacts,
    /// The images it is in, and its number in each, from the base.
    pub(super) uses: Vec<(PlatformImage<'a>, usize)>,
}

/// Returns every layer that was read, once, in the order of the index.
pub(super) fn read(facts: &ImageFacts) -> Vec<Layer<'_>> {
    let mut all: indexmap::IndexMap<_, Layer<'_>> = indexmap::IndexMap::new();
    for image in facts.platforms() {
        for (number, descriptor) in image.manifest.view.layers.iter().enumerate() {
            let Some(facts) = facts.layers.as_ref().and_then(|layers| layers.get(&descriptor.digest)) else { continue };
            let layer = all.entry(&descriptor.digest).or_insert_with(|| Layer {
                descriptor,
                facts: Arc::as_ref(facts),
                uses: Vec::new(),
            });
            layer.uses.push((image, number));
        }
    }
    all.into_values().collect()
}

impl Layer<'_> {
    /// Adds a finding about it: to its platform, if only one has it. Its key is its place in the image.
    pub(super) fn found<'f>(
        &self,
        findings: &'f mut Findings,
        severity: Severity,
        key: &str,
        message: String,
    ) -> &'f mut Finding {
        let digest = self.descriptor.digest.clone();
        let (platform, number) = match &self.uses[..] {
            [(image, number)] => (Some(image.platform()), *number),
            uses => (None, uses.first().map_or(0, |(_, number)| *number)),
        };
        let found = findings.add_as(severity, Place { platform, digest: Some(digest) }, message);
        found.key = format!("layer {} {key}", number + 1).trim_end().to_owned();
        found
    }

    /// Adds a finding for each kind that was noted: severity, kind, and what is said before the names.
    pub(super) fn oddities(&self, findings: &mut Findings, kinds: &[(Severity, Oddity, &str)]) {
        for (severity, oddity, words) in kinds {
            if let Some(noted) = self.facts.noted(*oddity) {
                self.found(findings, *severity, words, format!("{words}: {}", list(noted)));
            }
        }
    }
}

/// Returns the names that were noted; those without one are counted.
pub(super) fn list(noted: &Noted) -> String {
    match noted.first.iter().all(String::is_empty) {
        true => noted.count.to_string(),
        false => noted.list(),
    }
}

/// Returns the trees of an image's layers, base first, if all of them were read.
pub(super) fn trees<'a>(facts: &'a ImageFacts, image: &PlatformImage<'_>) -> Option<Vec<Option<&'a Tree>>> {
    let layers = facts.layers.as_ref()?;
    let tree = |layer: &Descriptor| layers.get(&layer.digest).map(|facts| &facts.tree).filter(|tree| tree.is_whole);
    image.manifest.view.layers.iter().map(|layer| tree(layer).map(Some)).collect()
}
