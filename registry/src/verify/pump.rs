//! Moves a blob from an async reader to a blocking thread, hashing on the way.
//!
//! Owns: the bounded channel between the two. When either side goes away the other ends by itself.

use std::io::{self, BufRead, Read};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use crate::oci::{Digest, Hasher};
use crate::store::BlobReader;

/// Large enough to make the hop between threads cheap.
const CHUNK: usize = 256 * 1024;
/// Chunks on their way; with [`CHUNK`] this is 1 MiB per blob.
pub(super) const IN_FLIGHT: usize = 4;

pub(crate) type Chunk = io::Result<Bytes>;

/// Returns the two ends. `hasher` computes the digest of what passes.
pub(crate) fn channel(hasher: Hasher) -> (mpsc::Sender<Chunk>, RawReader) {
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    (sender, RawReader { receiver, current: Bytes::new(), hasher, size: 0, failure: None })
}

/// Sends a blob's bytes until its end, an error, or until nobody wants more.
pub(crate) async fn pump(mut reader: BlobReader, sender: mpsc::Sender<Chunk>) {
    loop {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let read = loop {
            match reader.read_buf(&mut chunk).await {
                Ok(n) if n > 0 && chunk.len() < CHUNK => continue,
                Ok(_) => break Ok(chunk.freeze()),
                Err(error) => break Err(error),
            }
        };
        let last = read.as_ref().map_or(true, |chunk| chunk.len() < CHUNK);
        if sender.send(read).await.is_err() || last {
            return;
        }
    }
}

/// The blocking end: the blob's bytes, counted and hashed as they arrive.
pub(crate) struct RawReader {
    receiver: mpsc::Receiver<Chunk>,
    current: Bytes,
    hasher: Hasher,
    size: u64,
    failure: Option<String>,
}

/// What arrived, all of it.
pub(crate) struct Arrived {
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl RawReader {
    /// Reads what is left and returns digest and size, or why the source failed.
    pub(crate) fn finish(mut self) -> Result<Arrived, String> {
        while self.failure.is_none() && self.fill_buf().is_ok_and(|rest| !rest.is_empty()) {
            self.current.clear();
        }
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(Arrived { digest: self.hasher.finish(), size: self.size }),
        }
    }

    /// Returns the next bytes; `None` at the end, and where the source failed.
    pub(super) fn next_chunk(&mut self) -> Option<Bytes> {
        self.fill_buf().ok()?;
        Some(std::mem::take(&mut self.current)).filter(|chunk| !chunk.is_empty())
    }

    /// Returns whether the source failed; then no other error means anything.
    pub(crate) fn has_failed(&self) -> bool {
        self.failure.is_some()
    }
}

impl BufRead for RawReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty() {
            match self.receiver.blocking_recv() {
                Some(Ok(chunk)) => {
                    self.hasher.update(&chunk);
                    self.size += chunk.len() as u64;
                    self.current = chunk;
                }
                Some(Err(error)) => {
                    self.failure = Some(super::report::chain(&error));
                    return Err(io::Error::other("the source failed"));
                }
                None => {}
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        let _ = self.current.split_to(amount.min(self.current.len()));
    }
}

impl Read for RawReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let n = available.len().min(out.len());
        out[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Ok(n)
    }
}
