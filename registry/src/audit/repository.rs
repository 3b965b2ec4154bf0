//! Reading what concerns a repository as a whole.
//!
//! Owns: what is remembered of each image until all were read, and the questions asked after that. Never: judges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use futures::stream::{StreamExt as _, iter};

use super::collect::in_full;
use super::facts::{ImageFacts, MovedTag, Node, RepositoryFacts, Since, TagFacts};
use super::finding::Unchecked;
use crate::client::{ClientError, ErrorKind, Registry, TagList};
use crate::oci::{Digest, Reference};
use crate::transfer::copier::is_about_digest;

/// Questions asked at once. Requests in flight are bounded by the client.
pub(super) const PARALLEL: usize = 16;

/// What is remembered of the images of a repository.
#[derive(Default)]
pub(super) struct Noted(Mutex<RepositoryFacts>);

impl Noted {
    /// Remembers an image, and its manifests if they will be asked for.
    pub(super) fn image(&self, facts: &ImageFacts, with_manifests: bool) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if with_manifests {
            let there = facts.entries().into_iter().filter(|entry| is_there(&entry.node));
            noted.manifests.extend(there.map(|entry| entry.descriptor.digest.clone()));
        }
        let Some(tag) = &facts.name.tag else { return };
        noted.roots.insert(tag.clone(), facts.name.digest.clone());
        if !facts.is_image() {
            return;
        }
        let platforms = facts.platforms();
        noted.images.push(TagFacts {
            tag: tag.clone(),
            digest: facts.name.digest.clone(),
            is_index: facts.index().is_some(),
            platforms: platforms.len(),
            // RFC 3339 in UTC sorts as text, and is only compared after it was parsed.
            created: platforms.iter().filter_map(|image| image.config?.view.created.clone()).max(),
        });
    }

    /// Returns what was remembered, in the order of tags.
    pub(super) fn into_facts(self, repository: &Reference, list: Option<TagList>) -> RepositoryFacts {
        let mut facts = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        facts.repository = repository.name();
        facts.images.sort_by(|a, b| a.tag.cmp(&b.tag));
        if let Some(list) = list {
            facts.truncated = list.truncated;
            facts.tags = list.tags.into_iter().collect();
        }
        facts
    }
}

fn is_there(node: &Node) -> bool {
    !matches!(node, Node::Missing | Node::Unchecked | Node::TooMuch | Node::Other)
}

/// Looks for what the tags of signatures and lists of referrers are about, as far as no image that was read is it.
pub(super) async fn look_for_subjects(registry: &Registry, at: &Reference, facts: &mut RepositoryFacts) {
    let subjects: BTreeSet<Digest> = facts.tags.iter().filter_map(|tag| subject_of(tag)).collect();
    let asking = subjects.into_iter().filter(|digest| !facts.manifests.contains(digest)).map(|digest| async move {
        let found = Box::pin(registry.head_manifest(&at.with_digest(digest.clone()))).await;
        (digest, found)
    });
    let asked: Vec<_> = iter(asking).buffered(PARALLEL).collect().await;
    for (digest, found) in asked {
        match found {
            Ok(Some(_)) => {}
            Ok(None) => drop(facts.gone_subjects.insert(digest)),
            Err(error) => {
                let reason = in_full(&error);
                facts.unchecked.push(Unchecked { what: "manifest".to_owned(), digest: Some(digest), reason });
            }
        }
    }
}

/// Asks for each tag once more where it leads: it may have moved while the others were read.
pub(super) async fn look_again(registry: &Registry, at: &Reference, facts: &mut RepositoryFacts) {
    let tags: BTreeMap<String, Digest> = facts.roots.clone().into_iter().collect();
    let asking = tags.into_iter().map(|(tag, from)| async move {
        let to = Box::pin(leads_to(registry, &at.with_tag(&tag))).await;
        (tag, from, to)
    });
    let asked: Vec<_> = iter(asking).buffered(PARALLEL).collect().await;
    for (tag, from, to) in asked {
        match to {
            Ok(to) if to.as_ref() == Some(&from) => {}
            Ok(to) => facts.moved.push(MovedTag { tag, from, to, since: Since::Audit }),
            Err(error) => {
                let reason = format!("tag {tag}: {}", in_full(&error));
                facts.unchecked.push(Unchecked { what: "tag".to_owned(), digest: None, reason });
            }
        }
    }
}

/// Compares with where tags led earlier, by `host/name:tag`. That a tag is gone is known only where all were listed.
pub(super) fn compare(earlier: &BTreeMap<String, Digest>, is_listed: bool, facts: &mut RepositoryFacts) {
    let prefix = format!("{}:", facts.repository);
    let known: BTreeMap<&str, &Digest> =
        earlier.iter().filter_map(|(name, digest)| Some((name.strip_prefix(&prefix)?, digest))).collect();
    for (tag, from) in known {
        let to = facts.roots.get(tag);
        let is_gone = to.is_none() && is_listed && !facts.truncated && !facts.tags.iter().any(|other| other == tag);
        if to.is_some_and(|to| to != from) || is_gone {
            let (tag, from, to) = (tag.to_owned(), from.clone(), to.cloned());
            facts.moved.push(MovedTag { tag, from, to, since: Since::Report });
        }
    }
}

/// Returns the digest that a tag is made of.
pub(super) fn subject_of(tag: &str) -> Option<Digest> {
    let hex = tag.strip_prefix("sha256-").filter(|_| is_about_digest(tag))?.get(..64)?;
    format!("sha256:{}", hex.to_ascii_lowercase()).parse().ok()
}

/// Returns what a tag leads to; none if it is not there. Reads it where the registry does not say.
///
/// # Errors
/// See [`ClientError::kind`].
pub(super) async fn leads_to(registry: &Registry, at: &Reference) -> Result<Option<Digest>, ClientError> {
    let Some(head) = registry.head_manifest(at).await? else { return Ok(None) };
    if head.digest.is_some() {
        return Ok(head.digest);
    }
    match registry.get_manifest_as_is(at, "").await {
        Ok(raw) => Ok(Some(raw.digest().clone())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
