//! Bytes of a session's inner HTTP/2 connection, carried by the outer gRPC stream.
//!
//! Owns: the two directions as one `AsyncRead + AsyncWrite`. Never: buffers more than one message.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bollard_buildkit_proto::moby::buildkit::v1::BytesMessage;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::io::StreamReader;
use tokio_util::sync::PollSender;
use tonic::Streaming;

/// Bytes per message, as BuildKit's own client sends them.
const CHUNK: usize = 32 << 10;

/// One session's byte stream.
pub(super) struct Tunnel {
    incoming: StreamReader<BoxStream<'static, io::Result<Bytes>>, Bytes>,
    outgoing: PollSender<BytesMessage>,
}

impl Tunnel {
    pub(super) fn new(incoming: Streaming<BytesMessage>, outgoing: mpsc::Sender<BytesMessage>) -> Self {
        let bytes = incoming.map_ok(|message| Bytes::from(message.data)).map_err(io::Error::other).boxed();
        Self { incoming: StreamReader::new(bytes), outgoing: PollSender::new(outgoing) }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let chunk = ready!(Pin::new(&mut self.incoming).poll_fill_buf(cx))?;
        let length = chunk.len().min(buffer.remaining());
        buffer.put_slice(&chunk[..length]);
        Pin::new(&mut self.incoming).consume(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let closed = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.outgoing.poll_reserve(cx)).map_err(closed)?;
        let length = bytes.len().min(CHUNK);
        self.outgoing.send_item(BytesMessage { data: bytes[..length].to_vec() }).map_err(closed)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outgoing.close();
        Poll::Ready(Ok(()))
    }
}
