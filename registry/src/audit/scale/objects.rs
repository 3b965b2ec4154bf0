//! Manifests and configurations of a run, by digest, whichever repository they came from.
//!
//! Owns: a bounded part of them in memory; behind it, the directory of all. Never: says that a repository has one.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::task::JoinSet;

use crate::oci::Digest;
use crate::resolve::ManifestCache;

/// Bytes kept in memory: what tags that are read at the same time share.
const MEMORY: usize = 4 << 20;
/// What an entry costs besides its bytes.
const OVERHEAD: usize = 400;
/// Files written at once, or waiting to be.
const WRITES: usize = 32;

/// Objects that were read.
#[derive(Debug, Default)]
pub(in crate::audit) struct Objects {
    cache: Option<ManifestCache>,
    recent: Mutex<Recent>,
    /// Files being written: nobody reads on slower for them.
    writes: tokio::sync::Mutex<JoinSet<()>>,
}

type Generation = HashMap<Digest, (String, Bytes)>;

/// Two generations: when the young one is half of all, the old one goes. What is asked for again is young again.
#[derive(Debug, Default)]
struct Recent {
    young: Generation,
    old: Generation,
    bytes: usize,
}

impl Objects {
    pub(in crate::audit) fn new(cache: Option<ManifestCache>) -> Self {
        Self { cache, ..Self::default() }
    }

    /// Returns media type and bytes of an object that was read in this run, or before.
    pub(in crate::audit) async fn get(&self, digest: &Digest) -> Option<(String, Bytes)> {
        if let Some(found) = self.recent().get(digest) {
            return Some(found);
        }
        let (media_type, bytes) = self.cache.as_ref()?.object(digest).await?;
        self.recent().put(digest, &media_type, &bytes);
        Some((media_type, bytes))
    }

    /// Keeps an object whose digest was checked.
    pub(in crate::audit) async fn put(&self, digest: &Digest, media_type: &str, bytes: &Bytes) {
        self.recent().put(digest, media_type, bytes);
        let Some(write) = self.cache.as_ref().and_then(|cache| cache.writing(digest, media_type, bytes)) else {
            return;
        };
        let mut writes = self.writes.lock().await;
        while writes.len() >= WRITES {
            writes.join_next().await;
        }
        writes.spawn_blocking(write);
    }

    /// Waits until everything is written.
    pub(in crate::audit) async fn written(&self) {
        let mut writes = self.writes.lock().await;
        while writes.join_next().await.is_some() {}
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn get(&mut self, digest: &Digest) -> Option<(String, Bytes)> {
        if let Some(found) = self.young.get(digest) {
            return Some(found.clone());
        }
        let found = self.old.remove(digest)?;
        self.put(digest, &found.0, &found.1);
        Some(found)
    }

    fn put(&mut self, digest: &Digest, media_type: &str, bytes: &Bytes) {
        let size = bytes.len() + OVERHEAD;
        if size > MEMORY / 2 {
            return;
        }
        if self.bytes + size > MEMORY / 2 {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        if self.young.insert(digest.clone(), (media_type.to_owned(), bytes.clone())).is_none() {
            self.bytes += size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(recent: &Recent) -> usize {
        recent.young.values().chain(recent.old.values()).map(|(_, bytes)| bytes.len()).sum()
    }

    #[tokio::test]
    async fn memory_is_bounded_and_keeps_what_is_used() {
        let objects = Objects::new(None);
        let object = |n: u32| Bytes::from(n.to_be_bytes().repeat(12_500));
        let shared = object(u32::MAX);
        objects.put(&Digest::sha256(&shared), "shared", &shared).await;
        for n in 0..1000 {
            let bytes = object(n);
            objects.put(&Digest::sha256(&bytes), "m", &bytes).await;
            assert!(objects.get(&Digest::sha256(&shared)).await.is_some(), "it was asked for {n} times");
        }
        let kept = kept(&objects.recent());
        assert!(kept <= MEMORY && kept > MEMORY / 4, "{kept}");
        assert!(objects.get(&Digest::sha256(object(0))).await.is_none());
        assert!(objects.get(&Digest::sha256(object(999))).await.is_some());
    }
}
