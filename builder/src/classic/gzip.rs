//! Parallel gzip, as pigz does it: one member, deterministic bytes.
//!
//! Owns: blocks of 1 MiB, each raw deflate with the previous 32 KiB as its dictionary and a sync flush at its end, one
//! header, one CRC. The bytes depend on input and level alone, never on the number of threads or the sizes of the
//! chunks given. Any inflater reads the result; several members would be cut short by single-member readers.

use std::collections::VecDeque;
use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use tokio::task::{JoinHandle, spawn_blocking};

/// Input of one block, in bytes.
const BLOCK: usize = 1 << 20;
/// What deflate looks back on, in bytes (RFC 1951, 3.2.5).
const WINDOW: usize = 32 << 10;
/// Magic, deflate, no flags, no time, no extra flags, unknown system (RFC 1952): nothing of this machine.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Compresses a stream on several threads.
///
/// Dropping it is safe: a block being compressed (some milliseconds) ends unheard.
#[derive(Debug)]
pub struct ParallelGzip {
    level: Compression,
    threads: usize,
    input: BytesMut,
    dictionary: Bytes,
    jobs: VecDeque<JoinHandle<io::Result<Block>>>,
    crc: Crc,
    header_sent: bool,
}

#[derive(Debug)]
struct Block {
    bytes: Bytes,
    crc: Crc,
}

impl ParallelGzip {
    /// Starts a stream. `level` is 0 to 9, 6 where none is given; at most `threads` blocks are in work at once.
    pub fn new(level: Option<u32>, threads: usize) -> Self {
        Self {
            level: Compression::new(level.unwrap_or(6).min(9)),
            threads: threads.max(1),
            input: BytesMut::new(),
            dictionary: Bytes::new(),
            jobs: VecDeque::new(),
            crc: Crc::new(),
            header_sent: false,
        }
    }

    /// Takes input and appends what is compressed by now to `out`. Waits while enough blocks are in work.
    ///
    /// # Errors
    /// Only if a worker panicked.
    pub async fn push(&mut self, mut chunk: Bytes, out: &mut Vec<Bytes>) -> io::Result<()> {
        while !chunk.is_empty() {
            let room = BLOCK - self.input.len();
            let part = chunk.split_to(room.min(chunk.len()));
            self.input.extend_from_slice(&part);
            if self.input.len() == BLOCK {
                self.start(FlushCompress::Sync);
                while self.jobs.len() > self.threads {
                    self.take_oldest(out).await?;
                }
            }
        }
        Ok(())
    }

    /// Compresses the rest and appends it, with the trailer, to `out`.
    ///
    /// # Errors
    /// Only if a worker panicked.
    pub async fn finish(mut self, out: &mut Vec<Bytes>) -> io::Result<()> {
        self.start(FlushCompress::Finish);
        while !self.jobs.is_empty() {
            self.take_oldest(out).await?;
        }
        let mut trailer = BytesMut::with_capacity(8);
        trailer.put_u32_le(self.crc.sum());
        // The length modulo 2^32, which is what `amount` is.
        trailer.put_u32_le(self.crc.amount());
        out.push(trailer.freeze());
        Ok(())
    }

    fn start(&mut self, flush: FlushCompress) {
        let input = std::mem::take(&mut self.input).freeze();
        let next = input.slice(input.len().saturating_sub(WINDOW)..);
        let dictionary = std::mem::replace(&mut self.dictionary, next);
        let level = self.level;
        self.jobs.push_back(spawn_blocking(move || compress(&input, &dictionary, level, flush)));
    }

    async fn take_oldest(&mut self, out: &mut Vec<Bytes>) -> io::Result<()> {
        let Some(job) = self.jobs.front_mut() else { return Ok(()) };
        let block = job.await;
        self.jobs.pop_front();
        let block = block.map_err(io::Error::other)??;
        self.crc.combine(&block.crc);
        if !std::mem::replace(&mut self.header_sent, true) {
            out.push(Bytes::from_static(&HEADER));
        }
        out.push(block.bytes);
        Ok(())
    }
}

fn compress(input: &[u8], dictionary: &[u8], level: Compression, flush: FlushCompress) -> io::Result<Block> {
    let mut crc = Crc::new();
    crc.update(input);
    let mut deflate = Compress::new(level, false);
    if !dictionary.is_empty() {
        deflate.set_dictionary(dictionary).map_err(io::Error::other)?;
    }
    let mut bytes = Vec::with_capacity(input.len() / 2 + 64);
    loop {
        let rest = &input[deflate.total_in() as usize..];
        let status = deflate.compress_vec(rest, &mut bytes, flush).map_err(io::Error::other)?;
        // Room left over means that the flush is complete (zlib's manual, `deflate`).
        let flushed = bytes.len() < bytes.capacity() && deflate.total_in() as usize == input.len();
        if status == Status::StreamEnd || (flush == FlushCompress::Sync && flushed) {
            break;
        }
        bytes.reserve(bytes.len().max(1024));
    }
    Ok(Block { bytes: bytes.into(), crc })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn gzip(chunks: &[&[u8]], threads: usize, level: Option<u32>) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut gzip, mut out) = (ParallelGzip::new(level, threads), Vec::new());
            for chunk in chunks {
                gzip.push(Bytes::copy_from_slice(chunk), &mut out).await.unwrap();
            }
            gzip.finish(&mut out).await.unwrap();
            out.concat()
        })
    }

    /// Reads exactly one member: what is behind it is left over.
    fn inflate_one_member(bytes: &[u8]) -> (Vec<u8>, usize) {
        let mut decoder = flate2::bufread::GzDecoder::new(bytes);
        let mut got = Vec::new();
        decoder.read_to_end(&mut got).unwrap();
        let left = decoder.into_inner().len();
        (got, left)
    }

    /// Text-like bytes: compressible, and different everywhere.
    fn text(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            b"abcdefgh the quick fox\n"[(state % 23) as usize]
        };
        (0..length).map(|_| next()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn inflates_to_the_input_whatever_its_size(
            length in prop_oneof![
                0usize..2000,
                BLOCK - 3..BLOCK + 4,
                2 * BLOCK - 2..2 * BLOCK + 3,
                0usize..4 * BLOCK,
            ],
            seed in any::<u64>(),
            cut in 1usize..3 * BLOCK,
            threads in 1usize..5,
        ) {
            let input = text(length, seed);
            let chunks: Vec<&[u8]> = input.chunks(cut).collect();
            let packed = gzip(&chunks, threads, None);
            let (got, left) = inflate_one_member(&packed);
            prop_assert!(got == input, "{} bytes became {}", input.len(), got.len());
            prop_assert_eq!(left, 0, "one member only");
            prop_assert!(packed == gzip(&[&input], 1, None), "bytes depend on threads or chunks");
        }
    }

    #[test]
    fn takes_every_level_and_bytes_that_do_not_compress() {
        let noise: Vec<u8> = (0..BLOCK + 77).map(|_| rand::random()).collect();
        let input = [text(BLOCK, 7), noise].concat();
        let mut sizes = Vec::new();
        for level in 0..=9 {
            let packed = gzip(&[&input], 2, Some(level));
            assert_eq!(inflate_one_member(&packed).0, input, "level {level}");
            sizes.push(packed.len());
        }
        assert!(sizes[9] < sizes[0], "{sizes:?}");
    }

    #[test]
    fn writes_the_same_bytes_for_ever() {
        let digest = polyarch_registry::oci::Digest::sha256(gzip(&[b"hello"], 1, None));
        // A change here makes every cached layer a new blob: say so in the changelog.
        assert_eq!(digest.short(), "2f69971adca9");
    }
}
