//! Sending a blob (distribution-spec, "Pushing blobs").
//!
//! Owns: mounting, the upload session, the monolithic PUT with a known length, which every registry
//! takes. Where one does not, [`super::chunked`] sends pieces. A failed upload starts a new session.
//! Never: reads a source that cannot be opened again, or builds an upload URL by itself.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{Stream, StreamExt as _};
use http::{HeaderValue, Method, StatusCode, header};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::ReaderStream;
use url::Url;

use super::Registry;
use super::auth::{Access, Scope};
use super::call::{Answered, Call, missing};
use super::endpoint::{authority, refused, resolve, with_query};
use super::error::{ClientError, ErrorKind, Fault};
use super::pool::same_origin;
use super::reply::Meter;
use crate::oci::{Algorithm, Descriptor, Reference};

/// Where a blob's bytes come from. It is opened again for each attempt.
pub trait BlobSource: Send + Sync {
    /// Opens the bytes from `offset` on.
    fn open(&self, offset: u64) -> BoxFuture<'_, io::Result<Box<dyn AsyncRead + Send + Unpin>>>;
}

/// A blob in memory.
#[derive(Debug, Clone)]
pub struct BytesSource(pub Bytes);

impl BlobSource for BytesSource {
    fn open(&self, offset: u64) -> BoxFuture<'_, io::Result<Box<dyn AsyncRead + Send + Unpin>>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let reader: Box<dyn AsyncRead + Send + Unpin> = Box::new(io::Cursor::new(self.0.slice(start..)));
        Box::pin(std::future::ready(Ok(reader)))
    }
}

/// Is told how many bytes of the blob are sent in the present attempt.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// What became of a mount.
#[derive(Debug)]
pub enum Mounted {
    /// The blob is in the repository now.
    Done,
    /// The registry opened an upload instead; pass it to [`Registry::put_blob`].
    Upload(Session),
}

/// An upload a registry has opened.
#[derive(Debug)]
pub struct Session {
    pub(super) location: Url,
    /// `OCI-Chunk-Min-Length`.
    pub(super) min_chunk: u64,
}

/// A blob on its way.
pub(crate) struct Upload<'a> {
    pub(super) reference: &'a Reference,
    pub(super) descriptor: &'a Descriptor,
    pub(super) source: &'a dyn BlobSource,
    pub(super) progress: Option<Progress>,
}

impl Registry {
    /// Makes a blob of another repository of the same registry part of this one.
    ///
    /// # Errors
    /// See [`ClientError::kind`]; a registry that cannot mount opens an upload, which is no error.
    pub async fn mount_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        from: &Reference,
    ) -> Result<Mounted, ClientError> {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("mount", &descriptor.digest.to_string())
            .append_pair("from", from.repository())
            .finish();
        let mut call = Call::new(reference, Access::Push, Method::POST, &format!("blobs/uploads/?{query}"));
        call.scopes.insert(Scope { repository: from.repository().to_owned(), access: Access::Pull });
        let answered = self.call(&call).await?;
        match answered.reply.status() {
            StatusCode::CREATED => Ok(Mounted::Done),
            StatusCode::ACCEPTED => self.session(reference, &answered, &Method::POST).map(Mounted::Upload),
            status => Err(unexpected(&answered, reference, &Method::POST, status)),
        }
    }

    /// Sends a blob of known length. The upload goes on in `session` if a mount has opened one.
    ///
    /// # Errors
    /// [`ErrorKind::Local`] if the source fails, [`ErrorKind::Mismatch`] if it has another length, and others.
    pub async fn put_blob(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        source: &dyn BlobSource,
        progress: Option<Progress>,
    ) -> Result<(), ClientError> {
        let upload = Upload { reference, descriptor, source, progress };
        let size = descriptor.size;
        if wants_chunks(reference.host(), size) {
            return self.retrying(|| self.put_chunked(&upload)).await;
        }
        let whole = self
            .retrying(|| async {
                let session = self.open_session(&upload).await?;
                self.put_whole(&upload, session).await
            })
            .await;
        match whole {
            Err(error) if rejects_size(&error) && size > 0 => {
                tracing::debug!(host = reference.host(), size, "registry refuses the blob in one piece");
                self.retrying(|| self.put_chunked(&upload)).await
            }
            done => done,
        }
    }

    /// Continues the upload that a mount has opened; if that fails, starts over.
    ///
    /// # Errors
    /// As [`Registry::put_blob`].
    pub async fn put_blob_into(
        &self,
        session: Session,
        (reference, descriptor): (&Reference, &Descriptor),
        source: &dyn BlobSource,
        progress: Option<Progress>,
    ) -> Result<(), ClientError> {
        if !wants_chunks(reference.host(), descriptor.size) {
            let upload = Upload { reference, descriptor, source, progress: progress.clone() };
            match self.put_whole(&upload, session).await {
                Err(error) if error.is_retryable() || rejects_size(&error) || error.kind() == ErrorKind::NotFound => {}
                done => return done,
            }
        }
        self.put_blob(reference, descriptor, source, progress).await
    }

    /// Opens an upload. Not repeated here: the caller repeats the whole upload.
    pub(super) async fn open_session(&self, upload: &Upload<'_>) -> Result<Session, ClientError> {
        // Newer text of the specification; others ignore it.
        let query = match upload.descriptor.digest.algorithm() {
            Algorithm::Sha512 => "?digest-algorithm=sha512",
            _ => "",
        };
        let path = format!("blobs/uploads/{query}");
        let answered = self.attempt(&Call::new(upload.reference, Access::Push, Method::POST, &path)).await?;
        self.session(upload.reference, &answered, &Method::POST)
    }

    async fn put_whole(&self, upload: &Upload<'_>, session: Session) -> Result<(), ClientError> {
        let url = with_query(&session.location, "digest", &upload.descriptor.digest.to_string());
        let payload = Payload::Part { upload, offset: 0, length: upload.descriptor.size };
        let octets = HeaderValue::from_static("application/octet-stream");
        let call = Call::new(upload.reference, Access::Push, Method::PUT, "")
            .at(url)
            .header(header::CONTENT_TYPE, octets)
            .payload(payload);
        let answered = self.attempt(&call).await?;
        self.finished(upload, &answered)
    }

    /// The blob is stored only with 201, and only under the digest that was asked for.
    pub(super) fn finished(&self, upload: &Upload<'_>, answered: &Answered) -> Result<(), ClientError> {
        let status = answered.reply.status();
        if !matches!(status, StatusCode::CREATED | StatusCode::OK | StatusCode::NO_CONTENT) {
            return Err(unexpected(answered, upload.reference, &Method::PUT, status));
        }
        let claimed = answered.reply.header("docker-content-digest").and_then(|text| text.parse().ok());
        let want = &upload.descriptor.digest;
        match claimed {
            Some(got) if got != *want => {
                let fault = Fault::Digest { want: want.clone(), got };
                Err(answered.fault(upload.reference, &Method::PUT, fault))
            }
            _ => Ok(()),
        }
    }

    /// Reads where the upload goes on.
    pub(super) fn session(
        &self,
        reference: &Reference,
        answered: &Answered,
        method: &Method,
    ) -> Result<Session, ClientError> {
        let location = answered.reply.header(header::LOCATION).ok_or_else(|| missing("upload"));
        let checked = location.and_then(|text| {
            let url = resolve(&answered.url, text)?;
            let listed = || {
                let settings = self.inner.config.host(reference.host());
                settings.is_some_and(|settings| settings.upload_hosts.contains(&authority(&url)))
            };
            if same_origin(&answered.base, &url) || listed() {
                return Ok(url);
            }
            Err(refused(&url, "it is an upload location on another host"))
        });
        let location = checked.map_err(|fault| answered.fault(reference, method, fault))?;
        let min_chunk = answered.reply.header("oci-chunk-min-length").and_then(|text| text.trim().parse().ok());
        Ok(Session { location, min_chunk: min_chunk.unwrap_or(0) })
    }
}

fn unexpected(answered: &Answered, reference: &Reference, method: &Method, status: StatusCode) -> ClientError {
    answered.fault(reference, method, Fault::Protocol(format!("an upload was answered with {status}")))
}

/// Registries that limit the body of one PUT: suffix of the host, largest body in bytes.
const PUT_LIMITS: [(&str, u64); 1] = [
    // ACR breaks off a streaming PUT of more than about 20 MB.
    (".azurecr.io", 20_000_000),
];

fn wants_chunks(host: &str, size: u64) -> bool {
    PUT_LIMITS.iter().any(|(suffix, limit)| host.ends_with(suffix) && size > *limit)
}

/// The registry, or a proxy before it, does not take the blob in one PUT.
fn rejects_size(error: &ClientError) -> bool {
    matches!(
        error.status(),
        Some(StatusCode::PAYLOAD_TOO_LARGE | StatusCode::LENGTH_REQUIRED | StatusCode::METHOD_NOT_ALLOWED)
    )
}

/// What a request sends.
pub(crate) enum Payload<'a> {
    Empty,
    Bytes(Bytes),
    Part { upload: &'a Upload<'a>, offset: u64, length: u64 },
}

/// A body ready to be sent once.
pub(crate) struct Opened {
    pub(crate) body: Option<reqwest::Body>,
    pub(crate) length: Option<u64>,
    pub(crate) meter: Option<Arc<Meter>>,
}

impl Payload<'_> {
    /// Opens the body for one attempt.
    pub(crate) async fn open(&self) -> Result<Opened, Fault> {
        match self {
            Self::Empty => Ok(Opened { body: None, length: Some(0), meter: None }),
            Self::Bytes(bytes) => {
                let length = Some(bytes.len() as u64);
                Ok(Opened { body: Some(bytes.clone().into()), length, meter: None })
            }
            Self::Part { upload, offset, length } => {
                let reader = upload.source.open(*offset).await.map_err(Fault::Source)?;
                let meter = Arc::new(Meter { sent: AtomicU64::new(0), total: *length });
                let report = upload.progress.clone();
                let counter = Counter { meter: Arc::clone(&meter), offset: *offset, report };
                let body = reqwest::Body::wrap_stream(counted(reader, counter));
                Ok(Opened { body: Some(body), length: Some(*length), meter: Some(meter) })
            }
        }
    }
}

struct Counter {
    meter: Arc<Meter>,
    offset: u64,
    report: Option<Progress>,
}

impl Counter {
    fn add(&self, bytes: u64) {
        let sent = self.meter.sent.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(report) = &self.report {
            report(self.offset + sent);
        }
    }
}

/// Bytes read at once. Larger pieces save system calls, smaller ones memory per upload.
const PIECE: usize = 128 << 10;

/// Yields exactly the promised number of bytes or an error: a body shorter than its header would
/// leave the registry waiting.
fn counted(
    reader: Box<dyn AsyncRead + Send + Unpin>,
    counter: Counter,
) -> impl Stream<Item = Result<Bytes, SourceFailed>> + Send {
    let total = counter.meter.total;
    let pieces = ReaderStream::with_capacity(reader.take(total), PIECE);
    let pieces = pieces.map(|piece| piece.map_err(SourceFailed::from));
    let end = futures::stream::iter([None]);
    let mut seen = 0;
    pieces.map(Some).chain(end).filter_map(move |piece| {
        let next = match piece {
            Some(Ok(piece)) => {
                seen += piece.len() as u64;
                counter.add(piece.len() as u64);
                Some(Ok(piece))
            }
            Some(Err(error)) => Some(Err(error)),
            None if seen < total => Some(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())),
            None => None,
        };
        std::future::ready(next)
    })
}

/// The source failed, not the connection; found again in the chain of a transport error.
#[derive(Debug, Clone)]
pub(super) struct SourceFailed(Arc<io::Error>);

impl SourceFailed {
    /// Returns an I/O error of the same kind with the failure as its cause.
    pub(super) fn to_io(&self) -> io::Error {
        io::Error::new(self.0.kind(), self.clone())
    }
}

impl From<io::Error> for SourceFailed {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Display for SourceFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl std::error::Error for SourceFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(total: u64) -> Counter {
        Counter { meter: Arc::new(Meter { sent: AtomicU64::new(0), total }), offset: 0, report: None }
    }

    #[tokio::test]
    async fn a_source_of_another_length_fails() {
        for (total, want) in [(3, Some(3)), (5, Some(5)), (6, None)] {
            let reader = BytesSource(Bytes::from_static(b"hello")).open(0).await.unwrap();
            let pieces: Vec<_> = counted(reader, counter(total)).collect().await;
            let all: Result<Vec<Bytes>, _> = pieces.into_iter().collect();
            assert_eq!(all.ok().map(|all| all.concat().len()), want, "{total}");
        }
    }

    #[test]
    fn only_known_registries_want_chunks() {
        assert!(wants_chunks("me.azurecr.io", 20_000_001));
        assert!(!wants_chunks("me.azurecr.io", 1000));
        assert!(!wants_chunks("ghcr.io", u64::MAX));
    }
}
