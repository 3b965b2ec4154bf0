//! Results that come as a tar of an OCI layout, from daemons that cannot send content by digest.
//!
//! Owns: a sink that takes such a stream apart into the store, each blob checked against its name. The stream's reader
//! works while bytes are written into it; there is no task. Never: believes the layout's own index.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use polyarch_registry::oci::Digest;
use polyarch_registry::store::{BlobStore, Expect, StoreError};
use polyarch_registry::verify::chain;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

use crate::buildkit::session::{ExportStream, Sink, SinkFactory};
use crate::classic::TarError;
use crate::classic::tar_stream::{Entry, Kind, TarStream};
use crate::event::{Direction, EventKind, TransferHow};
use crate::event_sink::EventSink;

/// Bytes between the daemon's stream and the tar's reader.
const PIPE: usize = 256 << 10;
/// Bytes of a blob handled at once.
const CHUNK: usize = 256 << 10;
/// Entries accepted in one tar; an image has some hundred blobs.
const MOST_ENTRIES: usize = 10_000;

/// Takes exported tars apart into a store.
pub struct TarImport {
    /// Where blobs go.
    pub store: Arc<dyn BlobStore>,
    /// For transfers.
    pub events: EventSink,
}

/// Why a tar was not taken.
#[derive(Debug, thiserror::Error)]
enum ImportError {
    #[error("the exported tar cannot be read")]
    Tar(#[from] TarError),
    #[error("the exported tar has more than {MOST_ENTRIES} entries")]
    TooManyEntries,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The session keeps a store's error as what it is; of others the text is all that gets to the daemon, and back.
impl From<ImportError> for io::Error {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Store(error) => Self::other(error),
            error => Self::other(chain(&error)),
        }
    }
}

impl SinkFactory for TarImport {
    fn open<'a>(&'a self, _: &'a ExportStream) -> BoxFuture<'a, io::Result<Sink>> {
        let (pipe, reader) = tokio::io::duplex(PIPE);
        let work = import(reader, Arc::clone(&self.store), self.events.clone());
        let work = work.map_err(io::Error::from).boxed();
        let sink: Sink = Box::new(Importing { pipe, work: Some(work) });
        async move { Ok(sink) }.boxed()
    }
}

async fn import(
    reader: impl AsyncRead + Unpin,
    store: Arc<dyn BlobStore>,
    events: EventSink,
) -> Result<(), ImportError> {
    let mut tar = TarStream::new(reader);
    let mut entries = 0;
    while let Some(entry) = tar.next().await? {
        entries += 1;
        if entries > MOST_ENTRIES {
            return Err(ImportError::TooManyEntries);
        }
        let Some(digest) = blob(&entry) else { continue };
        let how = match store.stat(&digest).await? {
            Some(size) if size == entry.size => TransferHow::Present,
            _ => {
                let expect = Expect { digest: Some(digest.clone()), size: Some(entry.size) };
                let mut writer = store.writer(expect).await?;
                loop {
                    let chunk = tar.chunk(CHUNK).await?;
                    if chunk.is_empty() {
                        break;
                    }
                    writer.write(chunk).await?;
                }
                writer.commit().await?;
                TransferHow::Sent
            }
        };
        events.send(EventKind::TransferDone { digest, direction: Direction::IntoStore, how });
    }
    Ok(())
}

/// The digest a file of a layout is named after (image-spec, image-layout.md, "Blobs").
fn blob(entry: &Entry) -> Option<Digest> {
    let (algorithm, encoded) = entry.path.strip_prefix("blobs/")?.split_once('/')?;
    (entry.kind == Kind::File).then(|| format!("{algorithm}:{encoded}").parse().ok())?
}

/// A pipe and the work on its other end.
struct Importing {
    pipe: DuplexStream,
    /// `None` when the tar has ended.
    work: Option<BoxFuture<'static, io::Result<()>>>,
}

impl Importing {
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(work) = &mut self.work else { return Poll::Ready(Ok(())) };
        let done = ready!(work.poll_unpin(cx));
        self.work = None;
        Poll::Ready(done)
    }
}

impl AsyncWrite for Importing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.poll_work(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // After its end mark a tar is padded.
            Poll::Ready(Ok(())) => Poll::Ready(Ok(bytes.len())),
            Poll::Pending => Pin::new(&mut self.pipe).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.pipe).poll_shutdown(cx))?;
        self.poll_work(cx)
    }
}

#[cfg(test)]
mod tests {
    use polyarch_registry::store::{BlobStoreExt, MemoryStore};
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, path, *content).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn path(content: &[u8]) -> String {
        format!("blobs/sha256/{}", Digest::sha256(content).encoded())
    }

    /// Writes in pieces of this size, as a daemon does, and shuts the sink down.
    async fn send(store: &Arc<MemoryStore>, bytes: &[u8], piece: usize) -> Result<Vec<TransferHow>, String> {
        let (events, mut told) = EventSink::channel();
        let import = TarImport { store: store.clone(), events };
        let mut sink = import.open(&ExportStream::default()).await.unwrap();
        let sent = async {
            for chunk in bytes.chunks(piece) {
                sink.write_all(chunk).await?;
            }
            sink.shutdown().await
        };
        sent.await.map_err(|error| error.to_string())?;
        let hows = std::iter::from_fn(|| told.try_recv().ok()).filter_map(|event| match event.kind {
            EventKind::TransferDone { how, .. } => Some(how),
            _ => None,
        });
        Ok(hows.collect())
    }

    #[tokio::test]
    async fn every_blob_enters_the_store_once() {
        let (layer, config) = (vec![7; 3 * CHUNK + 5], b"{}".to_vec());
        let bytes = tar(&[
            ("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}"),
            (&path(&layer), &layer),
            (&path(&config), &config),
            ("index.json", b"not even JSON"),
            ("blobs/sha256/README", b"no digest"),
        ]);
        for piece in [1000, 32 << 10, bytes.len()] {
            let store = Arc::new(MemoryStore::new());
            assert_eq!(send(&store, &bytes, piece).await.unwrap(), [TransferHow::Sent, TransferHow::Sent]);
            assert_eq!(store.read_bytes(&Digest::sha256(&layer), 1 << 30).await.unwrap(), layer);
            assert_eq!(send(&store, &bytes, piece).await.unwrap(), [TransferHow::Present, TransferHow::Present]);
        }
    }

    #[tokio::test]
    async fn a_blob_that_is_not_what_its_name_says_ends_the_export() {
        let store = Arc::new(MemoryStore::new());
        let error = send(&store, &tar(&[(&path(b"good"), b"evil")]), 512).await.unwrap_err();
        assert!(error.contains(&Digest::sha256("evil").to_string()), "{error}");
        assert_eq!(store.stat(&Digest::sha256("good")).await.unwrap(), None);
        assert_eq!(store.stat(&Digest::sha256("evil")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_tar_that_is_cut_short_is_an_error_at_its_end() {
        let store = Arc::new(MemoryStore::new());
        let bytes = tar(&[(&path(&[1; 4000]), &[1; 4000])]);
        let error = send(&store, &bytes[..2000], 512).await.unwrap_err();
        assert!(error.contains("cut short"), "{error}");
        let error = send(&store, b"no tar at all, but as long as a header is".repeat(20).as_slice(), 512).await;
        assert!(error.unwrap_err().contains("the exported tar cannot be read"));
    }

    #[tokio::test]
    async fn entries_are_counted() {
        let names: Vec<String> = (0..=MOST_ENTRIES).map(|n| format!("f{n}")).collect();
        let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
        let error = send(&Arc::new(MemoryStore::new()), &tar(&files), 64 << 10).await.unwrap_err();
        assert!(error.contains("more than"), "{error}");
    }
}
