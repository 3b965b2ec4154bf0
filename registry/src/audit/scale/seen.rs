//! What was seen in one repository, and when.
//!
//! ```text
//! polyarch-seen 1 HOST/NAME
//! m SECONDS DIGEST         the repository has this manifest
//! b SECONDS DIGEST         it has this blob
//! - SECONDS DIGEST         it has neither
//! t SECONDS DIGEST TAG     the tag leads there
//! ```
//!
//! Owns: a small file per repository, to which lines are added; the later line counts. Never: says that something is there
//! which was not seen there, by this run or within the time that is trusted; a tag's digest is only a guess to be asked about.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sha2::{Digest as _, Sha256};

use super::journal::{self, Journal};
use crate::oci::reference::is_tag;
use crate::oci::{Algorithm, Digest};

/// Larger files lose their older half. Ten thousand tags of two platforms have 5 MB.
const FILE_BYTES: u64 = 32 << 20;
/// Lines that are written at once.
const BATCH: usize = 200;

/// As what something is in a repository: a manifest that can only be had as a blob is no manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::audit) enum Kind {
    Manifest,
    Blob,
}

type Key = [u8; 32];

/// What was seen in one repository.
#[derive(Debug, Default)]
pub(in crate::audit) struct Seen {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    manifests: HashSet<Key>,
    blobs: HashSet<Key>,
    tags: HashMap<Box<str>, Digest>,
    journal: Option<Journal>,
    unwritten: Vec<String>,
}

impl Seen {
    /// Reads what was seen in `HOST/NAME` within the time that is trusted, and what its tags were. Blocks.
    pub(in crate::audit) fn open(dir: &Path, repository: &str, trust: Duration) -> Self {
        let path = path(dir, repository);
        let state = State::read(&path, repository, trust, now()).unwrap_or_else(|error| {
            tracing::debug!(%error, path = %path.display(), "what was seen before is not known");
            State::default()
        });
        Self { state: Mutex::new(state) }
    }

    /// Returns whether the repository was seen to have it.
    pub(in crate::audit) fn is_there(&self, kind: Kind, digest: &Digest) -> bool {
        self.state().set(kind).contains(&key(digest))
    }

    /// Notes that the repository has it.
    pub(in crate::audit) fn saw(&self, kind: Kind, digest: &Digest) {
        let mut state = self.state();
        if state.set(kind).insert(key(digest)) {
            let letter = if kind == Kind::Manifest { 'm' } else { 'b' };
            state.note(format!("{letter} {} {digest}", now()));
        }
    }

    /// Notes that the repository does not have it.
    pub(in crate::audit) fn gone(&self, digest: &Digest) {
        let mut state = self.state();
        let key = key(digest);
        state.manifests.remove(&key);
        state.blobs.remove(&key);
        state.note(format!("- {} {digest}", now()));
    }

    /// Returns where a tag led when it was last asked about.
    pub(in crate::audit) fn tag(&self, tag: &str) -> Option<Digest> {
        self.state().tags.get(tag).cloned()
    }

    /// Notes where a tag leads.
    pub(in crate::audit) fn leads(&self, tag: &str, digest: &Digest) {
        let mut state = self.state();
        if state.tags.get(tag) != Some(digest) {
            state.tags.insert(tag.into(), digest.clone());
            state.note(format!("t {} {digest} {tag}", now()));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.state().write();
    }
}

impl State {
    fn read(path: &Path, repository: &str, trust: Duration, now: u64) -> io::Result<Self> {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let header = format!("polyarch-seen 1 {repository}");
        let mut journal = Journal::open(path)?;
        let mut state = Self::default();
        let mut lines = 0_u64;
        let mut is_ours = false;
        journal::read(journal.file(), 2 * FILE_BYTES, &mut |line| {
            lines += 1;
            match (lines, line) {
                (1, line) => is_ours = line == Some(&header),
                (_, Some(line)) if is_ours => drop(state.take(line, trust, now)),
                // It may have said that something is gone.
                _ => (state.manifests, state.blobs) = Default::default(),
            }
        })?;
        if !is_ours {
            journal.file().set_len(0)?;
            journal.add([header.as_str()])?;
        } else if journal.file().metadata()?.len() > FILE_BYTES {
            journal = halved(path, journal.file(), lines)?;
        }
        state.journal = Some(journal);
        Ok(state)
    }

    /// Takes a line in; none if it makes no sense.
    fn take(&mut self, line: &str, trust: Duration, now: u64) -> Option<()> {
        let mut words = line.split(' ');
        let (letter, at, digest) = (words.next()?, words.next()?.parse::<u64>().ok()?, words.next()?);
        let digest: Digest = digest.parse().ok()?;
        // A time that has not come yet says nothing about now.
        let is_trusted = now.checked_sub(at).is_some_and(|age| age < trust.as_secs());
        let key = key(&digest);
        match (letter, words.next(), words.next()) {
            ("m", None, _) if is_trusted => drop(self.manifests.insert(key)),
            ("b", None, _) if is_trusted => drop(self.blobs.insert(key)),
            ("-", None, _) => {
                self.manifests.remove(&key);
                self.blobs.remove(&key);
            }
            ("t", Some(tag), None) if is_tag(tag) => drop(self.tags.insert(tag.into(), digest)),
            _ => return None,
        }
        Some(())
    }

    fn set(&mut self, kind: Kind) -> &mut HashSet<Key> {
        match kind {
            Kind::Manifest => &mut self.manifests,
            Kind::Blob => &mut self.blobs,
        }
    }

    fn note(&mut self, line: String) {
        if self.journal.is_some() {
            self.unwritten.push(line);
            if self.unwritten.len() >= BATCH {
                self.write();
            }
        }
    }

    /// What cannot be written is asked for again by the next run.
    fn write(&mut self) {
        let Some(journal) = &mut self.journal else { return };
        if let Err(error) = journal.add(self.unwritten.iter().map(String::as_str)) {
            tracing::debug!(%error, "what was seen is not kept");
            self.journal = None;
        }
        self.unwritten.clear();
    }
}

/// Writes the younger half of a file anew. What another process adds to the old one meanwhile is lost, and asked for again.
fn halved(path: &Path, old: &File, lines: u64) -> io::Result<Journal> {
    let mut number = 0;
    let mut kept = Vec::new();
    journal::read(old, 2 * FILE_BYTES, &mut |line| {
        number += 1;
        if number == 1 || number > lines / 2 {
            kept.extend(line.map(str::to_owned));
        }
    })?;
    let new = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(path))?;
    Journal::over(new.reopen()?)?.add(kept.iter().map(String::as_str))?;
    new.persist(path).map_err(|error| error.error)?;
    Journal::open(path)
}

fn path(dir: &Path, repository: &str) -> PathBuf {
    dir.join(hex::encode(&Sha256::digest(repository)[..16]))
}

/// A digest in as little memory as it takes: there is one for each object of a repository.
fn key(digest: &Digest) -> Key {
    let mut key = Key::default();
    if *digest.algorithm() == Algorithm::Sha256 && hex::decode_to_slice(digest.encoded(), &mut key).is_ok() {
        return key;
    }
    Sha256::digest(digest.to_string()).into()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
