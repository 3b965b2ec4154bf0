//! Streamed answers whose work runs inside the stream itself, so that no task is detached.

use std::future::Future;
use std::pin::Pin;

use futures::stream::{self, Stream, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// A streamed gRPC answer.
pub(super) type Reply<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Messages waiting for the peer to read them.
const QUEUE: usize = 4;

/// Runs `work`, which sends messages; its error ends the answer after them. Dropping the answer drops the work.
pub(super) fn driven<T, F>(work: impl FnOnce(mpsc::Sender<T>) -> F) -> Reply<T>
where
    T: Send + 'static,
    F: Future<Output = Result<(), Status>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(QUEUE);
    let (failed, failure) = oneshot::channel();
    let work = work(sender);
    let worker = stream::once(async move {
        if let Err(status) = work.await {
            // The receiver lives in the same stream.
            let _ = failed.send(status);
        }
    });
    let messages =
        stream::select(ReceiverStream::new(receiver).map(|message| Some(Ok(message))), worker.map(|()| None));
    let last = stream::once(failure).map(|status| status.ok().map(Err));
    Box::pin(messages.chain(last).filter_map(std::future::ready))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_come_before_the_error() {
        let reply = driven(|out| async move {
            for n in 0..10 {
                out.send(n).await.unwrap();
            }
            Err(Status::not_found("end"))
        });
        let items: Vec<_> = reply.collect().await;
        assert_eq!(items.len(), 11);
        assert!(items[..10].iter().enumerate().all(|(n, item)| matches!(item, Ok(m) if *m == n)));
        assert_eq!(items[10].as_ref().unwrap_err().code(), tonic::Code::NotFound);
    }

    #[tokio::test]
    async fn success_ends_the_answer() {
        let reply = driven(|out| async move { out.send(1).await.map_err(|_| Status::aborted("")) });
        assert_eq!(reply.map(|item| item.unwrap()).collect::<Vec<i32>>().await, [1]);
    }
}
