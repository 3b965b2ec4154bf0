//! Sending a blob in pieces (distribution-spec, "Pushing a blob in chunks").
//!
//! Owns: PATCH in order, the latest `Location` after each, asking a session where it stands.
//! Never: used unless a registry wants it: some (GHCR, GAR) do it wrong.

use std::time::Instant;

use http::{HeaderValue, Method, StatusCode, header};

use super::Registry;
use super::auth::Access;
use super::call::{Answered, Call};
use super::endpoint::with_query;
use super::error::{ClientError, Fault};
use super::payload::{Payload, Upload};
use super::upload::Session;

impl Registry {
    /// Sends the blob by PATCH requests in one session.
    pub(super) async fn put_chunked(&self, upload: &Upload<'_>) -> Result<(), ClientError> {
        let size = upload.descriptor.size;
        let mut session = self.open_session(upload).await?;
        let chunk = self.inner.config.limits.chunk_bytes.max(session.min_chunk).max(1);
        let mut offset = 0;
        let mut progress = Progress::new();
        while offset < size {
            let length = chunk.min(size - offset);
            match self.patch(upload, &session, (offset, length)).await {
                Ok(next) => {
                    (session, offset) = (next, offset + length);
                    progress.reached(offset, chunk);
                }
                Err(error) => {
                    progress.failures += 1;
                    let stale = error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE);
                    let delay = self.delay(&error, progress.failures, progress.since.elapsed());
                    let Some(delay) = delay.filter(|_| stale || error.is_retryable()) else { return Err(error) };
                    self.notice(&error, progress.failures, delay);
                    tokio::time::sleep(delay).await;
                    (session, offset) = self.where_it_stands(upload, &session).await?;
                }
            }
        }
        let url = with_query(&session.location, "digest", &upload.descriptor.digest.to_string());
        let call = Call::new(upload.reference, Access::Push, Method::PUT, "").at(url);
        let answered = self.attempt(&call).await?;
        self.finished(upload, &answered)
    }

    async fn patch(
        &self,
        upload: &Upload<'_>,
        session: &Session,
        (offset, length): (u64, u64),
    ) -> Result<Session, ClientError> {
        // Inclusive, and without the `bytes` unit of RFC 9110.
        let range = format!("{offset}-{}", offset + length - 1);
        let mut call = Call::new(upload.reference, Access::Push, Method::PATCH, "")
            .at(session.location.clone())
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .payload(Payload::Part { upload, offset, length });
        if let Ok(range) = HeaderValue::from_str(&range) {
            call = call.header(header::CONTENT_RANGE, range);
        }
        let answered = self.attempt(&call).await?;
        let next = self.session(upload.reference, &answered, &Method::PATCH)?;
        Ok(Session { min_chunk: session.min_chunk, ..next })
    }

    /// Asks the registry how much it has: `Range: 0-N` means N+1 bytes.
    async fn where_it_stands(&self, upload: &Upload<'_>, session: &Session) -> Result<(Session, u64), ClientError> {
        let call = Call::new(upload.reference, Access::Push, Method::GET, "").at(session.location.clone());
        let answered = self.call(&call).await?;
        let offset = received(&answered, upload.descriptor.size);
        let offset = offset.map_err(|fault| answered.fault(upload.reference, &Method::GET, fault))?;
        let next = match answered.reply.header(header::LOCATION) {
            Some(_) => self.session(upload.reference, &answered, &Method::GET)?,
            None => Session { location: session.location.clone(), min_chunk: 0 },
        };
        Ok((Session { min_chunk: session.min_chunk, ..next }, offset))
    }
}

/// What bounds the attempts: a registry that forgets what it acknowledged must not be sent it for ever.
struct Progress {
    /// How far the upload was when `failures` and `since` last began anew.
    mark: u64,
    failures: u32,
    since: Instant,
}

impl Progress {
    fn new() -> Self {
        Self { mark: 0, failures: 0, since: Instant::now() }
    }

    /// Begins anew when a whole chunk went past the furthest point so far; bytes sent again do not count.
    fn reached(&mut self, offset: u64, chunk: u64) {
        if offset >= self.mark.saturating_add(chunk) {
            *self = Self { mark: offset, ..Self::new() };
        }
    }
}

fn received(answered: &Answered, size: u64) -> Result<u64, Fault> {
    let wrong = || Fault::Protocol("the upload's state has no usable Range".to_owned());
    let range = answered.reply.header(header::RANGE).ok_or_else(wrong)?;
    stands_at(range).filter(|offset| *offset <= size).ok_or_else(wrong)
}

/// Parses `0-N`, with or without the `bytes=` some add. `0-0` of an empty upload is what
/// distribution sends, so one byte is never taken for received.
fn stands_at(range: &str) -> Option<u64> {
    let (start, end) = range.trim().trim_start_matches("bytes=").split_once('-')?;
    let end: u64 = end.trim().parse().ok()?;
    match (start.trim(), end) {
        ("0", 0) => Some(0),
        ("0", end) => end.checked_add(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::stands_at;

    #[test]
    fn reads_where_an_upload_stands() {
        for (range, want) in [
            ("0-9", Some(10)),
            ("bytes=0-9", Some(10)),
            ("0-0", Some(0)),
            ("5-9", None),
            ("0--1", None),
            ("", None),
            ("0-18446744073709551615", None),
        ] {
            assert_eq!(stands_at(range), want, "{range:?}");
        }
    }
}
