//! Looking for what refers to manifests: by the API, by the tag that stands in for it, by cosign's tags.
//!
//! Owns: as few questions as the registry allows. That it has no API is learnt once, and a list of tags answers for all the
//! tags that are not there. Never: judges, or takes what it could not ask for as missing.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::stream::{StreamExt as _, iter};
use tokio::sync::OnceCell;

use super::collect::{Collector, in_full};
use super::evidence;
use super::facts::{ImageFacts, Node, ReferrerFacts};
use super::finding::Unchecked;
use crate::client::{ErrorKind, Registry, fallback_tag};
use crate::oci::{Descriptor, Digest, Manifest, RawManifest, Reference};
use crate::transfer::copier::is_about_digest;
use crate::verify::SourceError;

/// Manifests asked about at once. Requests in flight are bounded by the client.
const PARALLEL: usize = 8;
/// Referrers of one manifest that are read; more are only counted.
const MOST_READ: usize = 64;
/// From so many images on the list of a repository's tags is worth its pages.
const WORTH_A_LIST: usize = 16;
/// What cosign appends to a tag made of a digest (cosign, `pkg/oci/remote`).
pub(super) const COSIGN: [&str; 3] = ["sig", "att", "sbom"];

/// What has been learnt of a repository.
#[derive(Default)]
pub(super) struct Discovery {
    /// Whether there is an API, as the first manifest that was asked about showed.
    api: OnceCell<bool>,
    /// Whether tags are listed where they were not.
    lists: bool,
    /// Those of its tags that are made of a digest; none where they cannot be listed in full.
    tags: OnceCell<Option<BTreeSet<String>>>,
}

/// What the manifests of a layout refer to.
#[derive(Default)]
pub(super) struct Local {
    by_subject: HashMap<Digest, Vec<RawManifest>>,
    by_tag: HashMap<String, RawManifest>,
}

impl Local {
    /// Takes what is no image but about one out of a layout's roots; if there is nothing else, that was asked for.
    pub(super) fn of(roots: &mut Vec<(Option<String>, RawManifest)>) -> Self {
        let mut local = Self::default();
        let mut images = Vec::new();
        for (name, manifest) in std::mem::take(roots) {
            match (subject(&manifest), name.as_deref().and_then(digest_tag)) {
                (Some(subject), _) => local.by_subject.entry(subject).or_default().push(manifest.clone()),
                (None, Some(tag)) => drop(local.by_tag.insert(tag.to_owned(), manifest.clone())),
                (None, None) => {
                    images.push((name, manifest));
                    continue;
                }
            }
            roots.push((name, manifest));
        }
        if !images.is_empty() {
            *roots = images;
        }
        local
    }

    fn about(&self, digest: &Digest) -> ReferrerFacts {
        let mut facts = ReferrerFacts::default();
        let mut entries = Vec::new();
        for raw in self.by_subject.get(digest).into_iter().flatten() {
            let view = raw.view().ok();
            let kind = view.as_ref().and_then(evidence::type_of).map(str::to_owned);
            entries.push(Descriptor { artifact_type: kind, ..raw.descriptor() });
            facts.read.extend(view.map(|view| (raw.digest().clone(), view)));
        }
        facts.by_api = Some(entries);
        for suffix in COSIGN {
            let tag = format!("{}.{suffix}", fallback_tag(digest));
            if let Some(raw) = self.by_tag.get(&tag) {
                facts.tagged.extend(raw.view().ok().map(|view| (tag.clone(), view)));
                facts.cosign_tags.push(tag);
            }
        }
        facts
    }
}

/// Returns whether a root of a layout is about another one: a signature, an SBOM.
pub fn is_about_another(name: Option<&str>, manifest: &RawManifest) -> bool {
    subject(manifest).is_some() || name.is_some_and(|name| digest_tag(name).is_some())
}

/// Returns the tag in a name, if it is made of a digest.
fn digest_tag(name: &str) -> Option<&str> {
    name.rsplit(':').next().filter(|tag| is_about_digest(tag))
}

fn subject(manifest: &RawManifest) -> Option<Digest> {
    match manifest.view().ok()? {
        // An image may have a subject and be one all the same.
        Manifest::Image(image) if crate::oci::media_type::is_config(&image.config.media_type) => None,
        view => view.subject().map(|subject| subject.digest.clone()),
    }
}

/// Where referrers are looked for.
pub(super) enum Place<'a> {
    Layout(&'a Local),
    Repository { registry: &'a Registry, at: &'a Reference, discovery: &'a Discovery },
}

impl Discovery {
    /// Of a repository whose tags were listed in full.
    pub(super) fn with_tags(tags: BTreeSet<String>) -> Self {
        let tags = OnceCell::new_with(Some(Some(tags)));
        Self { tags, ..Self::default() }
    }

    /// Of a repository of which so many images are audited: for a few it costs less to ask for the tags of each than to list
    /// all there are.
    pub(super) fn of(images: usize) -> Self {
        Self { lists: images >= WORTH_A_LIST, ..Self::default() }
    }

    async fn tags(&self, registry: &Registry, at: &Reference) -> Option<&BTreeSet<String>> {
        let list = self.tags.get_or_init(|| async {
            if !self.lists {
                return None;
            }
            let list = registry.tags(at).await.ok().filter(|list| !list.truncated)?;
            Some(list.tags.into_iter().filter(|tag| is_about_digest(tag)).collect())
        });
        list.await.as_ref()
    }
}

/// Looks for what refers to each index and image, and adds it to the facts.
pub(super) async fn look(place: Place<'_>, collector: &Collector, facts: &mut ImageFacts) {
    let (place, subjects) = (&place, subjects(facts));
    let asking = subjects.into_iter().map(|digest| async move {
        let asked = match place {
            Place::Layout(local) => Asked { facts: local.about(&digest), ..Asked::default() },
            Place::Repository { registry, at, discovery } => {
                let looking = Looking { registry, at, discovery, collector, subject: &digest };
                Box::pin(looking.look()).await
            }
        };
        (digest, asked)
    });
    let mut asked: Vec<_> = iter(asking).buffered(PARALLEL).collect().await;
    let mut known = HashMap::new();
    for (digest, mut one) in asked.drain(..) {
        one.facts.unchecked = !one.unchecked.is_empty();
        facts.unchecked.append(&mut one.unchecked);
        known.insert(digest, one.facts);
    }
    facts.referrers = Some(known);
}

/// Indexes and platforms, each once.
fn subjects(facts: &ImageFacts) -> Vec<Digest> {
    let mut seen = HashSet::new();
    let is_subject =
        |entry: &&super::facts::Entry| matches!(entry.node, Node::Index(_)) || entry.platform_image().is_some();
    let digests = facts.entries().into_iter().filter(is_subject).map(|entry| &entry.descriptor.digest);
    digests.filter(|digest| seen.insert(*digest)).cloned().collect()
}

#[derive(Default)]
struct Asked {
    facts: ReferrerFacts,
    unchecked: Vec<Unchecked>,
}

/// Looking for what refers to one manifest.
struct Looking<'a> {
    registry: &'a Registry,
    at: &'a Reference,
    discovery: &'a Discovery,
    collector: &'a Collector,
    subject: &'a Digest,
}

impl Looking<'_> {
    async fn look(&self) -> Asked {
        let mut asked = Asked::default();
        Box::pin(self.by_api(&mut asked)).await;
        let tags = self.discovery.tags(self.registry, self.at).await;
        let name = fallback_tag(self.subject);
        if tags.is_none_or(|tags| tags.contains(&name)) {
            Box::pin(self.by_tag(&name, &mut asked)).await;
        }
        for suffix in COSIGN {
            let tag = format!("{name}.{suffix}");
            if tags.is_none_or(|tags| tags.contains(&tag)) {
                Box::pin(self.cosign(tag, suffix, tags.is_some(), &mut asked)).await;
            }
        }
        Box::pin(self.read(&mut asked)).await;
        asked
    }

    fn unchecked(&self, asked: &mut Asked, reason: String) {
        let digest = Some(self.subject.clone());
        asked.unchecked.push(Unchecked { what: "referrers".to_owned(), digest, reason });
    }

    async fn by_api(&self, asked: &mut Asked) {
        let ask = || self.registry.referrers_by_api(self.at, self.subject, None);
        let mut first = None;
        let has_api = self.discovery.api.get_or_init(async || {
            let found = ask().await;
            let has_api = !matches!(found, Ok(None));
            first = Some(found);
            has_api
        });
        if !*has_api.await {
            return;
        }
        let found = match first {
            Some(found) => found,
            None => ask().await,
        };
        match found {
            Ok(Some(found)) => {
                if found.truncated {
                    self.unchecked(asked, format!("there are more than the {} that were read", found.entries.len()));
                }
                asked.facts.by_api = Some(found.entries);
            }
            Ok(None) => {}
            Err(error) => self.unchecked(asked, in_full(&error)),
        }
    }

    async fn by_tag(&self, tag: &str, asked: &mut Asked) {
        match self.registry.get_manifest_as_is(&self.at.with_tag(tag), "").await {
            // GitLab resolves the tag to the subject itself (oras-go#1396).
            Ok(manifest) if manifest.digest() == self.subject => {}
            Ok(manifest) => {
                if let Ok(Manifest::Index(index)) = manifest.view() {
                    asked.facts.by_tag = Some(index.manifests);
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.unchecked(asked, in_full(&error)),
        }
    }

    /// Only attestations have to be read: they may be of any kind.
    async fn cosign(&self, tag: String, suffix: &str, is_listed: bool, asked: &mut Asked) {
        let at = self.at.with_tag(&tag);
        let found = match suffix {
            "att" => self.registry.get_manifest_as_is(&at, "").await.map(Some),
            _ if is_listed => Ok(None),
            _ => match self.registry.head_manifest(&at).await {
                Ok(None) => return,
                found => found.map(|_| None),
            },
        };
        match found {
            Ok(manifest) => {
                let view = manifest.and_then(|manifest| manifest.view().ok());
                asked.facts.tagged.extend(view.map(|view| (tag.clone(), view)));
                asked.facts.cosign_tags.push(tag);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => self.unchecked(asked, in_full(&error)),
        }
    }

    /// Reads what the tag lists, for only clients keep that list, and of the API's what does not say what it is.
    async fn read(&self, asked: &mut Asked) {
        let mut seen = HashSet::new();
        let listed = asked.facts.by_tag.iter().flatten();
        let unclear = asked.facts.by_api.iter().flatten().filter(|entry| evidence::needs_reading(entry));
        let wanted: Vec<Descriptor> =
            listed.chain(unclear).filter(|entry| seen.insert(&entry.digest)).take(MOST_READ + 1).cloned().collect();
        if wanted.len() > MOST_READ {
            self.unchecked(asked, format!("there are more than the {MOST_READ} that were read"));
        }
        let reading = wanted.into_iter().take(MOST_READ).map(|entry| async move {
            let found = self.collector.source().manifest(&entry).await;
            (entry.digest, found)
        });
        let read: Vec<_> = iter(reading).buffered(PARALLEL).collect().await;
        for (digest, found) in read {
            match found {
                Ok(manifest) if *manifest.digest() == digest => match manifest.view() {
                    // The list is anybody's claim, the manifest is the artifact's own.
                    Ok(view) if view.subject().is_some_and(|about| about.digest == *self.subject) => {
                        drop(asked.facts.read.insert(digest, view));
                    }
                    _ => asked.facts.foreign.push(digest),
                },
                Ok(_) => self.unchecked(asked, format!("{digest} is answered with other bytes")),
                Err(SourceError::Missing(_)) => asked.facts.missing.push(digest),
                Err(error) => self.unchecked(asked, in_full(&error)),
            }
        }
    }
}
