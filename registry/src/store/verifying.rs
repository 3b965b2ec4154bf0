//! A reader that believes nothing: it hashes what passes and fails where the promise is broken.
//!
//! Owns: digest and size checks of a stream. Never: buffers, retries.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::{Committed, Expect, StoreError};
use crate::oci::Hasher;

/// Passes bytes through; end of file is an error unless digest and size are as promised.
///
/// The error's inner value is a [`StoreError`]. Bytes were handed out before the verdict, so a caller
/// must not act on them until it has seen the end of the stream.
#[derive(Debug)]
pub struct VerifyingReader<R> {
    inner: R,
    seen: u64,
    check: Option<(Hasher, Expect)>,
}

impl<R> VerifyingReader<R> {
    /// Wraps a reader that stands at the first byte of the blob.
    ///
    /// # Errors
    /// [`StoreError::Digest`] for an algorithm polyarch cannot compute.
    pub fn new(inner: R, expect: Expect) -> Result<Self, StoreError> {
        Ok(Self { inner, seen: 0, check: Some((expect.hasher()?, expect)) })
    }

    fn absorb(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.seen += bytes.len() as u64;
        match &mut self.check {
            Some((hasher, expect)) => {
                expect.admit(self.seen)?;
                hasher.update(bytes);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn settle(&mut self) -> Result<(), StoreError> {
        let Some((hasher, expect)) = self.check.take() else { return Ok(()) };
        expect.settle(Committed { digest: hasher.finish(), size: self.seen }).map(drop)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for VerifyingReader<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        let fresh = &buf.filled()[before..];
        let verdict = if fresh.is_empty() { this.settle() } else { this.absorb(fresh) };
        if verdict.is_err() {
            // A failed read must not have filled anything.
            buf.set_filled(before);
        }
        Poll::Ready(verdict.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::oci::Digest;

    async fn read(data: &[u8], expect: Expect) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        let mut reader = VerifyingReader::new(data, expect).unwrap();
        reader.read_to_end(&mut out).await.map(|_| out).map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn fails_exactly_where_the_promise_is_broken() {
        let expect = |text: &str, size| Expect { digest: Some(Digest::sha256(text)), size: Some(size) };
        assert_eq!(read(b"hello", expect("hello", 5)).await, Ok(b"hello".to_vec()));
        assert_eq!(read(b"hell", expect("hello", 5)).await.unwrap_err(), "blob ended after 4 bytes, expected 5");
        assert_eq!(read(b"hello!", expect("hello", 5)).await.unwrap_err(), "blob is longer than the expected 5 bytes");
        let error = read(b"jello", expect("hello", 5)).await.unwrap_err();
        assert!(error.starts_with(&format!("blob has digest {}", Digest::sha256("jello"))), "{error}");
    }
}
