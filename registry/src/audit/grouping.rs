//! What an audit was asked for, by repository, so that each is listed and read once.
//!
//! Owns: joining what was asked for, and the names that come of it. Never: reads an image.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::run::Job;
use super::select::TagFilter;
use crate::client::{ClientError, ErrorKind, Registry, TagList};
use crate::oci::{Digest, RawManifest, Reference};
use crate::verify::ContentSource;

/// A repository, or a layout.
pub(super) enum Place {
    Remote(Remote),
    Local { repository: String, source: Arc<dyn ContentSource>, roots: Vec<(Option<String>, RawManifest)> },
}

/// What is asked of one repository.
pub(super) struct Remote {
    /// Any reference to it.
    pub(super) repository: Reference,
    is_whole: bool,
    /// Its registry listed it.
    is_listed: bool,
    tags: BTreeSet<String>,
    digests: BTreeSet<Digest>,
}

/// The images of one repository that are to be audited.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// All tags there are.
    listed: BTreeSet<String>,
    /// Those that are audited.
    images: BTreeSet<String>,
    digests: BTreeSet<Digest>,
    /// There are more tags than were listed.
    pub(super) is_cut: bool,
    is_whole: bool,
    /// Tags that are no images: signatures and lists of referrers.
    pub(super) skipped: u64,
}

/// Joins what is asked of the same repository; the order is that of the jobs.
pub(super) fn grouped(jobs: Vec<Job>) -> Vec<Place> {
    let mut places = Vec::new();
    let mut known = BTreeMap::new();
    for job in jobs {
        let is_listed = matches!(job, Job::Listed(_));
        let (repository, tags, digest) = match job {
            Job::Local { repository, source, roots } => {
                places.push(Place::Local { repository, source, roots });
                continue;
            }
            Job::Repository { repository, tags } => (repository, tags, None),
            Job::Listed(repository) => (repository, None, None),
            Job::Digest(reference) => {
                let digest = reference.digest().cloned();
                (reference, Some(Vec::new()), digest)
            }
        };
        let at = *known.entry(repository.name()).or_insert_with(|| {
            let (tags, digests) = (BTreeSet::new(), BTreeSet::new());
            places.push(Place::Remote(Remote { repository, is_whole: false, is_listed: false, tags, digests }));
            places.len() - 1
        });
        if let Place::Remote(remote) = &mut places[at] {
            remote.is_whole |= tags.is_none();
            remote.is_listed |= is_listed;
            remote.tags.extend(tags.unwrap_or_default());
            remote.digests.extend(digest);
        }
    }
    places
}

impl Remote {
    /// Returns the images that are meant, after listing the tags where all of them are.
    pub(super) async fn names(&self, registry: &Registry, filter: &TagFilter) -> Result<Names, ClientError> {
        let mut names = self.named();
        if self.is_whole {
            let list = match registry.tags(&self.repository).await {
                // Catalogs keep the names of repositories whose last tag is gone.
                Err(error) if self.is_listed && error.kind() == ErrorKind::NotFound => return Ok(names),
                list => list?,
            };
            let (images, skipped) = filter.of(&list);
            names.images.extend(images);
            names.skipped = skipped;
            (names.listed, names.is_cut, names.is_whole) = (list.tags, list.truncated, true);
        }
        Ok(names)
    }

    /// Returns the images that were named one by one.
    pub(super) fn named(&self) -> Names {
        Names { images: self.tags.clone(), digests: self.digests.clone(), ..Names::default() }
    }
}

impl Names {
    /// Returns the name of each in its repository: a tag, or a digest.
    pub(super) fn names(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.images
            .iter()
            .map(|tag| tag.as_str().into())
            .chain(self.digests.iter().map(|digest| digest.to_string().into()))
    }

    /// Returns a reference to each, in the same order.
    pub(super) fn references<'n>(&'n self, repository: &'n Reference) -> impl Iterator<Item = Reference> + 'n {
        let digests = self.digests.iter().map(|digest| repository.with_digest(digest.clone()));
        self.images.iter().map(|tag| repository.with_tag(tag)).chain(digests)
    }

    /// Returns all tags of the repository, if they were listed.
    pub(super) fn list(&self) -> Option<TagList> {
        self.is_whole.then(|| TagList { tags: self.listed.clone(), truncated: self.is_cut })
    }

    /// Returns whether the registry listed a reference's tag.
    pub(super) fn was_listed(&self, reference: &Reference) -> bool {
        reference.digest().is_none() && reference.tag().is_some_and(|tag| self.listed.contains(tag))
    }
}
