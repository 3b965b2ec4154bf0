//! One platform's image as a build leaves it: manifests and descriptors.
//!
//! Owns: the data that verifying fills and assembling, loading and publishing read. Pure. Never: holds a layer.

use polyarch_registry::oci::{Descriptor, Platform, RawManifest};

use crate::steps::Steps;

/// One platform's image, in the store and verified.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// The platform asked for.
    pub platform: Platform,
    /// The platform as the config states it, with `os.version` and `os.features`.
    pub config_platform: Platform,
    /// The image manifest.
    pub manifest: RawManifest,
    /// The config blob.
    pub config: Descriptor,
    /// The layers, base first.
    pub layers: Vec<Descriptor>,
    /// Attestation manifests, with the annotations and platform of their index entries.
    pub attestations: Vec<Attestation>,
    /// What the daemon did.
    pub steps: Steps,
}

impl BuiltImage {
    /// Returns the bytes of config and layers together.
    pub fn size(&self) -> u64 {
        self.layers.iter().fold(self.config.size, |sum, layer| sum.saturating_add(layer.size))
    }
}

/// An attestation manifest and its entry in the index BuildKit made.
#[derive(Debug, Clone)]
pub struct Attestation {
    /// The index entry.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: RawManifest,
}
