//! What is kept of each image while it is audited.

use std::sync::{Mutex, PoisonError};

use tokio::io::AsyncReadExt as _;

use super::clues::{Clue, Seen, SeenPlatform, chain, join};
use super::provenance::materials;
use super::{Inventory, KnownBy};
use crate::audit::collect::{Collector, in_full};
use crate::audit::facts::{ImageFacts, ManifestFacts, Node, PlatformImage};
use crate::oci::index_builder::REFERENCE_DIGEST;
use crate::oci::{Descriptor, Reference, media_type};

/// Largest statement that is read, in bytes. Those with every step of a build have some hundred thousand.
const STATEMENT_BYTES: u64 = 16 << 20;
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// Hears of each image that is audited.
#[derive(Debug, Default)]
pub struct Gatherer {
    seen: Mutex<Vec<Seen>>,
    unchecked: Mutex<Vec<String>>,
}

impl Gatherer {
    /// Takes what an image tells of its bases. Its provenance is read.
    pub(in crate::audit) async fn take(&self, collector: &Collector, facts: &ImageFacts) {
        let mut platforms = Vec::new();
        for image in facts.platforms() {
            let mut clues: Vec<Clue> = named(facts, &image).into_iter().collect();
            for statement in statements(facts, &image) {
                match read(collector, statement).await {
                    Ok(bytes) => clues.extend(materials(&bytes).into_iter().map(|one| Clue {
                        base: one.reference,
                        digest: one.digest,
                        known_by: KnownBy::Provenance,
                        platform: one.platform,
                    })),
                    Err(reason) => {
                        self.unchecked(format!("provenance {} of {}: {reason}", statement.digest, facts.name))
                    }
                }
            }
            platforms.push(SeenPlatform {
                platform: image.platform().to_string(),
                chain: chain(image.manifest.view.layers.iter().map(|layer| &layer.digest)),
                clues,
            });
        }
        let seen = Seen {
            repository: facts.name.repository.clone(),
            tag: facts.name.tag.clone(),
            name: facts.name.to_string(),
            root: facts.name.digest.clone(),
            platforms,
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    }

    fn unchecked(&self, what: String) {
        self.unchecked.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// Returns the bases, not looked at yet.
    pub fn inventory(&self) -> Inventory {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // In the order of names, not of answers.
        seen.sort_by(|a, b| a.name.cmp(&b.name));
        let mut unchecked = self.unchecked.lock().unwrap_or_else(PoisonError::into_inner).clone();
        unchecked.sort();
        Inventory { unchecked, ..join(&seen) }
    }
}

/// What the image itself says, or its index where it says nothing.
fn named(facts: &ImageFacts, image: &PlatformImage<'_>) -> Option<Clue> {
    let index = |key: &str| facts.index().and_then(|index| index.view.annotations.get(key)).map(String::as_str);
    let (name, digest) = match image.annotation(BASE_NAME) {
        Some(name) => (name, image.annotation(BASE_DIGEST)),
        None => (index(BASE_NAME)?, index(BASE_DIGEST).or_else(|| image.annotation(BASE_DIGEST))),
    };
    let reference: Reference = name.parse().ok()?;
    let digest = digest.and_then(|digest| digest.parse().ok()).or_else(|| reference.digest().cloned());
    let base = match (reference.tag(), reference.digest()) {
        (Some(tag), _) => reference.with_tag(tag),
        (None, Some(_)) => reference.name().parse().ok()?,
        (None, None) => reference.or_latest(),
    };
    Some(Clue { base, digest, known_by: KnownBy::Annotation, platform: None })
}

/// The provenance in the attestations about an image.
fn statements<'a>(facts: &'a ImageFacts, image: &PlatformImage<'_>) -> Vec<&'a Descriptor> {
    let about = image.descriptor.digest.to_string();
    let entries = facts
        .entries()
        .into_iter()
        .filter(|entry| entry.is_attestation() && entry.descriptor.annotations.get(REFERENCE_DIGEST) == Some(&about));
    let attestations = entries.filter_map(|entry| match &entry.node {
        Node::Image(manifest) => Some(&**manifest),
        _ => None,
    });
    let is_provenance = |layer: &&Descriptor| {
        let predicate = layer.annotations.get("in-toto.io/predicate-type");
        layer.media_type == media_type::IN_TOTO
            && predicate.is_some_and(|predicate| predicate.starts_with("https://slsa.dev/provenance/"))
    };
    attestations.flat_map(|manifest: &ManifestFacts| manifest.view.layers.iter().filter(is_provenance)).collect()
}

async fn read(collector: &Collector, descriptor: &Descriptor) -> Result<Vec<u8>, String> {
    let too_large = || format!("it is larger than {STATEMENT_BYTES} bytes");
    if descriptor.size > STATEMENT_BYTES {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let reader = collector.source().blob(descriptor).await.map_err(|error| in_full(&error))?;
    reader.take(STATEMENT_BYTES + 1).read_to_end(&mut bytes).await.map_err(|error| in_full(&error))?;
    if bytes.len() as u64 > STATEMENT_BYTES {
        return Err(too_large());
    }
    let mut hasher = descriptor.digest.hasher().map_err(|error| in_full(&error))?;
    hasher.update(&bytes);
    if hasher.finish() == descriptor.digest { Ok(bytes) } else { Err("it is not what its digest says".to_owned()) }
}
