//! Comparing a repository with the one it is a mirror of.
//!
//! Owns: by digests alone, what the source has and the mirror has not. Never: copies, or reads a blob.

use std::collections::{BTreeSet, HashSet};

use futures::stream::{StreamExt as _, iter};

use super::collect::in_full;
use super::facts::{Difference, MirrorFacts, RepositoryFacts};
use super::finding::Unchecked;
use super::repository::{PARALLEL, leads_to};
use crate::client::{ClientError, ErrorKind, Registry};
use crate::oci::index_builder::{ATTESTATION_MANIFEST, REFERENCE_TYPE};
use crate::oci::{Descriptor, Digest, Manifest, Platform, RawManifest, Reference};
use crate::transfer::copier::is_about_digest;

/// A mirror and its source.
pub(super) struct Pair<'a> {
    pub(super) registry: &'a Registry,
    pub(super) mirror: &'a Reference,
    pub(super) source: &'a Reference,
    /// Whether referrers are compared, too.
    pub(super) referrers: bool,
}

/// What is known of one tag.
enum Tag {
    Same,
    /// It differs, or lacks referrers.
    Different(Vec<Difference>),
    /// The source has no such tag.
    NotThere,
}

impl Pair<'_> {
    /// Adds to the facts how the mirror's tags differ. All tags of the source are asked for where all of the mirror were
    /// listed, else those that were read.
    pub(super) async fn compare(&self, is_listed: bool, facts: &mut RepositoryFacts) {
        let mut found = MirrorFacts { source: self.source.name(), ..MirrorFacts::default() };
        let mut tags: BTreeSet<String> = facts.roots.keys().cloned().collect();
        if is_listed && !facts.truncated {
            match self.registry.tags(self.source).await {
                Ok(list) => {
                    if list.truncated {
                        self.unchecked(facts, "tags", "the list was cut".to_owned());
                    }
                    tags.extend(list.tags.into_iter().filter(|tag| !is_about_digest(tag)));
                }
                Err(error) => self.unchecked(facts, "tags", in_full(&error)),
            }
        }
        let asking = tags.into_iter().map(|tag| {
            let here = facts.roots.get(&tag).cloned();
            async move {
                let compared = Box::pin(self.tag(&tag, here)).await;
                (tag, compared)
            }
        });
        let asked: Vec<_> = iter(asking).buffered(PARALLEL).collect().await;
        for (tag, compared) in asked {
            match compared {
                Ok(Tag::Same) => found.same += 1,
                Ok(Tag::Different(differences)) => {
                    found.different.extend(differences.into_iter().map(|difference| (tag.clone(), difference)));
                }
                Ok(Tag::NotThere) => found.only_here.push(tag),
                Err(error) => self.unchecked(facts, "source", format!("tag {tag}: {}", in_full(&error))),
            }
        }
        facts.mirror = Some(found);
    }

    fn unchecked(&self, facts: &mut RepositoryFacts, what: &str, reason: String) {
        let reason = format!("{}: {reason}", self.source.name());
        facts.unchecked.push(Unchecked { what: what.to_owned(), digest: None, reason });
    }

    async fn tag(&self, tag: &str, here: Option<Digest>) -> Result<Tag, ClientError> {
        let Some(there) = leads_to(self.registry, &self.source.with_tag(tag)).await? else { return Ok(Tag::NotThere) };
        let here = match here {
            Some(here) => here,
            // Not among what was read: it may only not have been readable.
            None => match leads_to(self.registry, &self.mirror.with_tag(tag)).await? {
                Some(here) => here,
                None => return Ok(Tag::Different(vec![Difference::Missing { there }])),
            },
        };
        if here != there {
            return Ok(Tag::Different(vec![Box::pin(self.difference(here, there)).await?]));
        }
        if !self.referrers {
            return Ok(Tag::Same);
        }
        let lost = Box::pin(self.lost_referrers(&there)).await?;
        Ok(if lost.is_empty() { Tag::Same } else { Tag::Different(vec![Difference::Referrers { of: there, lost }]) })
    }

    /// What is about the image at the source, and not at the mirror.
    async fn lost_referrers(&self, digest: &Digest) -> Result<Vec<Digest>, ClientError> {
        let there = self.registry.referrers(self.source, digest, None).await?.entries;
        if there.is_empty() {
            return Ok(Vec::new());
        }
        let here = self.registry.referrers(self.mirror, digest, None).await?.entries;
        let here: HashSet<Digest> = here.into_iter().map(|entry| entry.digest).collect();
        Ok(there.into_iter().map(|entry| entry.digest).filter(|digest| !here.contains(digest)).collect())
    }

    async fn difference(&self, here: Digest, there: Digest) -> Result<Difference, ClientError> {
        let (own, other) = futures::future::try_join(
            Box::pin(self.read(self.mirror, &here)),
            Box::pin(self.read(self.source, &there)),
        )
        .await?;
        let (Some(own), Some(other)) = (own, other) else { return Ok(Difference::Other { here, there }) };
        let images = |raw: &RawManifest| images_of(raw).into_iter().map(|image| image.digest).collect::<BTreeSet<_>>();
        let (own, others) = (images(&own), images_of(&other));
        let lacking: Vec<String> = others.iter().filter(|image| !own.contains(&image.digest)).map(name).collect();
        Ok(match lacking.len() {
            0 if own.len() == others.len() && !own.is_empty() => Difference::Rewrapped { here, there },
            count if count > 0 && count < others.len() => Difference::Lacking { here, there, platforms: lacking },
            _ => Difference::Other { here, there },
        })
    }

    async fn read(&self, at: &Reference, digest: &Digest) -> Result<Option<RawManifest>, ClientError> {
        match self.registry.get_manifest(&at.with_digest(digest.clone())).await {
            Ok(raw) => Ok(Some(raw)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The images in an index; a lone image is the only one.
fn images_of(raw: &RawManifest) -> Vec<Descriptor> {
    let is_image = |entry: &Descriptor| {
        let told = entry.annotations.get(REFERENCE_TYPE).is_some_and(|kind| kind == ATTESTATION_MANIFEST);
        !told && !entry.platform.as_ref().is_some_and(Platform::is_unknown)
    };
    match raw.view() {
        Ok(Manifest::Index(index)) => index.manifests.into_iter().filter(is_image).collect(),
        _ => vec![raw.descriptor()],
    }
}

fn name(image: &Descriptor) -> String {
    match &image.platform {
        Some(platform) => platform.to_string(),
        None => image.digest.to_string(),
    }
}
