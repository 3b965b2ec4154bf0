//! A response stream together with the task that feeds it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bollard_buildkit_proto::fsutil::types::Packet;
use futures::{FutureExt, Stream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

/// Packets buffered between a transfer and the connection; with 32 KiB of data each, 2 MiB.
const BUFFERED: usize = 64;

/// Packets to the daemon. Owns the transfer: dropping the stream, as the server does when the call ends, ends it.
pub struct PacketStream {
    packets: mpsc::Receiver<Packet>,
    task: Option<AbortOnDropHandle<Result<(), Status>>>,
}

impl PacketStream {
    /// Starts the transfer that `make` returns for a sender.
    ///
    /// It is a task of its own so that requests are read also while the connection cannot take more data.
    pub(super) fn start<F>(make: impl FnOnce(mpsc::Sender<Packet>) -> F) -> Self
    where
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let (sender, packets) = mpsc::channel(BUFFERED);
        Self { packets, task: Some(AbortOnDropHandle::new(tokio::spawn(make(sender)))) }
    }

    fn poll_task(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Packet, Status>>> {
        let Some(task) = &mut self.task else { return Poll::Ready(None) };
        let ended = futures::ready!(task.poll_unpin(cx));
        self.task = None;
        Poll::Ready(match ended {
            Ok(Ok(())) => None,
            Ok(Err(status)) => Some(Err(status)),
            Err(e) => Some(Err(Status::aborted(format!("file transfer interrupted: {e}")))),
        })
    }
}

impl Stream for PacketStream {
    type Item = Result<Packet, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match futures::ready!(self.packets.poll_recv(cx)) {
            Some(packet) => Poll::Ready(Some(Ok(packet))),
            None => self.poll_task(cx),
        }
    }
}
