//! What requests send.
//!
//! Owns: sources of blobs, bodies of exactly the promised length, counting what went out.
//! Never: reads a source that cannot be opened again.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::ReaderStream;

use super::error::Fault;
use super::meter::Meter;
use crate::oci::{Descriptor, Reference};

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

/// A blob on its way.
pub(crate) struct Upload<'a> {
    pub(crate) reference: &'a Reference,
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) source: &'a dyn BlobSource,
    pub(crate) progress: Option<Progress>,
}

/// What a request sends.
#[derive(Clone)]
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
                let meter = Arc::new(Meter::new(*length));
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
        let sent = self.meter.add(bytes);
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
    let total = counter.meter.total();
    let pieces = ReaderStream::with_capacity(reader.take(total), PIECE);
    let pieces = pieces.map(|piece| piece.map_err(SourceFailed::from));
    let end = futures::stream::iter([None]);
    let mut seen = 0;
    let meter = Arc::clone(&counter.meter);
    let mut pieces = pieces.map(Some).chain(end).filter_map(move |piece| {
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
        if let Some(Err(error)) = &next {
            counter.meter.fail(error);
        }
        std::future::ready(next)
    });
    futures::stream::poll_fn(move |context| {
        let piece = pieces.poll_next_unpin(context);
        meter.starve(piece.is_pending());
        piece
    })
}

/// The source failed, not the connection.
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
        Counter { meter: Arc::new(Meter::new(total)), offset: 0, report: None }
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
}
