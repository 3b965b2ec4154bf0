//! The tar as a stream, each blob read as it is sent.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _, future, stream};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio_util::io::ReaderStream;

use super::{Archive, File, frame};
use crate::oci::Descriptor;
use crate::store::{BlobStore, Expect, VerifyingReader};

/// Bytes of a blob read at once.
const CHUNK: usize = 256 << 10;

/// Bytes of a blob between two reports of progress.
const REPORT: u64 = 4 << 20;

/// Is told how many bytes of a blob were read, now and then and at its end; must be quick.
pub type Progress = Arc<dyn Fn(&Descriptor, u64) + Send + Sync>;

type Chunks = stream::BoxStream<'static, io::Result<Bytes>>;

impl Archive {
    /// Returns the tar's bytes. A blob that is not what its descriptor says ends it in an error.
    pub fn into_stream(self, progress: Progress) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let Self { store, files } = self;
        let each = move |file| open(file, Arc::clone(&store), Arc::clone(&progress));
        stream::iter(files).then(each).try_flatten().chain(stream::once(future::ready(Ok(frame::end()))))
    }

    /// Writes the tar, then flushes; the writer is not shut down.
    ///
    /// # Errors
    /// The writer's, the store's, or a blob that is not what its descriptor says.
    pub async fn write_to(self, out: &mut (dyn AsyncWrite + Send + Unpin), progress: Progress) -> io::Result<()> {
        let mut chunks = std::pin::pin!(self.into_stream(progress));
        while let Some(chunk) = chunks.try_next().await? {
            out.write_all(&chunk).await?;
        }
        out.flush().await
    }
}

async fn open(file: File, store: Arc<dyn BlobStore>, progress: Progress) -> io::Result<Chunks> {
    match file {
        File::Bytes { path, bytes } => {
            let (head, tail) = frame::around(&path, bytes.len() as u64)?;
            Ok(stream::iter([Ok(head), Ok(bytes), Ok(tail)]).boxed())
        }
        File::Blob { path, descriptor } => {
            let (head, tail) = frame::around(&path, descriptor.size)?;
            let reader = store.open(&descriptor.digest, 0).await.map_err(io::Error::other)?;
            let reader = VerifyingReader::new(reader, Expect::of(&descriptor)).map_err(io::Error::other)?;
            let (mut read, mut told) = (0, 0);
            let counted = ReaderStream::with_capacity(reader, CHUNK).inspect_ok(move |chunk| {
                read += chunk.len() as u64;
                if read >= descriptor.size || read - told >= REPORT {
                    told = read;
                    progress(&descriptor, read);
                }
            });
            let (head, tail) = (stream::once(future::ready(Ok(head))), stream::once(future::ready(Ok(tail))));
            Ok(head.chain(counted).chain(tail).boxed())
        }
    }
}
