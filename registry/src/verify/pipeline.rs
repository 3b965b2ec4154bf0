//! A large layer on three threads: one hashes the blob, one decompresses it, one hashes and walks the tar.
//!
//! Owns: the bounded channels between them. All threads end before [`examine`] returns. A stage that has found out enough
//! goes away, and the one before it goes on without it: the blob's own digest is always computed to its end.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use bytes::{Buf as _, Bytes};

use super::layer::{BUFFER, Budget, Examined, Unpacked, settle, unpack, with_decoder};
use super::pump::{IN_FLIGHT, RawReader};
use crate::oci::Hasher;
use crate::oci::media_type::LayerCompression;

/// Smallest blob, in bytes, that is worth the threads.
pub(super) const WORTHWHILE: u64 = 1 << 20;
/// Decompressed buffers on their way; with [`BUFFER`] this is 1 MiB per blob.
const UNPACKED_IN_FLIGHT: usize = 8;

type Unpacking = io::Result<Vec<u8>>;

/// Does what `examine_layer` does.
pub(super) fn examine(raw: RawReader, compression: LayerCompression, diff_hasher: Hasher, budget: &Budget) -> Examined {
    let (to_decoder, from_hasher) = sync_channel(IN_FLIGHT);
    let (to_walker, from_decoder) = sync_channel(UNPACKED_IN_FLIGHT);
    thread::scope(|scope| {
        let hashing = scope.spawn(move || hash(raw, to_decoder));
        let walking = scope.spawn(move || {
            let pieces = Pieces { receiver: from_decoder, current: Bytes::new() };
            unpack(pieces, diff_hasher, budget)
        });
        let chunks = Chunks { receiver: from_hasher, current: Bytes::new() };
        let refused = with_decoder(chunks, compression, |decoder| decompress(decoder, &to_walker)).err();
        drop(to_walker);
        let unpacked = walking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let raw = hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        settle(raw, refused.map_or(unpacked, Unpacked::refused))
    })
}

/// Hashes the blob, to its end even where nobody decompresses it any more.
fn hash(mut raw: RawReader, to: SyncSender<Bytes>) -> RawReader {
    let mut to = Some(to);
    while let Some(chunk) = raw.next_chunk() {
        to = to.filter(|to| to.send(chunk).is_ok());
    }
    raw
}

fn decompress(decoder: &mut dyn Read, to: &SyncSender<Unpacking>) {
    loop {
        let mut buffer = vec![0; BUFFER];
        let read = fill(decoder, &mut buffer);
        let (filled, failure) = match read {
            Ok(filled) => (filled, None),
            Err((filled, error)) => (filled, Some(error)),
        };
        buffer.truncate(filled);
        let is_last = failure.is_some() || filled < BUFFER;
        let sent = to.send(Ok(buffer)).is_ok() && failure.is_none_or(|error| to.send(Err(error)).is_ok());
        if is_last || !sent {
            return;
        }
    }
}

/// Fills a buffer as far as there is something; an error comes with how much was read before it.
fn fill(decoder: &mut dyn Read, buffer: &mut [u8]) -> Result<usize, (usize, io::Error)> {
    let mut filled = 0;
    while filled < buffer.len() {
        match decoder.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((filled, error)),
        }
    }
    Ok(filled)
}

/// The blob as it comes from the hasher.
struct Chunks {
    receiver: Receiver<Bytes>,
    current: Bytes,
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.current.is_empty() {
            match self.receiver.recv() {
                Ok(chunk) => self.current = chunk,
                // The blob's end, or that of its source, which the hasher knows.
                Err(_) => break,
            }
        }
        Ok(&self.current)
    }

    fn consume(&mut self, amount: usize) {
        self.current.advance(amount.min(self.current.len()));
    }
}

impl Read for Chunks {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(out)?;
        self.consume(n);
        Ok(n)
    }
}

/// What was decompressed, as it comes from the decoder.
struct Pieces {
    receiver: Receiver<Unpacking>,
    current: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.receiver.recv() {
                Ok(piece) => self.current = piece?.into(),
                Err(_) => return Ok(0),
            }
        }
        let n = self.current.len().min(out.len());
        self.current.copy_to_slice(&mut out[..n]);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::layer::examine_layer;
    use super::super::pump::{channel, pump};
    use super::*;

    /// A file of two megabytes that shrinks to about half.
    fn tar() -> Vec<u8> {
        let mut noise = 1u32;
        let next = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 28) as u8
        };
        let content: Vec<u8> = std::iter::repeat_with(next).take(2_000_000).collect();
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header, "a", &content[..]).unwrap();
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A source that ends with an error.
    struct Breaks(std::io::Cursor<Vec<u8>>);

    impl tokio::io::AsyncRead for Breaks {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            context: &mut std::task::Context<'_>,
            out: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            let before = out.filled().len();
            std::task::ready!(std::pin::Pin::new(&mut self.0).poll_read(context, out))?;
            let ended = out.filled().len() == before;
            std::task::Poll::Ready(if ended { Err(io::Error::other("gone")) } else { Ok(()) })
        }
    }

    type Examine = fn(RawReader, LayerCompression, Hasher, &Budget) -> Examined;

    async fn shown(examine: Examine, bytes: &[u8], compression: LayerCompression, limit: u64, breaks: bool) -> String {
        let reader = std::io::Cursor::new(bytes.to_vec());
        let reader: crate::store::BlobReader = if breaks { Box::new(Breaks(reader)) } else { Box::new(reader) };
        let (sender, raw) = channel(Hasher::sha256());
        let work = move || examine(raw, compression, Hasher::sha256(), &Budget::new(limit));
        let (examined, ()) = futures::join!(tokio::task::spawn_blocking(work), pump(reader, sender));
        let Examined { raw, diff_id, findings } = examined.unwrap();
        let raw = raw.map(|arrived| (arrived.digest, arrived.size));
        format!("{raw:?} {diff_id:?} {findings:?}")
    }

    #[tokio::test]
    async fn finds_out_what_one_thread_does() {
        let tar = tar();
        let (gz, zst) = (gzip(&tar), zstd::encode_all(&tar[..], 1).unwrap());
        let mut flipped = gz.clone();
        flipped[600_000] ^= 1;
        let two = [gzip(&tar[..700_000]), gzip(&tar[700_000..])].concat();
        let (none, gzipped, zstd) = (LayerCompression::None, LayerCompression::Gzip, LayerCompression::Zstd);
        for (name, bytes, compression, want) in [
            ("uncompressed", tar.clone(), none, "[]"),
            ("gzip", gz.clone(), gzipped, "[]"),
            ("zstd", zst.clone(), zstd, "[]"),
            ("two members", two, gzipped, "[]"),
            ("trailing", [&gz[..], b"garbage"].concat(), gzipped, "Compression"),
            ("flipped", flipped, gzipped, "Compression"),
            ("cut", gz[..gz.len() / 2].to_vec(), gzipped, "Compression"),
            ("not zstd", gz.clone(), zstd, "Compression"),
            ("cut tar", gzip(&tar[..1_000_000]), gzipped, "Tar"),
            ("empty", Vec::new(), gzipped, ""),
        ] {
            let alone = shown(examine_layer, &bytes, compression, u64::MAX / 4, false).await;
            let piped = shown(examine, &bytes, compression, u64::MAX / 4, false).await;
            assert_eq!(piped, alone, "{name}");
            assert!(piped.contains(want), "{name}: {piped}");
            let broken = shown(examine, &bytes, compression, u64::MAX / 4, true).await;
            assert_eq!(broken, r#"Err("gone") None []"#, "{name}: the source explains everything");
        }
        let bomb = shown(examine, &gz, gzipped, 1_000_000, false).await;
        assert!(bomb.contains("Bomb") && bomb.starts_with("Ok"), "the blob's own digest is computed: {bomb}");
    }
}
