//! Request bodies, read with limits.
//!
//! Owns: the time a client may stall, the bytes a body may have, draining what a refused request
//! still sends. Never: holds more than one frame, except in [`RequestBody::collect`].

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;

/// The most that is reserved before bytes arrive.
const PREALLOCATE: usize = 64 * 1024;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the endpoint takes.
    #[error("body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// No byte arrived for too long.
    #[error("no data for {} seconds", idle.as_secs())]
    Stalled {
        /// How long the server waited.
        idle: Duration,
    },
    /// The connection broke, or the framing is malformed.
    #[error("body ended early")]
    Broken(#[source] axum::Error),
}

/// A request's body.
#[derive(Debug)]
pub struct RequestBody {
    inner: Body,
    idle: Duration,
    started: bool,
    failed: bool,
}

impl RequestBody {
    /// Wraps a body; a read that waits longer than `idle` fails.
    pub fn new(inner: Body, idle: Duration) -> Self {
        Self { inner, idle, started: false, failed: false }
    }

    /// Returns the exact length, if the request stated it.
    pub fn exact_len(&self) -> Option<u64> {
        self.inner.size_hint().exact()
    }

    /// Returns the next piece, `None` at the end. Safe to drop.
    ///
    /// # Errors
    /// [`BodyError::Stalled`], [`BodyError::Broken`].
    pub async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        self.started = true;
        let result = self.next_data().await;
        self.failed = result.is_err();
        result
    }

    async fn next_data(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            let frame = tokio::time::timeout(self.idle, self.inner.frame()).await;
            match frame.map_err(|_| BodyError::Stalled { idle: self.idle })? {
                None => return Ok(None),
                Some(Err(error)) => return Err(BodyError::Broken(error)),
                // Trailers carry nothing for us.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => return Ok(Some(data)),
                    _ => {}
                },
            }
        }
    }

    /// Reads everything.
    ///
    /// # Errors
    /// [`BodyError::TooLarge`] before reading if the stated length is over the limit, else as soon as it is passed.
    pub async fn collect(&mut self, limit: usize) -> Result<Bytes, BodyError> {
        if self.exact_len().is_some_and(|len| len > limit as u64) {
            return Err(BodyError::TooLarge { limit });
        }
        let mut bytes = BytesMut::with_capacity(PREALLOCATE);
        while let Some(piece) = self.next().await? {
            if bytes.len() + piece.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }

    /// Reads and drops what a refused request still sends, up to `limit` bytes, so that the client gets to read
    /// the answer instead of a reset connection. A client that waits for `100 Continue` is not asked to send.
    pub async fn drain(&mut self, limit: u64, waits_for_continue: bool) {
        if self.failed || (waits_for_continue && !self.started) {
            return;
        }
        let mut left = limit;
        while let Ok(Some(piece)) = self.next().await {
            match left.checked_sub(piece.len() as u64) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn body(pieces: &[&'static str]) -> RequestBody {
        let pieces: Vec<_> =
            pieces.iter().map(|piece| Ok::<_, std::io::Error>(Bytes::from_static(piece.as_bytes()))).collect();
        RequestBody::new(Body::from_stream(stream::iter(pieces)), Duration::from_secs(5))
    }

    #[tokio::test]
    async fn collects_up_to_the_limit() {
        assert_eq!(body(&["ab", "", "cd"]).collect(4).await.unwrap(), "abcd");
        let over = body(&["ab", "cd"]).collect(3).await;
        assert!(matches!(over, Err(BodyError::TooLarge { limit: 3 })), "{over:?}");
        let mut stated = RequestBody::new(Body::from("abcd"), Duration::from_secs(5));
        assert!(matches!(stated.collect(3).await, Err(BodyError::TooLarge { .. })));
        assert!(!stated.started, "refused by its length alone");
    }

    #[tokio::test]
    async fn a_silent_client_is_given_up() {
        let silent = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let stalled = RequestBody::new(silent, Duration::from_millis(1)).next().await;
        assert!(matches!(stalled, Err(BodyError::Stalled { .. })), "{stalled:?}");
    }

    #[tokio::test]
    async fn draining_stops_at_its_limit() {
        let mut long = body(&["ab", "cd", "ef"]);
        long.drain(3, false).await;
        assert_eq!(long.next().await.unwrap().unwrap(), "ef");
        let mut waiting = body(&["ab"]);
        waiting.drain(9, true).await;
        assert_eq!(waiting.next().await.unwrap().unwrap(), "ab");
    }
}
