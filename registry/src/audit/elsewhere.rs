//! Where else something is that a repository has lost.
//!
//! Owns: asking other registries for the digests of findings about what is missing, and the command that brings it back. Never: runs it.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::facts::{ImageFacts, Node};
use super::finding::Finding;
use crate::client::once::OnceMap;
use crate::client::{ClientError, Registry};
use crate::oci::{Descriptor, Digest, Reference};

/// Most questions of one run; an audit of much that is lost is no reason to burden others.
const QUESTIONS: usize = 10_000;

/// A registry, or a repository, where things may still be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    host: String,
    repository: Option<String>,
}

/// Looks for what is missing.
pub struct Elsewhere {
    registry: Registry,
    places: Vec<Place>,
    asked: OnceMap<(String, Digest), bool>,
    left: AtomicUsize,
}

/// What is missing.
enum Lost {
    Manifest(Digest),
    Blob(Box<Descriptor>),
}

impl Place {
    /// Reads `HOST` or `HOST/REPOSITORY`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not HOST, HOST:PORT or HOST/REPOSITORY");
        let (host, repository) = text.split_once('/').map_or((text, None), |(host, rest)| (host, Some(rest)));
        let probe: Reference = format!("{host}/x/x").parse().map_err(|_| wrong())?;
        let named = repository.map(|repository| format!("{host}/{repository}").parse::<Reference>());
        let named = named.transpose().map_err(|_| wrong())?;
        let is_plain = named.as_ref().is_none_or(|named| named.tag().is_none() && named.digest().is_none());
        if probe.host() != host || !is_plain {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), repository: named.map(|named| named.repository().to_owned()) })
    }

    /// Where a repository's content may be: its own path there, or as mirrors of many registries have it, under its host.
    fn candidates(&self, of: &Reference) -> Vec<Reference> {
        let paths = match &self.repository {
            Some(repository) => vec![repository.clone()],
            None => vec![of.repository().to_owned(), of.name()],
        };
        let read = paths.into_iter().filter_map(|path| format!("{}/{path}", self.host).parse::<Reference>().ok());
        // A port makes no path, and of itself there is nothing to ask.
        read.filter(|found| found.host() == self.host && found.tag().is_none() && found.name() != of.name()).collect()
    }
}

impl Elsewhere {
    /// Returns what looks in these places.
    pub fn new(registry: &Registry, places: Vec<Place>) -> Self {
        let registry = registry.without_mirrors();
        Self { registry, places, asked: OnceMap::default(), left: AtomicUsize::new(QUESTIONS) }
    }

    /// Says in the findings about what is missing where it still is, and what brings it back.
    pub(super) async fn help(&self, facts: &ImageFacts, findings: &mut [Finding]) {
        // A layout's name is no repository's.
        let own = facts.name.repository.parse::<Reference>().ok();
        let Some(own) = own.filter(|own| own.name() == facts.name.repository) else { return };
        for finding in findings {
            let Some(lost) = lost(facts, finding) else { continue };
            finding.fix = self.fix(&own, &lost).await;
        }
    }

    async fn fix(&self, own: &Reference, lost: &Lost) -> String {
        let digest = lost.digest();
        let (mut not_at, mut unasked) = (Vec::new(), Vec::new());
        for place in self.places.iter().flat_map(|place| place.candidates(own)) {
            match self.is_at(&place, lost).await {
                Ok(Some(true)) => return lost.command(&place, own),
                Ok(Some(false)) => not_at.push(place.name()),
                Ok(None) => unasked.push(format!("{}: too much is missing to ask for all", place.name())),
                Err(error) => unasked.push(format!("{}: {error}", place.name())),
            }
        }
        let not_at = match not_at.is_empty() {
            true => String::new(),
            false => format!("{digest} is not at {} either; ", not_at.join(", ")),
        };
        let unasked: String = unasked.iter().map(|one| format!("could not ask {one}; ")).collect();
        format!("{not_at}{unasked}build and push it again")
    }

    async fn is_at(&self, place: &Reference, lost: &Lost) -> Result<Option<bool>, ClientError> {
        let key = (place.name(), lost.digest().clone());
        let asking = self.asked.get_or_try_init(&key, async {
            if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
                return Err(None);
            }
            let found = match lost {
                Lost::Manifest(digest) => {
                    let head = self.registry.head_manifest(&place.with_digest(digest.clone())).await.map_err(Some)?;
                    head.is_some_and(|head| head.digest.is_none_or(|found| found == *digest))
                }
                Lost::Blob(blob) => self.registry.blob_exists(place, blob).await.map_err(Some)?.is_some(),
            };
            Ok(found)
        });
        match asking.await {
            Ok(found) => Ok(Some(found)),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }
}

impl Lost {
    fn digest(&self) -> &Digest {
        match self {
            Self::Manifest(digest) => digest,
            Self::Blob(blob) => &blob.digest,
        }
    }

    fn command(&self, place: &Reference, own: &Reference) -> String {
        let (from, to, digest) = (place.name(), own.name(), self.digest());
        match self {
            Self::Manifest(_) => format!("{from} still has it: polyarch copy {from}@{digest} {to}"),
            Self::Blob(_) => {
                let file = format!("blob-{}", digest.short());
                format!(
                    "{from} still has it: polyarch blob get {from}@{digest} -o {file} && polyarch blob put {to} {file}"
                )
            }
        }
    }
}

/// What a finding says is missing: rules and keys are part of a report's interface, messages are not.
fn lost(facts: &ImageFacts, finding: &Finding) -> Option<Lost> {
    let digest = finding.digest.as_ref()?;
    if finding.rule == "dangling-child" {
        return Some(Lost::Manifest(digest.clone()));
    }
    if finding.rule != "missing-blob" {
        return None;
    }
    let manifest = facts.entries().into_iter().find_map(|entry| match &entry.node {
        Node::Image(manifest) if entry.descriptor.digest == *digest => Some(manifest),
        _ => None,
    })?;
    let blob = match finding.key.strip_prefix("layer ") {
        Some(number) => manifest.view.layers.get(number.parse::<usize>().ok()?.checked_sub(1)?)?,
        None => &manifest.view.config,
    };
    Some(Lost::Blob(Box::new(blob.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_or_a_repository() {
        let own: Reference = "registry.example.com/team/app:1".parse().unwrap();
        let found = |text: &str| {
            let candidates = Place::new(text).unwrap().candidates(&own);
            candidates.iter().map(Reference::name).collect::<Vec<_>>()
        };
        let both = ["mirror.example.com/team/app", "mirror.example.com/registry.example.com/team/app"];
        assert_eq!(found("mirror.example.com"), both);
        assert_eq!(found("localhost:5000/backup/app"), ["localhost:5000/backup/app"]);
        assert_eq!(found("registry.example.com"), ["registry.example.com/registry.example.com/team/app"]);
        assert_eq!(found("registry.example.com/team/app"), Vec::<String>::new());
        let local: Reference = "localhost:5000/app".parse().unwrap();
        let mirror = Place::new("mirror.example.com").unwrap().candidates(&local);
        assert_eq!(mirror.iter().map(Reference::name).collect::<Vec<_>>(), ["mirror.example.com/app"]);
        for bad in ["", "mirror", "mirror.example.com/", "mirror.example.com/a:1", "mirror.example.com/A", "a b"] {
            assert!(Place::new(bad).is_err(), "{bad}");
        }
    }
}
