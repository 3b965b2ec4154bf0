//! A blob that is read while it is written.
//!
//! Owns: following the writer: what has been written is read at once, but for the last byte, which is withheld until
//! digest and size are known to be right. So what a reader sends on cannot be completed before it is verified.
//! Never: makes a blob visible; a reader whose writer fails gets an error.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::io::StreamReader;

use crate::store::BlobReader;

/// Bytes read at once.
const CHUNK: u64 = 256 << 10;

/// How far a writer is.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    written: u64,
    verified: bool,
}

/// The writer's half. Dropped before [`Grow::verified`], it fails the readers.
pub(super) struct Grow(watch::Sender<Progress>);

impl Grow {
    /// Returns both halves for a file that will have `size` bytes.
    pub(super) fn new(file: File, size: u64) -> (Self, Growing) {
        let (sender, progress) = watch::channel(Progress::default());
        (Self(sender), Growing { file: Arc::new(file), size, progress })
    }

    pub(super) fn written(&self, bytes: u64) {
        self.0.send_modify(|progress| progress.written += bytes);
    }

    pub(super) fn verified(&self) {
        self.0.send_modify(|progress| progress.verified = true);
    }
}

/// A blob on its way into a layout, for any number of readers. It stays readable when the blob has its name.
#[derive(Debug, Clone)]
pub struct Growing {
    file: Arc<File>,
    size: u64,
    progress: watch::Receiver<Progress>,
}

impl Growing {
    /// Returns a reader for a blocking thread. Must be called in a tokio runtime.
    pub fn reader(&self) -> impl Read + Send + 'static {
        GrowingReader { blob: self.clone(), offset: 0, runtime: Handle::current() }
    }

    /// Waits until there are bytes at `offset` and returns how many at most [`CHUNK`]; 0 at the verified end.
    async fn ready(&mut self, offset: u64) -> io::Result<u64> {
        let size = self.size;
        let there = move |progress: &Progress| match progress.verified {
            true => size,
            false => progress.written.min(size.saturating_sub(1)),
        };
        let grown = self.progress.wait_for(|progress| progress.verified || there(progress) > offset).await;
        let until = grown.map(|progress| there(&progress)).map_err(|_| broken())?;
        Ok(until.saturating_sub(offset).min(CHUNK))
    }

    /// Opens the blob from byte `offset` on.
    pub fn open(&self, offset: u64) -> BlobReader {
        let pieces = stream::try_unfold((self.clone(), offset), |(mut blob, offset)| async move {
            let length = blob.ready(offset).await?;
            if length == 0 {
                return Ok(None);
            }
            let file = Arc::clone(&blob.file);
            let read = tokio::task::spawn_blocking(move || read_at(&file, offset, length)).await;
            let piece: Bytes = read.map_err(io::Error::other)??;
            let next = offset + piece.len() as u64;
            Ok::<_, io::Error>(Some((piece, (blob, next))))
        });
        Box::new(StreamReader::new(Box::pin(pieces)))
    }
}

/// Reads all of what has been written.
fn read_at(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    let mut piece = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut piece, offset)?;
    Ok(piece.into())
}

/// What a reader is told when the writer gave up.
fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the blob was not completed")
}

struct GrowingReader {
    blob: Growing,
    offset: u64,
    runtime: Handle,
}

impl Read for GrowingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.runtime.block_on(self.blob.ready(self.offset))?;
        let length = usize::try_from(ready).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.blob.file.read_at(&mut buffer[..length], self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    struct Blob {
        file: File,
        grow: Grow,
        growing: Growing,
    }

    fn blob(size: u64) -> Blob {
        let temp = tempfile::NamedTempFile::new().unwrap();
        let (grow, growing) = Grow::new(temp.reopen().unwrap(), size);
        Blob { file: temp.into_file(), grow, growing }
    }

    impl Blob {
        fn write(&mut self, bytes: &[u8]) {
            self.file.write_all(bytes).unwrap();
            self.grow.written(bytes.len() as u64);
        }
    }

    #[tokio::test]
    async fn everything_but_the_last_byte_can_be_read_before_it_is_verified() {
        let mut blob = blob(10);
        let mut reader = blob.growing.open(0);
        let mut start = [0; 9];
        blob.write(b"01234");
        blob.write(b"56789");
        reader.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"012345678");
        let mut rest = String::new();
        let mut last = Box::pin(reader.read_to_string(&mut rest));
        assert!(futures::poll!(&mut last).is_pending(), "the last byte waits");
        blob.grow.verified();
        last.await.unwrap();
        assert_eq!(rest, "9");
        let mut tail = String::new();
        blob.growing.open(7).read_to_string(&mut tail).await.unwrap();
        assert_eq!(tail, "789");
    }

    #[tokio::test]
    async fn readers_fail_with_their_writer() {
        let mut blob = blob(10);
        blob.write(b"0123456789");
        let mut reader = blob.growing.reader();
        let blocking = tokio::task::spawn_blocking(move || reader.read_to_end(&mut Vec::new()));
        let mut reader = blob.growing.open(0);
        drop(blob.grow);
        assert_eq!(blocking.await.unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(reader.read_to_end(&mut Vec::new()).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_blocking_reader_follows_to_the_end() {
        let mut blob = blob(600 << 10);
        let mut reader = blob.growing.reader();
        let blocking = tokio::task::spawn_blocking(move || {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).map(|_| all)
        });
        let bytes: Vec<u8> = (0..600 << 10).map(|n| (n % 251) as u8).collect();
        bytes.chunks(100_000).for_each(|chunk| blob.write(chunk));
        blob.grow.verified();
        assert_eq!(blocking.await.unwrap().unwrap(), bytes);
    }
}
