//! What a blob on disk unpacks to, found out before it is known what image it belongs to.
//!
//! Owns: telling a layer by its first bytes, one pass of decompressing, hashing and walking the tar.
//! Never: hashes the blob itself: its store did when it took it in.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;

use super::layer::{Budget, unpacked_diff_id};
use crate::oci::media_type::LayerCompression;
use crate::store::layout::{Growing, VerifiedLayer};

/// Bytes fetched from disk at once.
const READ_CHUNK: usize = 256 * 1024;
/// Where a tar header has its magic (POSIX pax, "ustar Interchange Format").
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// Tells a layer's compression from its first bytes, or `None` for what is no layer, such as a manifest.
pub fn sniff_layer(start: &[u8]) -> Option<LayerCompression> {
    match start {
        [0x1f, 0x8b, ..] => Some(LayerCompression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(LayerCompression::Zstd),
        _ if start.get(TAR_MAGIC) == Some(b"ustar") => Some(LayerCompression::None),
        _ => None,
    }
}

/// Reads the start of a file as far as [`sniff_layer`] needs it.
///
/// # Errors
/// The file cannot be read.
pub async fn sniff_file(path: PathBuf) -> io::Result<Option<LayerCompression>> {
    let work = move || {
        let mut start = Vec::new();
        File::open(path)?.take(TAR_MAGIC.end as u64).read_to_end(&mut start)?;
        Ok(sniff_layer(&start))
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Unpacks a layer blob, whose bytes are known to be right, as far as `unpacked_limit` bytes. `None` if it is not a
/// sound tar in this compression: a full check tells why. Dropping the future ends the work soon.
///
/// # Errors
/// The file cannot be read.
pub async fn unpack_file(
    path: PathBuf,
    compression: LayerCompression,
    unpacked_limit: u64,
) -> io::Result<Option<VerifiedLayer>> {
    unpack(move || File::open(path), compression, unpacked_limit).await
}

/// The same for a blob on its way into a store, as it comes.
///
/// # Errors
/// The blob was not completed, or cannot be read.
pub async fn unpack_growing(
    blob: &Growing,
    compression: LayerCompression,
    unpacked_limit: u64,
) -> io::Result<Option<VerifiedLayer>> {
    let reader = blob.reader();
    unpack(move || Ok(reader), compression, unpacked_limit).await
}

async fn unpack<R: Read>(
    open: impl FnOnce() -> io::Result<R> + Send + 'static,
    compression: LayerCompression,
    unpacked_limit: u64,
) -> io::Result<Option<VerifiedLayer>> {
    let budget = Arc::new(Budget::new(unpacked_limit));
    let _stop = Stop(Arc::clone(&budget));
    let work = move || {
        let mut file = BufReader::with_capacity(READ_CHUNK, open()?);
        file.fill_buf()?;
        Ok(unpacked_diff_id(file, compression, &budget).map(|diff_id| VerifiedLayer { compression, diff_id }))
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Ends the blocking work when nobody waits for it any more.
struct Stop(Arc<Budget>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.exhaust();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::oci::Digest;

    fn tar() -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_size(5);
        header.set_mode(0o644);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header, "a.txt", &b"hello"[..]).unwrap();
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn unpacked(bytes: &[u8], limit: u64) -> Option<VerifiedLayer> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("blob");
        std::fs::write(&path, bytes).unwrap();
        let compression = sniff_file(path.clone()).await.unwrap()?;
        unpack_file(path, compression, limit).await.unwrap()
    }

    #[tokio::test]
    async fn finds_the_diff_id_in_every_compression() {
        let tar = tar();
        let zstd = zstd::encode_all(&tar[..], 1).unwrap();
        let cases = [
            (tar.clone(), LayerCompression::None),
            (gzip(&tar), LayerCompression::Gzip),
            (zstd, LayerCompression::Zstd),
        ];
        for (blob, compression) in cases {
            let want = VerifiedLayer { compression, diff_id: Digest::sha256(&tar) };
            assert_eq!(unpacked(&blob, 1 << 20).await, Some(want), "{compression:?}");
        }
    }

    #[tokio::test]
    async fn knows_nothing_of_what_is_no_sound_layer() {
        assert_eq!(unpacked(br#"{"schemaVersion":2}"#, 1 << 20).await, None, "a manifest");
        assert_eq!(unpacked(b"", 1 << 20).await, None, "nothing");
        assert_eq!(unpacked(&gzip(b"no tar at all"), 1 << 20).await, None, "not a tar");
        let cut = gzip(&tar());
        assert_eq!(unpacked(&cut[..cut.len() - 9], 1 << 20).await, None, "cut short");
        assert_eq!(unpacked(&gzip(&tar()), 100).await, None, "over the limit");
    }
}
