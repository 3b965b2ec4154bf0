//! One blob on its way into the layout.
//!
//! Owns: the temporary file, the hash, the order fsync → rename → fsync of the directory. Bytes are
//! collected into batches; one batch is hashed and written on a blocking thread while the next arrives,
//! so memory stays at two batches and the async threads never hash.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use tempfile::NamedTempFile;
use tokio::task::JoinHandle;

use super::Lease;
use super::disk::{blocking, io_error, joined, publish, temp_file};
use super::growing::{Grow, Growing};
use super::paths::Paths;
use crate::oci::{Descriptor, Digest, Hasher};
use crate::store::{BlobWriter, Committed, Expect, StoreError};

/// Large enough that the hop to a blocking thread does not show, small enough for many writers at once.
const BATCH: usize = 1024 * 1024;
/// Bytes read at once when an upload turns out to be of another algorithm.
const REHASH_CHUNK: usize = 256 * 1024;

pub(super) struct LayoutWriter {
    paths: Arc<Paths>,
    expect: Expect,
    accepted: u64,
    pending: Vec<Bytes>,
    pending_len: usize,
    state: State,
    lease: Lease,
}

enum State {
    Idle(Box<Ingest>),
    Busy(JoinHandle<Result<Box<Ingest>, StoreError>>),
    /// An earlier batch failed; its error was reported then.
    Failed,
}

/// The file so far and the hash of it.
struct Ingest {
    temp: NamedTempFile,
    hasher: Hasher,
    grow: Option<Grow>,
}

impl Ingest {
    fn absorb(mut self: Box<Self>, batch: &[Bytes]) -> Result<Box<Self>, StoreError> {
        for bytes in batch {
            self.hasher.update(bytes);
            let written = self.temp.as_file_mut().write_all(bytes);
            written.map_err(|error| io_error("write", self.temp.path())(error))?;
            if let Some(grow) = &self.grow {
                grow.written(bytes.len() as u64);
            }
        }
        Ok(self)
    }

    fn rehash(mut self: Box<Self>, mut hasher: Hasher) -> Result<Box<Self>, StoreError> {
        let mut file = self.temp.reopen().map_err(io_error("open", self.temp.path()))?;
        let mut buffer = vec![0; REHASH_CHUNK];
        loop {
            match file.read(&mut buffer).map_err(io_error("read", self.temp.path()))? {
                0 => break,
                n => hasher.update(&buffer[..n]),
            }
        }
        self.hasher = hasher;
        Ok(self)
    }

    fn commit(self, expect: Expect, size: u64, paths: &Paths) -> Result<Committed, StoreError> {
        let committed = expect.settle(Committed { digest: self.hasher.finish(), size })?;
        if let Some(grow) = &self.grow {
            grow.verified();
        }
        publish(self.temp, &paths.blob(&committed.digest))?;
        Ok(committed)
    }
}

impl LayoutWriter {
    pub(super) async fn start(paths: Arc<Paths>, lease: Lease, expect: Expect) -> Result<Self, StoreError> {
        let hasher = expect.hasher()?;
        let ingest = paths.ingest();
        let temp = blocking(move || temp_file(&ingest)).await?;
        Ok(Self::of(paths, lease, expect, Ingest { temp, hasher, grow: None }))
    }

    /// The same for a blob whose size is promised and that is read meanwhile.
    pub(super) async fn start_growing(
        paths: Arc<Paths>,
        lease: Lease,
        blob: &Descriptor,
    ) -> Result<(Self, Growing), StoreError> {
        let expect = Expect::of(blob);
        let hasher = expect.hasher()?;
        let ingest = paths.ingest();
        let open = move || {
            let temp = temp_file(&ingest)?;
            let reading = temp.reopen().map_err(io_error("open", temp.path()))?;
            Ok((temp, reading))
        };
        let (temp, reading) = blocking(open).await?;
        let (grow, growing) = Grow::new(reading, blob.size);
        Ok((Self::of(paths, lease, expect, Ingest { temp, hasher, grow: Some(grow) }), growing))
    }

    fn of(paths: Arc<Paths>, lease: Lease, expect: Expect, ingest: Ingest) -> Self {
        let state = State::Idle(Box::new(ingest));
        Self { paths, expect, accepted: 0, pending: Vec::new(), pending_len: 0, state, lease }
    }

    /// Waits for the batch on its way. Safe to drop: the handle stays in `self` until it is done.
    async fn idle(&mut self) -> Result<Box<Ingest>, StoreError> {
        if let State::Busy(handle) = &mut self.state {
            let done = joined(handle.await);
            self.state = State::Failed;
            self.state = State::Idle(done?);
        }
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Idle(ingest) => Ok(ingest),
            _ => Err(io_error("write", &self.paths.ingest())(io::Error::other("an earlier write failed"))),
        }
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let ingest = self.idle().await?;
        let batch = std::mem::take(&mut self.pending);
        self.pending_len = 0;
        self.state = State::Busy(tokio::task::spawn_blocking(move || ingest.absorb(&batch)));
        Ok(())
    }
}

impl BlobWriter for LayoutWriter {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            self.expect.admit(self.accepted + bytes.len() as u64)?;
            self.accepted += bytes.len() as u64;
            self.pending_len += bytes.len();
            self.pending.push(bytes);
            if self.pending_len >= BATCH { self.flush().await } else { Ok(()) }
        }
        .boxed()
    }

    fn written(&self) -> u64 {
        self.accepted
    }

    fn promise(&mut self, digest: Digest) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            if let Some(hasher) = self.expect.promise(digest)? {
                let ingest = self.idle().await?;
                self.state = State::Busy(tokio::task::spawn_blocking(move || ingest.rehash(hasher)));
            }
            Ok(())
        }
        .boxed()
    }

    fn commit(mut self: Box<Self>) -> BoxFuture<'static, Result<Committed, StoreError>> {
        async move {
            let ingest = self.idle().await?;
            let Self { paths, expect, accepted, pending, lease, .. } = *self;
            blocking(move || {
                let committed = ingest.absorb(&pending)?.commit(expect, accepted, &paths);
                // Held until the blob has its name: gc sweeps what it finds in ingest.
                drop(lease);
                committed
            })
            .await
        }
        .boxed()
    }
}
