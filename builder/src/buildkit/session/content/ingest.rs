//! One `Write` call: a blob arriving in lock step.
//!
//! Owns: the protocol of containerd's `content.proto`, WriteContentRequest: each message is answered before
//! the next is sent. Never: makes anything visible before the store's writer checked digest and size.

use std::sync::Arc;
use std::time::SystemTime;

use polyarch_registry::oci::Digest;
use polyarch_registry::store::{BlobStore, BlobWriter, Committed, Expect, StoreError};
use prost_types::Timestamp;
use tokio::sync::{OwnedMutexGuard, mpsc};
use tonic::{Status, Streaming};

use super::StoreFault;
use super::locks::RefLocks;
use crate::buildkit::generated::content::{WriteAction, WriteContentRequest, WriteContentResponse};
use crate::event::{Direction, EventKind, TransferHow};
use crate::event_sink::EventSink;

/// Where a blob goes.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) store: Arc<dyn BlobStore>,
    pub(super) locks: Arc<RefLocks>,
    pub(super) fault: StoreFault,
    pub(super) events: EventSink,
}

/// Receives one blob.
pub(super) async fn receive(
    target: Target,
    mut incoming: Streaming<WriteContentRequest>,
    answers: mpsc::Sender<WriteContentResponse>,
) -> Result<(), Status> {
    let Some(first) = incoming.message().await? else { return Ok(()) };
    let mut ingest = Ingest::begin(target, &first).await?;
    let mut next = Some(first);
    while let Some(message) = next {
        let answer = ingest.answer(message).await?;
        let last = answer.action == WriteAction::Commit as i32;
        if answers.send(answer).await.is_err() || last {
            return Ok(());
        }
        next = incoming.message().await?;
    }
    Ok(())
}

struct Ingest {
    target: Target,
    /// Held until the blob is committed or given up.
    _lock: OwnedMutexGuard<()>,
    started: Timestamp,
    expected: Option<Digest>,
    total: u64,
    writer: Option<Box<dyn BlobWriter>>,
}

impl Ingest {
    async fn begin(target: Target, first: &WriteContentRequest) -> Result<Self, Status> {
        if first.r#ref.is_empty() {
            return Err(Status::invalid_argument("a write needs a ref"));
        }
        let lock = target.locks.lock(format!("{}\n{}", target.name, first.r#ref)).await;
        let started = Timestamp::from(SystemTime::now());
        let mut ingest = Self { target, _lock: lock, started, expected: None, total: 0, writer: None };
        ingest.learn(first)?;
        ingest.refuse_present().await?;
        Ok(ingest)
    }

    /// Takes over what a message says about the whole blob.
    fn learn(&mut self, message: &WriteContentRequest) -> Result<(), Status> {
        let conflict = |what| Status::failed_precondition(format!("the expected {what} changed during the write"));
        if !message.expected.is_empty() {
            let digest: Digest = message.expected.parse().map_err(|e| Status::invalid_argument(format!("{e}")))?;
            if self.expected.as_ref().is_some_and(|known| *known != digest) {
                return Err(conflict("digest"));
            }
            self.expected = Some(digest);
        }
        if message.total > 0 {
            let total = message.total.unsigned_abs();
            if self.total != 0 && self.total != total {
                return Err(conflict("size"));
            }
            self.total = total;
        }
        Ok(())
    }

    /// Answers AlreadyExists, which makes the daemon skip the blob.
    async fn refuse_present(&mut self) -> Result<(), Status> {
        let Some(digest) = &self.expected else { return Ok(()) };
        let size = self.target.store.stat(digest).await.map_err(|e| self.target.fault.tell(e))?;
        if size.is_none_or(|size| self.total != 0 && size != self.total) {
            return Ok(());
        }
        self.done(digest.clone(), TransferHow::Present);
        Err(Status::already_exists(format!("{digest} is already in the store")))
    }

    async fn answer(&mut self, message: WriteContentRequest) -> Result<WriteContentResponse, Status> {
        self.learn(&message)?;
        match message.action() {
            WriteAction::Stat => Ok(self.response(WriteAction::Stat)),
            WriteAction::Write => {
                self.write(message).await?;
                Ok(self.response(WriteAction::Write))
            }
            WriteAction::Commit => {
                self.write(message).await?;
                let committed = self.commit().await?;
                let offset = i64::try_from(committed.size).unwrap_or(i64::MAX);
                let response = self.response(WriteAction::Commit);
                Ok(WriteContentResponse { offset, digest: committed.digest.to_string(), ..response })
            }
        }
    }

    async fn write(&mut self, message: WriteContentRequest) -> Result<(), Status> {
        if message.data.is_empty() {
            return Ok(());
        }
        let written = self.written();
        if message.offset == 0 && written > 0 {
            // The protocol lets a writer start over at 0 and nowhere else.
            self.writer = None;
        } else if u64::try_from(message.offset).ok() != Some(written) {
            return Err(Status::out_of_range(format!("write at {} of a blob with {written} bytes", message.offset)));
        }
        self.writer().await?.write(message.data).await.map_err(|e| self.target.fault.tell(e))?;
        self.progress();
        Ok(())
    }

    async fn writer(&mut self) -> Result<&mut Box<dyn BlobWriter>, Status> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => {
                let expect = Expect { digest: self.expected.clone(), size: (self.total > 0).then_some(self.total) };
                self.target.store.writer(expect).await.map_err(|e| self.target.fault.tell(e))?
            }
        };
        Ok(self.writer.insert(writer))
    }

    async fn commit(&mut self) -> Result<Committed, Status> {
        self.writer().await?;
        // `writer` has just put it there.
        let mut writer = self.writer.take().ok_or_else(|| Status::internal("no writer"))?;
        let (total, expected, fault) = (self.total, self.expected.clone(), &self.target.fault);
        if total != 0 && writer.written() != total {
            // The size was named after the writer was opened, or too little came.
            let got = writer.written();
            let error = if got < total {
                StoreError::TooShort { want: total, got }
            } else {
                StoreError::TooLong { want: total }
            };
            return Err(fault.tell(error));
        }
        if let Some(digest) = expected {
            writer.promise(digest).await.map_err(|e| fault.tell(e))?;
        }
        let committed = writer.commit().await.map_err(|e| fault.tell(e))?;
        self.done(committed.digest.clone(), TransferHow::Sent);
        Ok(committed)
    }

    fn written(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.written())
    }

    fn response(&self, action: WriteAction) -> WriteContentResponse {
        WriteContentResponse {
            action: action as i32,
            started_at: Some(self.started),
            updated_at: Some(Timestamp::from(SystemTime::now())),
            offset: i64::try_from(self.written()).unwrap_or(i64::MAX),
            total: i64::try_from(self.total).unwrap_or(i64::MAX),
            digest: String::new(),
        }
    }

    fn progress(&self) {
        let Some(digest) = self.expected.clone() else { return };
        let (current, total) = (self.written(), self.total);
        self.target.events.send(EventKind::Transfer { digest, direction: Direction::IntoStore, current, total });
    }

    fn done(&self, digest: Digest, how: TransferHow) {
        self.target.events.send(EventKind::TransferDone { digest, direction: Direction::IntoStore, how });
    }
}
