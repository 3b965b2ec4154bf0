//! Asking registries for the bases that images name.
//!
//! Owns: one question per base and run, two more where its tag has moved. Never: judges; or asks for what is no reference.
//! Names come from images, so that somebody else chooses which registries are asked: it is done on request only.

use std::convert::Infallible;

use super::collect::in_full;
use super::facts::{BaseFacts, ImageFacts, PlatformImage};
use super::finding::Unchecked;
use super::repository::leads_to;
use crate::client::once::OnceMap;
use crate::client::{ClientError, ErrorKind, Registry};
use crate::oci::{Digest, Manifest, Reference};

/// The base an image was built on (image-spec, annotations.md).
const NAME: &str = "org.opencontainers.image.base.name";
const DIGEST: &str = "org.opencontainers.image.base.digest";
/// Longest name that is read; repositories and tags have 255 and 128 bytes at most.
const NAME_BYTES: usize = 512;
/// Bases of one image that are asked for.
const MOST: usize = 64;

/// What became of a base: where its tag leads, and whether what was built on is still there.
type Answer = Result<(Option<Digest>, bool), String>;

/// The bases of all images of a run.
pub(super) struct Bases {
    registry: Registry,
    asked: OnceMap<(String, Digest), Answer>,
}

impl Bases {
    pub(super) fn new(registry: &Registry) -> Self {
        Self { registry: registry.clone(), asked: OnceMap::default() }
    }

    /// Adds to the facts what became of the bases of its platforms.
    pub(super) async fn look(&self, facts: &mut ImageFacts) {
        let mut bases: Vec<BaseFacts> = Vec::new();
        let mut unchecked = Vec::new();
        for (name, digest, images) in named(facts) {
            let Ok(reference) = name.parse::<Reference>() else { continue };
            let ask = async {
                Ok::<_, Infallible>(Box::pin(self.ask(&reference, &digest)).await.map_err(|error| in_full(&error)))
            };
            let Ok(answer) = self.asked.get_or_try_init(&(name.clone(), digest.clone()), ask).await;
            match answer {
                Ok((now, is_there)) => bases.push(BaseFacts { name, digest, now, is_there, images }),
                Err(reason) => unchecked.push(Unchecked {
                    what: "base".to_owned(),
                    digest: Some(digest),
                    reason: format!("{name}: {reason}"),
                }),
            }
        }
        facts.unchecked.append(&mut unchecked);
        facts.bases = Some(bases);
    }

    async fn ask(&self, base: &Reference, built_on: &Digest) -> Result<(Option<Digest>, bool), ClientError> {
        let tag = base.or_latest();
        let now = match tag.tag() {
            Some(tag) => Box::pin(leads_to(&self.registry, &base.with_tag(tag))).await?,
            None => base.digest().cloned(),
        };
        match &now {
            Some(now) if now == built_on && tag.tag().is_some() => return Ok((Some(built_on.clone()), true)),
            // What was built on may be one platform of what the tag leads to.
            Some(now) if Box::pin(self.has_child(base, now, built_on)).await? => {
                return Ok((Some(built_on.clone()), true));
            }
            _ => {}
        }
        let is_there = self.registry.head_manifest(&base.with_digest(built_on.clone())).await?.is_some();
        // A name that is a digest has no tag that could have moved.
        Ok((if tag.tag().is_some() { now } else { Some(built_on.clone()) }, is_there))
    }

    async fn has_child(&self, base: &Reference, index: &Digest, child: &Digest) -> Result<bool, ClientError> {
        match self.registry.get_manifest(&base.with_digest(index.clone())).await {
            Ok(raw) => Ok(match raw.view() {
                Ok(Manifest::Index(view)) => view.manifests.iter().any(|entry| entry.digest == *child),
                _ => false,
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Returns name and digest of each base, and the platforms built on it.
fn named(facts: &ImageFacts) -> Vec<(String, Digest, Vec<Digest>)> {
    let mut bases: indexmap::IndexMap<(String, Digest), Vec<Digest>> = indexmap::IndexMap::new();
    for image in facts.platforms() {
        let annotation = |key: &str| own(facts, &image, key);
        let name = annotation(NAME).filter(|name| name.len() <= NAME_BYTES);
        let digest = annotation(DIGEST).and_then(|digest| digest.parse().ok());
        if let (Some(name), Some(digest)) = (name, digest)
            && bases.len() < MOST
        {
            bases.entry((name, digest)).or_default().push(image.descriptor.digest.clone());
        }
    }
    bases.into_iter().map(|((name, digest), images)| (name, digest, images)).collect()
}

/// An image says it itself, or its index for all.
fn own(facts: &ImageFacts, image: &PlatformImage<'_>, key: &str) -> Option<String> {
    let of_index = || facts.index().and_then(|index| index.view.annotations.get(key)).map(String::as_str);
    image.annotation(key).or_else(of_index).map(str::to_owned)
}
