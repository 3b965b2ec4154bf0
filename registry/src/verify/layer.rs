//! One layer on a blocking thread: hash the blob, decompress it, hash the tar, walk the tar. Once through.
//! `pipeline` does the same for large ones on several threads.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;

use super::FindingKind;
use super::pump::{Arrived, RawReader};
use super::tar_walk::{TarFault, walk};
use crate::oci::media_type::LayerCompression;
use crate::oci::{Digest, Hasher};

/// Decompressed bytes hashed at once.
pub(super) const BUFFER: usize = 128 * 1024;
/// 128 MiB, the decoder's own default: the format allows 2 GiB, which one hostile layer could make us allocate.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Bytes that may still be decompressed, over all layers.
pub(super) struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0) }
    }

    /// Makes the next read fail.
    pub(super) fn exhaust(&self) {
        self.used.store(u64::MAX / 2, Ordering::Relaxed);
    }

    fn spend(&self, bytes: u64) -> bool {
        self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.limit
    }
}

/// What one pass over a blob found out.
pub(super) struct Examined {
    /// Digest and size of the blob, or why the source failed.
    pub(super) raw: Result<Arrived, String>,
    /// Digest of the decompressed layer, if it could be decompressed to its end.
    pub(super) diff_id: Option<Digest>,
    pub(super) findings: Vec<FindingKind>,
}

/// Reads a blob that is no layer.
pub(super) fn examine_opaque(raw: RawReader) -> Examined {
    Examined { raw: raw.finish(), diff_id: None, findings: Vec::new() }
}

/// Reads a layer. `diff_hasher` has the algorithm of the diff_id it will be compared with.
pub(super) fn examine_layer(
    mut raw: RawReader,
    compression: LayerCompression,
    diff_hasher: Hasher,
    budget: &Budget,
) -> Examined {
    let unpacked = with_decoder(&mut raw, compression, |decoder| unpack(decoder, diff_hasher, budget));
    settle(raw, unpacked.unwrap_or_else(Unpacked::refused))
}

/// Joins what was found out about the blob and about what is in it.
pub(super) fn settle(raw: RawReader, Unpacked { diff_id, findings }: Unpacked) -> Examined {
    // A source that failed explains every error after it.
    let (diff_id, findings) = if raw.has_failed() { (None, Vec::new()) } else { (diff_id, findings) };
    Examined { raw: raw.finish(), diff_id, findings }
}

/// Calls `work` with the decompressed bytes.
pub(super) fn with_decoder<T>(
    raw: impl BufRead,
    compression: LayerCompression,
    work: impl FnOnce(&mut dyn Read) -> T,
) -> io::Result<T> {
    let mut raw = raw;
    Ok(match compression {
        LayerCompression::None => work(&mut raw),
        LayerCompression::Gzip => work(&mut MultiGzDecoder::new(raw)),
        LayerCompression::Zstd => work(&mut zstd_decoder(raw)?),
    })
}

/// Decompresses a layer whose own bytes are known to be right. `None` if anything is wrong with it.
pub(super) fn unpacked_diff_id(raw: impl BufRead, compression: LayerCompression, budget: &Budget) -> Option<Digest> {
    let unpacked = with_decoder(raw, compression, |decoder| unpack(decoder, Hasher::sha256(), budget)).ok()?;
    unpacked.diff_id.filter(|_| unpacked.findings.is_empty())
}

/// Calls `work` with the decompressed bytes of a layer, counted; returns why they ended early, too.
pub(super) fn with_counted<T>(
    raw: impl BufRead,
    compression: LayerCompression,
    budget: &Budget,
    work: impl FnOnce(&mut dyn BufRead) -> T,
) -> (Option<T>, Option<String>) {
    let counting = |decoder: &mut dyn Read| {
        let counted = Counted { inner: decoder, hasher: None, budget, failure: None };
        let mut reader = BufReader::with_capacity(BUFFER, counted);
        let done = work(&mut reader);
        (done, reader.into_inner().failure)
    };
    match with_decoder(raw, compression, counting) {
        Ok((done, failure)) => (Some(done), failure.map(|failure| failure.to_string())),
        Err(error) => (None, Some(compression_fault(&error).to_string())),
    }
}

pub(crate) fn zstd_decoder<R: BufRead>(raw: R) -> io::Result<zstd::stream::read::Decoder<'static, R>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// What is in a layer.
pub(super) struct Unpacked {
    diff_id: Option<Digest>,
    findings: Vec<FindingKind>,
}

impl Unpacked {
    /// There is no decoder for it.
    pub(super) fn refused(error: io::Error) -> Self {
        Self { diff_id: None, findings: vec![compression_fault(&error)] }
    }
}

pub(super) fn unpack(decoder: impl Read, hasher: Hasher, budget: &Budget) -> Unpacked {
    let counted = Counted { inner: decoder, hasher: Some(hasher), budget, failure: None };
    let mut reader = BufReader::with_capacity(BUFFER, counted);
    let mut findings = Vec::new();
    if let Err(TarFault::Malformed { offset, reason }) = walk(&mut reader) {
        findings.push(FindingKind::Tar { offset, reason: reason.to_owned() });
    }
    // What the walk did not see is part of the diff_id as well.
    while reader.get_ref().failure.is_none() {
        match reader.fill_buf().map(<[u8]>::len) {
            Ok(0) => break,
            Ok(n) => reader.consume(n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let counted = reader.into_inner();
    match counted.failure {
        // The tar's end is missing because the stream ended early: one cause, one finding.
        Some(failure) => Unpacked { diff_id: None, findings: vec![failure] },
        None => Unpacked { diff_id: counted.hasher.map(Hasher::finish), findings },
    }
}

/// Counts, and perhaps hashes, decompressed bytes, remembering why it stopped.
struct Counted<'a, R> {
    inner: R,
    hasher: Option<Hasher>,
    budget: &'a Budget,
    failure: Option<FindingKind>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(out).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failure = Some(compression_fault(error));
            }
        })?;
        if !self.budget.spend(n as u64) {
            self.failure = Some(FindingKind::Bomb { limit: self.budget.limit });
            return Err(io::Error::other("too many decompressed bytes"));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&out[..n]);
        }
        Ok(n)
    }
}

fn compression_fault(error: &io::Error) -> FindingKind {
    FindingKind::Compression { reason: error.to_string() }
}
