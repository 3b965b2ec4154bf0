//! Decompressing a layer within bounds.
//!
//! Owns: counting what comes out against what went in, gzip member by member, the digest of what comes out. Never: more
//! bytes than its limits allow, whatever a few kilobytes claim to hold.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;

use crate::oci::Hasher;

/// How much is read of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most decompressed bytes.
    pub unpacked: u64,
    /// Most decompressed bytes for each byte of the blob.
    pub ratio: u64,
    /// Decompressed bytes from which on the ratio counts: a small file of zeros is no bomb.
    pub ratio_from: u64,
    /// Most paths.
    pub nodes: usize,
    /// Most bytes of memory for them.
    pub memory: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { unpacked: 32 << 30, ratio: 200, ratio_from: 64 << 20, nodes: 1_000_000, memory: 256 << 20 }
    }
}

/// Counts what is taken from a blob.
pub(super) struct Packed<R> {
    pub(super) inner: R,
    pub(super) count: Arc<AtomicU64>,
}

impl<R: BufRead> BufRead for Packed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.count.fetch_add(amount as u64, Ordering::Relaxed);
        self.inner.consume(amount);
    }
}

impl<R: BufRead> Read for Packed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let available = self.inner.fill_buf()?;
        let n = available.len().min(out.len());
        out[..n].copy_from_slice(&available[..n]);
        self.consume(n);
        Ok(n)
    }
}

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) unpacked: u64,
    pub(super) failure: Option<Failure>,
}

#[derive(Debug)]
pub(super) enum Failure {
    Compression(String),
    Bomb,
}

/// Bounds, counts and hashes decompressed bytes.
pub(super) struct Unpacked<'a, R> {
    pub(super) inner: R,
    pub(super) packed: Arc<AtomicU64>,
    pub(super) limits: Limits,
    pub(super) hasher: Option<Hasher>,
    pub(super) count: &'a mut Count,
}

impl<R: Read> Read for Unpacked<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.count.failure = Some(Failure::Compression(error.to_string()));
            }
        })?;
        self.count.unpacked += n as u64;
        let packed = self.packed.load(Ordering::Relaxed);
        let most = match self.count.unpacked > self.limits.ratio_from {
            true => self.limits.unpacked.min(packed.saturating_mul(self.limits.ratio).max(self.limits.ratio_from)),
            false => self.limits.unpacked,
        };
        if self.count.unpacked > most {
            self.count.failure = Some(Failure::Bomb);
            return Err(io::Error::other("too many decompressed bytes"));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&out[..n]);
        }
        Ok(n)
    }
}

/// gzip members one after another, which together are one stream (RFC 1952, 2.2). What is no member ends it.
pub(super) struct Members<'a, R: BufRead> {
    decoder: Option<GzDecoder<R>>,
    seen: &'a mut Seen,
}

/// What there was of a gzip stream.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Members after the first.
    pub(super) more: u64,
    /// Something else follows.
    pub(super) is_trailed: bool,
}

impl<'a, R: BufRead> Members<'a, R> {
    pub(super) fn new(reader: R, seen: &'a mut Seen) -> Self {
        Self { decoder: Some(GzDecoder::new(reader)), seen }
    }
}

impl<R: BufRead> Read for Members<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            let n = decoder.read(out)?;
            if n > 0 || out.is_empty() {
                return Ok(n);
            }
            let Some(mut reader) = self.decoder.take().map(GzDecoder::into_inner) else { break };
            match reader.fill_buf()? {
                [] => {}
                [0x1f] | [0x1f, 0x8b, ..] => {
                    self.seen.more += 1;
                    self.decoder = Some(GzDecoder::new(reader));
                }
                _ => self.seen.is_trailed = true,
            }
        }
        Ok(0)
    }
}
