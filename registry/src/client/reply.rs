//! Sending one request and reading its answer within bounds.
//!
//! Owns: timeouts, byte budgets, turning a bad status into a fault. Never: retries or redirects.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::envelope::parse_envelope;
use super::error::{Fault, transport_fault};
use super::limits::Limits;
use super::meter::Meter;
use super::retry::parse_retry_after;
use super::text::untrusted;

/// Sends a request. The idle limit counts from the last byte that went out, so that a long upload is
/// not a silent one, and only while there are bytes to send: a source may be slower than any registry.
/// Once all is sent the response limit counts.
pub(crate) async fn send(
    client: &reqwest::Client,
    request: reqwest::Request,
    limits: &Limits,
    meter: Option<Arc<Meter>>,
) -> Result<reqwest::Response, Fault> {
    let answered = answer(client, request, limits, meter.as_deref()).await;
    // HTTP/2 only resets the stream when its body fails, so the transport does not always know why.
    answered.map_err(|fault| meter.and_then(|meter| meter.failure()).map_or(fault, Fault::Source))
}

async fn answer(
    client: &reqwest::Client,
    request: reqwest::Request,
    limits: &Limits,
    meter: Option<&Meter>,
) -> Result<reqwest::Response, Fault> {
    let sending = client.execute(request);
    tokio::pin!(sending);
    let sent = || meter.map_or(0, Meter::sent);
    loop {
        let before = sent();
        let done = meter.is_none_or(|meter| before >= meter.total());
        let limit = if done { limits.response_timeout } else { limits.idle_timeout };
        match tokio::time::timeout(limit, &mut sending).await {
            Ok(answer) => return answer.map_err(transport_fault),
            Err(_) if sent() > before || meter.is_some_and(Meter::is_starved) => {}
            Err(_) => {
                let what = if done { "answer" } else { "progress in sending" };
                return Err(Fault::Timeout { what, after: limit });
            }
        }
    }
}

/// How fast a body arrives, counting only the time this side waits for it.
#[derive(Debug, Default)]
struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Adds a wait and what it brought; returns whether it is too slow.
    fn add(&mut self, waited: Duration, bytes: usize, limits: &Limits) -> bool {
        self.waited += waited;
        self.bytes += bytes as u64;
        if self.waited < limits.idle_timeout {
            return false;
        }
        let window = std::mem::take(self);
        window.bytes < limits.idle_bytes
    }
}

/// An answer whose body is still to be read.
pub(crate) struct Reply {
    response: reqwest::Response,
    limits: Limits,
    pace: Pace,
    /// Keeps the host's slot until the body is read.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Reply {
    pub(crate) fn new(response: reqwest::Response, permit: Option<OwnedSemaphorePermit>, limits: &Limits) -> Self {
        Self { response, limits: limits.clone(), pace: Pace::default(), _permit: permit }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Returns a header's text, if it is there and is text.
    pub(crate) fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Returns the media type without parameters, lower-case.
    pub(crate) fn media_type(&self) -> Option<String> {
        let value = self.header(header::CONTENT_TYPE)?.split(';').next()?.trim().to_ascii_lowercase();
        (!value.is_empty()).then_some(value)
    }

    /// Returns the announced length. A HEAD's body is empty, so the header counts, not the body.
    pub(crate) fn content_length(&self) -> Option<u64> {
        self.header(header::CONTENT_LENGTH)?.trim().parse().ok()
    }

    /// Returns the next piece of the body.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Fault> {
        let limit = self.limits.idle_timeout;
        let silence = Fault::Timeout { what: "bytes received", after: limit };
        let start = Instant::now();
        let Ok(chunk) = tokio::time::timeout(limit, self.response.chunk()).await else { return Err(silence) };
        let chunk = chunk.map_err(transport_fault)?;
        let bytes = chunk.as_ref().map_or(0, Bytes::len);
        let slow = chunk.is_some() && self.pace.add(start.elapsed(), bytes, &self.limits);
        if slow { Err(silence) } else { Ok(chunk) }
    }

    /// Returns the whole body, at most `limit` bytes.
    pub(crate) async fn bytes(&mut self, what: &'static str, limit: usize) -> Result<Bytes, Fault> {
        let too_large = || Fault::TooLarge { what, limit: limit as u64 };
        if self.content_length().is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Fails unless this is a successful answer of an API: no web page, no transport encoding.
    pub(crate) async fn check_api(&mut self) -> Result<(), Fault> {
        if self.is_page() && matches!(self.status().as_u16(), 200..400 | 404 | 405) {
            let content_type = untrusted(&self.media_type().unwrap_or_default(), 64);
            return Err(Fault::NotARegistry { status: self.status(), content_type });
        }
        self.check_blob().await
    }

    /// Fails unless this is success; a storage service may give a blob any media type.
    pub(crate) async fn check_blob(&mut self) -> Result<(), Fault> {
        let encoding = self.header(header::CONTENT_ENCODING).unwrap_or("identity");
        if !encoding.eq_ignore_ascii_case("identity") {
            // A decoder would be one more thing that a small body can blow up.
            return Err(Fault::Protocol(format!("the body is encoded as {:?}", untrusted(encoding, 32))));
        }
        if self.status().is_success() { Ok(()) } else { Err(self.failure().await) }
    }

    fn is_page(&self) -> bool {
        matches!(self.media_type().as_deref(), Some("text/html" | "application/xhtml+xml"))
    }

    /// Reads the bounded error body; that it breaks or is too long does not hide the status.
    async fn failure(&mut self) -> Fault {
        let retry_after = self.header(header::RETRY_AFTER).and_then(|v| parse_retry_after(v, SystemTime::now()));
        let status = self.status();
        let body = self.bytes("error", self.limits.error_bytes).await.unwrap_or_default();
        Fault::Status { status, errors: parse_envelope(&body), retry_after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_now_and_then_is_silence() {
        let limits = Limits { idle_timeout: Duration::from_secs(60), idle_bytes: 100, ..Limits::default() };
        let seconds = Duration::from_secs;
        let mut slow = Pace::default();
        assert_eq!([slow.add(seconds(30), 1, &limits), slow.add(seconds(30), 1, &limits)], [false, true]);
        let mut steady = Pace::default();
        assert!((0..100).all(|_| !steady.add(seconds(30), 50, &limits)));
        let mut quick = Pace::default();
        assert!((0..100).all(|_| !quick.add(Duration::ZERO, 1, &limits)), "only waiting counts");
    }
}
