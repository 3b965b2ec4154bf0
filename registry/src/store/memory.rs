//! A store in memory: for tests and small servers.
//!
//! Owns: blobs in a map. Never: touches the disk; holds its lock only while it looks up or inserts.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use super::{BlobReader, BlobStore, BlobWriter, Committed, Expect, StoreError};
use crate::oci::{Digest, Hasher};

/// Blobs in memory. Clones share the same blobs.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    blobs: Arc<Mutex<BTreeMap<Digest, Bytes>>>,
}

impl MemoryStore {
    /// Returns an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the digests in the store, sorted.
    pub fn digests(&self) -> Vec<Digest> {
        self.lock().keys().cloned().collect()
    }

    /// A map insert cannot leave the map half changed, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Digest, Bytes>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlobStore for MemoryStore {
    fn stat<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<u64>, StoreError>> {
        ready(Ok(self.lock().get(digest).map(|bytes| bytes.len() as u64))).boxed()
    }

    fn open<'a>(&'a self, digest: &'a Digest, offset: u64) -> BoxFuture<'a, Result<BlobReader, StoreError>> {
        let found = self.lock().get(digest).cloned();
        let reader = found.ok_or_else(|| StoreError::NotFound(digest.clone())).map(|mut bytes| {
            let skip = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
            Box::new(Cursor::new(bytes.split_off(skip))) as BlobReader
        });
        ready(reader).boxed()
    }

    fn writer(&self, expect: Expect) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, StoreError>> {
        let writer = expect.hasher().map(|hasher| {
            Box::new(MemoryWriter { store: self.clone(), hasher, bytes: BytesMut::new(), expect })
                as Box<dyn BlobWriter>
        });
        ready(writer).boxed()
    }

    fn remove<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<(), StoreError>> {
        self.lock().remove(digest);
        ready(Ok(())).boxed()
    }
}

struct MemoryWriter {
    store: MemoryStore,
    hasher: Hasher,
    bytes: BytesMut,
    expect: Expect,
}

impl BlobWriter for MemoryWriter {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), StoreError>> {
        let admitted = self.expect.admit(self.bytes.len() as u64 + bytes.len() as u64);
        if admitted.is_ok() {
            self.hasher.update(&bytes);
            self.bytes.extend_from_slice(&bytes);
        }
        ready(admitted).boxed()
    }

    fn written(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn promise(&mut self, digest: Digest) -> BoxFuture<'_, Result<(), StoreError>> {
        let promised = self.expect.promise(digest).map(|other| {
            if let Some(mut hasher) = other {
                hasher.update(&self.bytes);
                self.hasher = hasher;
            }
        });
        ready(promised).boxed()
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<Committed, StoreError>> {
        let got = Committed { digest: self.hasher.finish(), size: self.bytes.len() as u64 };
        let settled = self.expect.settle(got);
        if let Ok(committed) = &settled {
            self.store.lock().insert(committed.digest.clone(), self.bytes.freeze());
        }
        ready(settled).boxed()
    }
}
