//! Manifest records, referrers entries and what keeps them consistent.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::files::{list, read, refresh, remove, write_atomic};
use super::{Disk, MetaError, is_stored};
use crate::oci::{Descriptor, Digest};
use crate::server::name::{RepoName, Tag};

/// A record: three short fields.
const RECORD_LIMIT: u64 = 4096;
/// A referrers entry repeats a manifest's annotations, so it can be as large as a manifest, and escaped.
const REFERRER_LIMIT: u64 = 32 * 1024 * 1024;

/// What is remembered of a manifest besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Content-Type it was pushed with.
    pub media_type: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest of its subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
}

/// Where a manifest shows up as a referrer.
#[derive(Debug, Clone)]
pub struct Referrer {
    /// Digest of the subject, which may be absent.
    pub subject: Digest,
    /// Descriptor for the referrers list.
    pub entry: Descriptor,
}

/// A manifest to be recorded; its bytes are in the store already.
#[derive(Debug, Clone)]
pub struct NewManifest {
    /// Its digest, of the algorithm it was pushed with.
    pub digest: Digest,
    /// Content-Type it was pushed with.
    pub media_type: String,
    /// Size in bytes.
    pub size: u64,
    /// What the repository must hold: blobs, or manifests.
    pub references: Vec<Digest>,
    /// Its place in a referrers list.
    pub referrer: Option<Referrer>,
    /// Tags to point at it.
    pub tags: Vec<Tag>,
    /// What the first tag must be like before.
    pub condition: Option<Condition>,
}

/// What a tag must be like so that it is written (RFC 9110, sections 13.1.1 and 13.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `If-Match`: it points at one of these; none given is at anything.
    Match(Vec<Digest>),
    /// `If-None-Match`: it points at none of these; none given is that it is absent.
    NoMatch(Vec<Digest>),
}

impl Condition {
    fn holds(&self, present: Option<&Digest>) -> bool {
        let is_listed = |listed: &[Digest]| present.is_some_and(|digest| listed.is_empty() || listed.contains(digest));
        match self {
            Self::Match(listed) => is_listed(listed),
            Self::NoMatch(listed) => !is_listed(listed),
        }
    }
}

impl Disk {
    /// Records a manifest, then points its tags at it.
    ///
    /// # Errors
    /// [`MetaError::Missing`] with every reference the repository does not hold, [`MetaError::Moved`] where the tag is
    /// not as the condition says; then nothing changed. I/O.
    pub fn put_manifest(&self, name: &RepoName, new: &NewManifest) -> Result<(), MetaError> {
        self.name(&new.digest);
        let _guard = self.lock(name);
        if let (Some(condition), Some(tag)) = (&new.condition, new.tags.first())
            && !condition.holds(self.resolve(name, tag)?.as_ref())
        {
            return Err(MetaError::Moved);
        }
        self.require(name, &new.references)?;
        if let Some(referrer) = &new.referrer {
            let path = self.referrer(name, &referrer.subject, &new.digest);
            write_atomic(&self.temp, &path, &to_json(&referrer.entry, &path)?)?;
        }
        let subject = new.referrer.as_ref().map(|referrer| referrer.subject.clone());
        let record = Record { media_type: new.media_type.clone(), size: new.size, subject };
        let path = self.manifest_path(name, &new.digest);
        write_atomic(&self.temp, &path, &to_json(&record, &path)?)?;
        new.tags.iter().try_for_each(|tag| self.point_tag(name, tag, &new.digest))
    }

    /// Checks that the repository holds all of these, as blobs or as manifests.
    ///
    /// # Errors
    /// [`MetaError::Missing`] with every one it does not hold.
    pub fn require(&self, name: &RepoName, references: &[Digest]) -> Result<(), MetaError> {
        let held = |digest: &&Digest| self.holds_blob(name, digest) || self.has_manifest(name, digest);
        let mut missing: Vec<_> = references.iter().filter(|digest| !held(digest)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort_unstable();
        missing.dedup();
        Err(MetaError::Missing(missing))
    }

    /// Returns whether the repository holds a manifest.
    pub fn has_manifest(&self, name: &RepoName, digest: &Digest) -> bool {
        is_stored(digest) && refresh(&self.manifest_path(name, digest))
    }

    /// Returns what is remembered of a manifest; `None` if the repository does not hold it.
    ///
    /// # Errors
    /// [`MetaError::Damaged`], I/O.
    pub fn manifest(&self, name: &RepoName, digest: &Digest) -> Result<Option<Record>, MetaError> {
        match is_stored(digest) && self.in_use(name, &self.manifest_path(name, digest)) {
            true => self.peek(name, digest),
            false => Ok(None),
        }
    }

    /// [`Disk::manifest`] without counting as a use.
    pub(super) fn peek(&self, name: &RepoName, digest: &Digest) -> Result<Option<Record>, MetaError> {
        if !is_stored(digest) {
            return Ok(None);
        }
        let path = self.manifest_path(name, digest);
        let Some(bytes) = read(&path, RECORD_LIMIT)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| MetaError::Damaged { path })
    }

    /// Removes a manifest, every tag that points at it, and its referrers entry. Returns whether it was there.
    ///
    /// # Errors
    /// [`MetaError::Damaged`], I/O.
    pub fn delete_manifest(&self, name: &RepoName, digest: &Digest) -> Result<bool, MetaError> {
        let _guard = self.lock(name);
        self.forget_manifest(name, digest)
    }

    /// [`Disk::delete_manifest`] for a caller that holds the repository's lock.
    pub(super) fn forget_manifest(&self, name: &RepoName, digest: &Digest) -> Result<bool, MetaError> {
        let Some(record) = self.peek(name, digest)? else { return Ok(false) };
        for tag in self.tags(name)?.unwrap_or_default().iter().filter_map(|tag| Tag::parse(tag)) {
            if self.resolve(name, &tag)?.as_ref() == Some(digest) {
                remove(&self.tag(name, &tag))?;
            }
        }
        remove(&self.manifest_path(name, digest))?;
        if let Some(subject) = record.subject {
            remove(&self.referrer(name, &subject, digest))?;
        }
        Ok(true)
    }

    /// Returns the descriptors of all manifests with this subject, by digest, from the one after `last`.
    ///
    /// # Errors
    /// [`MetaError::Damaged`], I/O.
    pub fn referrers(&self, name: &RepoName, subject: &Digest, page: ReferrersPage<'_>) -> Result<Found, MetaError> {
        let mut found = Found::default();
        let (dir, mut bytes) = (self.referrers_dir(name, subject), 0);
        for file in list(&dir)?.unwrap_or_default() {
            let Some(digest) = digest_of_file(&file).filter(|digest| page.last.is_none_or(|last| digest > last)) else {
                continue;
            };
            // The record is written after the entry and removed before it, so it decides.
            let Some(json) = read(&dir.join(&file), REFERRER_LIMIT)?.filter(|_| self.has_manifest(name, &digest))
            else {
                continue;
            };
            let path = dir.join(&file);
            let entry: Descriptor = serde_json::from_slice(&json).map_err(|_| MetaError::Damaged { path })?;
            if page.artifact_type.is_some_and(|want| entry.artifact_type.as_deref() != Some(want)) {
                continue;
            }
            bytes += json.len();
            let full = page.limit.is_some_and(|limit| found.entries.len() >= limit);
            if full || (bytes > page.budget && !found.entries.is_empty()) {
                found.more = true;
                break;
            }
            found.entries.push(entry);
        }
        Ok(found)
    }

    pub(super) fn manifest_path(&self, name: &RepoName, digest: &Digest) -> PathBuf {
        self.repo(name).join("_manifests").join(digest.algorithm().as_str()).join(digest.encoded())
    }

    fn referrers_dir(&self, name: &RepoName, subject: &Digest) -> PathBuf {
        self.repo(name).join("_referrers").join(subject.algorithm().as_str()).join(subject.encoded())
    }

    fn referrer(&self, name: &RepoName, subject: &Digest, digest: &Digest) -> PathBuf {
        let file = format!("{}-{}", digest.algorithm().as_str(), digest.encoded());
        self.referrers_dir(name, subject).join(file)
    }
}

/// Which part of a referrers list is wanted.
#[derive(Debug, Clone, Copy)]
pub struct ReferrersPage<'a> {
    /// Only entries of this artifact type.
    pub artifact_type: Option<&'a str>,
    /// Only entries after this digest.
    pub last: Option<&'a Digest>,
    /// Most entries.
    pub limit: Option<usize>,
    /// Most bytes of entries; the first entry always fits.
    pub budget: usize,
}

/// One page of a referrers list.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The descriptors, by digest.
    pub entries: Vec<Descriptor>,
    /// Whether there are more.
    pub more: bool,
}

fn digest_of_file(file: &str) -> Option<Digest> {
    file.replacen('-', ":", 1).parse().ok()
}

fn to_json(value: &impl Serialize, path: &std::path::Path) -> Result<Vec<u8>, MetaError> {
    serde_json::to_vec(value).map_err(|_| MetaError::Damaged { path: path.to_owned() })
}
