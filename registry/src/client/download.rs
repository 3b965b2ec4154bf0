//! Reading a blob, verified while it arrives.
//!
//! Owns: the running hash and count, continuing after a broken connection (RFC 9110, section 14).
//! The last bytes are handed out only after size and digest are right, so a caller that sees the end
//! has seen the blob. Never: starts over once bytes were handed out.

use std::time::Duration;

use bytes::Bytes;
use futures::stream::{Stream, TryStreamExt as _, try_unfold};
use http::{Method, StatusCode, header};
use tokio::io::AsyncRead;
use tokio::time::Instant;
use tokio_util::io::StreamReader;

use super::Registry;
use super::call::Answered;
use super::error::{ClientError, Fault};
use crate::oci::{Descriptor, Hasher, Reference};

/// A blob being read.
pub struct Download {
    registry: Registry,
    reference: Reference,
    descriptor: Descriptor,
    check: Check,
    state: State,
    hasher: Option<Hasher>,
    received: u64,
    failures: Failures,
    /// False once the registry has refused a range: then it is read from the beginning.
    ranges: bool,
}

/// Who verifies the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// The download.
    Verify,
    /// The caller.
    Leave,
}

enum State {
    Reading {
        answered: Box<Answered>,
        /// Bytes to drop: the registry started from the beginning.
        skip: u64,
    },
    Broken(ClientError),
    Ended,
}

/// Failed attempts since the last real progress.
struct Failures {
    count: u32,
    since: Instant,
    at: u64,
}

impl Download {
    pub(super) async fn open(
        registry: Registry,
        reference: Reference,
        descriptor: Descriptor,
        check: Check,
    ) -> Result<Self, ClientError> {
        let unverifiable = |error| ClientError::at(reference.host(), Fault::Protocol(format!("{error}")));
        let hasher = match check {
            Check::Verify => Some(descriptor.digest.hasher().map_err(unverifiable)?),
            Check::Leave => None,
        };
        let answered = registry
            .retrying(|| async {
                let answered = registry.read_blob(&reference, &descriptor.digest, 0).await?;
                match check_length(&answered, descriptor.size) {
                    Err(fault) if check == Check::Verify => Err(answered.fault(&reference, &Method::GET, fault)),
                    _ => Ok(answered),
                }
            })
            .await?;
        let failures = Failures { count: 0, since: Instant::now(), at: 0 };
        let state = State::Reading { answered: Box::new(answered), skip: 0 };
        Ok(Self { registry, reference, descriptor, check, state, hasher, received: 0, failures, ranges: true })
    }

    /// Returns the bytes received so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Returns the next piece, or `None` after the last. If it fails, what was handed out before is
    /// worthless.
    ///
    /// # Errors
    /// [`super::ErrorKind::Mismatch`] for another size or digest; a transport error once the attempts are used up.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            match &mut self.state {
                State::Ended => return Ok(None),
                State::Broken(_) => self.resume().await?,
                State::Reading { answered, skip } => match answered.reply.chunk().await {
                    Ok(Some(chunk)) => {
                        let dropped = (*skip).min(chunk.len() as u64);
                        *skip -= dropped;
                        // At most the chunk's length, so it fits.
                        let chunk = chunk.slice(dropped as usize..);
                        if !chunk.is_empty() {
                            return self.accept(chunk).map(Some);
                        }
                    }
                    Ok(None) => self.finish()?,
                    Err(fault) => {
                        let error = answered.fault(&self.reference, &Method::GET, fault);
                        self.state = State::Broken(error);
                    }
                },
            }
        }
    }

    fn accept(&mut self, chunk: Bytes) -> Result<Bytes, ClientError> {
        self.received += chunk.len() as u64;
        if self.received > self.descriptor.size {
            if self.check == Check::Leave {
                return Ok(self.last(chunk));
            }
            return Err(self.mismatch(Fault::Size { want: self.descriptor.size, got: self.received }));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&chunk);
        }
        if self.received == self.descriptor.size {
            self.verify()?;
        }
        Ok(chunk)
    }

    /// Cuts off what is more than one byte too many, and ends.
    fn last(&mut self, chunk: Bytes) -> Bytes {
        let excess = self.received - self.descriptor.size - 1;
        self.received -= excess;
        self.state = State::Ended;
        // The excess is part of this chunk, so it fits.
        chunk.slice(..chunk.len() - excess as usize)
    }

    /// The body ended; a connection that broke before its announced end is a fault of the reply instead.
    fn finish(&mut self) -> Result<(), ClientError> {
        if self.received == self.descriptor.size || self.check == Check::Leave {
            self.verify()?;
            self.state = State::Ended;
            return Ok(());
        }
        Err(self.mismatch(Fault::Size { want: self.descriptor.size, got: self.received }))
    }

    fn verify(&mut self) -> Result<(), ClientError> {
        let Some(got) = self.hasher.take().map(Hasher::finish) else { return Ok(()) };
        if got == self.descriptor.digest {
            return Ok(());
        }
        Err(self.mismatch(Fault::Digest { want: self.descriptor.digest.clone(), got }))
    }

    fn mismatch(&mut self, fault: Fault) -> ClientError {
        let error = match &self.state {
            State::Reading { answered, .. } => answered.fault(&self.reference, &Method::GET, fault),
            _ => ClientError::at(self.reference.host(), fault),
        };
        self.state = State::Ended;
        error
    }

    /// Waits and asks for the rest, or gives the failure back.
    async fn resume(&mut self) -> Result<(), ClientError> {
        let limits = &self.registry.inner.config.limits;
        if self.received - self.failures.at >= limits.progress_bytes {
            self.failures = Failures { count: 0, since: Instant::now(), at: self.received };
        }
        self.failures.count += 1;
        let State::Broken(error) = &self.state else { return Ok(()) };
        let delay = self.next_delay(error);
        let Some(delay) = delay else {
            let State::Broken(error) = std::mem::replace(&mut self.state, State::Ended) else { return Ok(()) };
            return Err(error);
        };
        self.registry.notice(error, self.failures.count, delay);
        tokio::time::sleep(delay).await;
        let from = if self.ranges { self.received } else { 0 };
        self.state = match self.registry.read_blob(&self.reference, &self.descriptor.digest, from).await {
            Ok(answered) => match position(&answered, self.received, self.descriptor.size) {
                Ok(skip) => State::Reading { answered: Box::new(answered), skip },
                Err(fault) => return Err(self.mismatch(fault)),
            },
            Err(error) if from > 0 && error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE) => {
                self.ranges = false;
                State::Broken(error)
            }
            Err(error) => State::Broken(error),
        };
        Ok(())
    }

    fn next_delay(&self, error: &ClientError) -> Option<Duration> {
        let refused_range = error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE) && !self.ranges;
        let retryable = error.is_retryable() || refused_range;
        retryable.then(|| self.registry.delay(error, self.failures.count, self.failures.since.elapsed())).flatten()
    }

    /// Returns the pieces as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, ClientError>> + Send {
        try_unfold(self, async |mut this| Ok(this.chunk().await?.map(|chunk| (chunk, this))))
    }

    /// Returns a reader; its errors hold the [`ClientError`].
    pub fn into_reader(self) -> impl AsyncRead + Send {
        StreamReader::new(self.into_stream().map_err(std::io::Error::other))
    }
}

/// A size that differs from the descriptor's is known before a byte is read.
fn check_length(answered: &Answered, want: u64) -> Result<(), Fault> {
    match answered.reply.content_length() {
        Some(got) if got != want => Err(Fault::Size { want, got }),
        _ => Ok(()),
    }
}

/// Returns how many bytes to drop so that the next one is byte `offset`.
fn position(answered: &Answered, offset: u64, size: u64) -> Result<u64, Fault> {
    if answered.reply.status() != StatusCode::PARTIAL_CONTENT {
        return check_length(answered, size).map(|()| offset);
    }
    let range = answered.reply.header(header::CONTENT_RANGE).unwrap_or_default();
    match parse_range(range) {
        Some((start, total)) if start == offset && total.is_none_or(|total| total == size) => Ok(0),
        _ => Err(Fault::Protocol("the range is not the one that was asked for".to_owned())),
    }
}

/// Parses `bytes 5-9/10` or `bytes 5-9/*` to the start and the total.
pub(super) fn parse_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, _end) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((start.parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::parse_range;

    #[test]
    fn reads_content_ranges() {
        assert_eq!(parse_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_range("bytes 5-9/*"), Some((5, None)));
        for bad in ["", "bytes", "bytes 5/10", "bytes -5-9/10", "5-9/10", "bytes 5-9", "bytes */10", "bytes 5-9/x"] {
            assert_eq!(parse_range(bad), None, "{bad:?}");
        }
    }
}
