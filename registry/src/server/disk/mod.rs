//! What each repository holds, on disk.
//!
//! ```text
//! tmp/                                     files being written; emptied when the registry opens
//! repositories/NAME/_blobs/ALG/HEX         empty: the repository holds this blob
//! repositories/NAME/_manifests/ALG/HEX     JSON: media type, size, subject of a manifest it holds
//! repositories/NAME/_tags/TAG              the digest the tag points at
//! repositories/NAME/_referrers/ALG/HEX/ALG-HEX   JSON: descriptor of a manifest with that subject
//! ```
//!
//! The bytes themselves, manifests included, are in the blob store and shared by all repositories.
//! Components of a name never start with `_`, so repositories may nest. Order of writes: bytes,
//! referrers entry, manifest record, tag; of removals: the reverse. A kill in between leaves at worst
//! bytes or a referrers entry that nothing shows.
//!
//! Never: async; callers run it on a blocking thread.

mod files;
mod manifests;
mod sweep;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::files::{list, read, refresh, remove, touch, write_atomic};
use super::name::{RepoName, Tag, parse_digest};
use crate::oci::{Algorithm, Digest};

pub use self::manifests::{Condition, NewManifest, Record, Referrer, ReferrersPage};
pub use self::sweep::{SweepOptions, Swept};

/// Locks for repositories; two that share one only wait for each other a little.
const STRIPES: usize = 64;
/// A digest in a tag file.
const TAG_FILE_LIMIT: u64 = 256;

/// Why the metadata could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// A manifest references content the repository does not hold.
    #[error("repository does not hold {} of the referenced digests", .0.len())]
    Missing(Vec<Digest>),
    /// The tag points elsewhere than the client thought.
    #[error("the tag is not what the condition says")]
    Moved,
    /// A file does not hold what this module writes.
    #[error("{path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The disk (or quota) is full.
    #[error("no space left for {path}")]
    Full {
        /// File being written.
        path: PathBuf,
    },
    /// Any other file system error.
    #[error("{action} {path}")]
    Io {
        /// What was attempted, such as `write`.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}

/// The metadata of all repositories under one directory, which no other process may change.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    temp: PathBuf,
    locks: [Mutex<()>; STRIPES],
    /// Digests that were given a name since [`Disk::watch`]; `None` while nobody watches.
    named: Mutex<Option<HashSet<Digest>>>,
    hasher: RandomState,
}

impl Disk {
    /// Opens the metadata under `root`, creating it if there is none.
    ///
    /// # Errors
    /// I/O.
    pub fn open(root: &Path) -> Result<Self, MetaError> {
        let disk = Self {
            root: root.join("repositories"),
            temp: root.join("tmp"),
            locks: std::array::from_fn(|_| Mutex::new(())),
            named: Mutex::new(None),
            hasher: RandomState::new(),
        };
        files::make_dir(&disk.root)?;
        files::make_dir(&disk.temp)?;
        files::clear(&disk.temp)?;
        Ok(disk)
    }

    /// Returns whether the repository holds a blob. Whoever asks may be about to push a manifest that needs it, so
    /// gc counts its age from here.
    pub fn has_blob(&self, name: &RepoName, digest: &Digest) -> bool {
        is_stored(digest) && self.in_use(name, &self.blob(name, digest))
    }

    /// [`Disk::has_blob`] for a caller that holds the repository's lock.
    fn holds_blob(&self, name: &RepoName, digest: &Digest) -> bool {
        is_stored(digest) && refresh(&self.blob(name, digest))
    }

    /// Returns whether a file is there, and notes that it is in use; gc may be about to remove it.
    fn in_use(&self, name: &RepoName, path: &Path) -> bool {
        match files::is_fresh(path) {
            None => false,
            Some(true) => true,
            Some(false) => {
                let _guard = self.lock(name);
                refresh(path)
            }
        }
    }

    /// Records that the repository holds a blob whose bytes are in the store.
    ///
    /// # Errors
    /// I/O.
    pub fn link_blob(&self, name: &RepoName, digest: &Digest) -> Result<(), MetaError> {
        self.name(digest);
        // With gc between the look and the touch, the blob would be gone again.
        let _guard = self.lock(name);
        touch(&self.blob(name, digest))
    }

    /// Forgets that the repository holds a blob; the bytes stay, other repositories may hold them. Returns whether
    /// it did hold it.
    ///
    /// # Errors
    /// I/O.
    pub fn unlink_blob(&self, name: &RepoName, digest: &Digest) -> Result<bool, MetaError> {
        let _guard = self.lock(name);
        if is_stored(digest) { remove(&self.blob(name, digest)) } else { Ok(false) }
    }

    /// Returns the digest a tag points at.
    ///
    /// # Errors
    /// [`MetaError::Damaged`], I/O.
    pub fn resolve(&self, name: &RepoName, tag: &Tag) -> Result<Option<Digest>, MetaError> {
        let path = self.tag(name, tag);
        let Some(bytes) = read(&path, TAG_FILE_LIMIT)? else { return Ok(None) };
        let digest = std::str::from_utf8(&bytes).ok().and_then(parse_digest);
        digest.map(Some).ok_or(MetaError::Damaged { path })
    }

    /// Removes a tag. Returns whether it was there.
    ///
    /// # Errors
    /// I/O.
    pub fn delete_tag(&self, name: &RepoName, tag: &Tag) -> Result<bool, MetaError> {
        let _guard = self.lock(name);
        remove(&self.tag(name, tag))
    }

    /// Returns the tags in byte order (distribution-spec: "ASCIIbetical"); `None` for an unknown repository.
    ///
    /// # Errors
    /// I/O.
    pub fn tags(&self, name: &RepoName) -> Result<Option<Vec<String>>, MetaError> {
        match list(&self.repo(name).join("_tags"))? {
            Some(tags) => Ok(Some(tags)),
            None if self.exists(name) => Ok(Some(Vec::new())),
            None => Ok(None),
        }
    }

    /// Returns the names of all repositories that hold a manifest, in byte order.
    ///
    /// # Errors
    /// I/O.
    pub fn repositories(&self) -> Result<Vec<String>, MetaError> {
        let mut found = self.repositories_with(|own| own == "_manifests")?;
        found.retain(|name| self.holds_manifests(name));
        Ok(found)
    }

    /// Whether any manifest is left: the directories of deleted ones stay.
    fn holds_manifests(&self, name: &str) -> bool {
        let children = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten();
        children(&self.root.join(name).join("_manifests")).any(|kind| children(&kind.path()).next().is_some())
    }

    fn repositories_with(&self, counts: impl Fn(&str) -> bool) -> Result<Vec<String>, MetaError> {
        let mut found = Vec::new();
        let mut queue = vec![String::new()];
        while let Some(prefix) = queue.pop() {
            for component in list(&self.root.join(&prefix))?.unwrap_or_default() {
                match component.as_str() {
                    own if counts(own) => found.push(prefix.clone()),
                    own if own.starts_with('_') => {}
                    _ if prefix.is_empty() => queue.push(component),
                    _ => queue.push(format!("{prefix}/{component}")),
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn exists(&self, name: &RepoName) -> bool {
        ["_manifests", "_blobs"].iter().any(|kind| self.repo(name).join(kind).is_dir())
    }

    fn point_tag(&self, name: &RepoName, tag: &Tag, digest: &Digest) -> Result<(), MetaError> {
        write_atomic(&self.temp, &self.tag(name, tag), digest.to_string().as_bytes())
    }

    /// Keeps a manifest's check-then-write and removals of one repository apart.
    pub(super) fn lock(&self, name: &RepoName) -> MutexGuard<'_, ()> {
        let stripe = self.hasher.hash_one(name) as usize % STRIPES;
        // The lock guards no data, so a panic elsewhere leaves nothing half done in memory.
        self.locks[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn repo(&self, name: &RepoName) -> PathBuf {
        self.root.join(name.as_str())
    }

    fn blob(&self, name: &RepoName, digest: &Digest) -> PathBuf {
        self.repo(name).join("_blobs").join(digest.algorithm().as_str()).join(digest.encoded())
    }

    fn tag(&self, name: &RepoName, tag: &Tag) -> PathBuf {
        self.repo(name).join("_tags").join(tag.as_str())
    }
}

/// Whether the store could have computed the digest; others are never on disk.
fn is_stored(digest: &Digest) -> bool {
    !matches!(digest.algorithm(), Algorithm::Other(_))
}
