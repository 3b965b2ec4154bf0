//! The tar as a stream, each blob read as it is sent.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use polyarch_registry::oci::{Descriptor, Digest};
use polyarch_registry::store::{BlobStore, Expect, VerifyingReader};
use tokio_util::io::ReaderStream;

use super::{LoadSpec, Part};
use crate::event::{Direction, EventKind, TransferHow};
use crate::event_sink::EventSink;

/// Bytes of a blob read at once.
const CHUNK: usize = 256 << 10;
/// Bytes between two reports of progress.
const REPORT: u64 = 4 << 20;
const BLOCK: usize = 512;

type Chunks = futures::stream::BoxStream<'static, io::Result<Bytes>>;

/// Returns the tar of `parts`. A blob that is not what its descriptor says ends it in an error.
pub(super) fn body(parts: Vec<Part>, spec: &LoadSpec) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (store, events) = (Arc::clone(&spec.store), spec.events.clone());
    let end = stream::iter([Ok(Bytes::from_static(&[0; 2 * BLOCK]))]);
    let files = stream::iter(parts).then(move |part| file(part, Arc::clone(&store), events.clone()));
    files.try_flatten().chain(end)
}

async fn file(part: Part, store: Arc<dyn BlobStore>, events: EventSink) -> io::Result<Chunks> {
    match part {
        Part::Bytes { path, bytes } => {
            let (head, tail) = frame(&path, bytes.len() as u64)?;
            Ok(stream::iter([Ok(head), Ok(bytes), Ok(tail)]).boxed())
        }
        Part::Blob { path, descriptor } => {
            let (head, tail) = frame(&path, descriptor.size)?;
            let reader = store.open(&descriptor.digest, 0).await.map_err(io::Error::other)?;
            let reader = VerifyingReader::new(reader, Expect::of(&descriptor)).map_err(io::Error::other)?;
            let chunks = ReaderStream::with_capacity(reader, CHUNK);
            let mut progress = Progress::new(*descriptor, events);
            let counted = chunks.inspect_ok(move |chunk| progress.add(chunk.len() as u64));
            Ok(stream::iter([Ok(head)]).chain(counted).chain(stream::once(future::ready(Ok(tail)))).boxed())
        }
    }
}

/// Returns the header and the padding of a file. The same file has the same header, whoever sends it.
fn frame(path: &str, size: u64) -> io::Result<(Bytes, Bytes)> {
    let mut header = tar::Header::new_gnu();
    header.set_path(path)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    let padding = (size.next_multiple_of(BLOCK as u64) - size) as usize;
    Ok((Bytes::copy_from_slice(header.as_bytes()), Bytes::from_static(&[0; BLOCK]).slice(..padding)))
}

/// Reports a blob's progress, seldom.
struct Progress {
    digest: Digest,
    total: u64,
    current: u64,
    reported: u64,
    events: EventSink,
}

impl Progress {
    fn new(descriptor: Descriptor, events: EventSink) -> Self {
        Self { digest: descriptor.digest, total: descriptor.size, current: 0, reported: 0, events }
    }

    fn add(&mut self, bytes: u64) {
        let direction = Direction::ToDaemon;
        self.current += bytes;
        let digest = || self.digest.clone();
        if self.current >= self.total {
            self.events.send(EventKind::TransferDone { digest: digest(), direction, how: TransferHow::Sent });
        } else if self.current - self.reported >= REPORT {
            self.reported = self.current;
            let (current, total) = (self.current, self.total);
            self.events.send(EventKind::Transfer { digest: digest(), direction, current, total });
        }
    }
}
