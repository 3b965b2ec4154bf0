//! The calls of containerd.services.content.v1.Content that BuildKit makes.

use std::sync::Arc;

use bytes::Bytes;
use polyarch_registry::oci::Digest;
use polyarch_registry::store::{BlobReader, BlobStore};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::ingest::{Target, receive};
use super::locks::RefLocks;
use super::{ContentStores, StoreFault};
use crate::buildkit::generated::content as proto;
use crate::buildkit::session::reply::{Reply, driven};
use crate::event_sink::EventSink;
use proto::content_server::Content;

/// Metadata key with the store's name (BuildKit `session/content/attachable.go`).
const STORE_ID: &str = "buildkit-attachable-store-id";
/// Bytes per message of a read, as containerd sends them.
const CHUNK: u64 = 1 << 20;

/// The content service of a session.
pub(in crate::buildkit::session) struct ContentService {
    stores: ContentStores,
    locks: Arc<RefLocks>,
    fault: StoreFault,
    events: EventSink,
}

impl ContentService {
    pub(in crate::buildkit::session) fn new(stores: ContentStores, fault: StoreFault, events: EventSink) -> Self {
        Self { stores, locks: Arc::default(), fault, events }
    }

    fn store(&self, metadata: &MetadataMap) -> Result<(String, Arc<dyn BlobStore>), Status> {
        let name = metadata.get(STORE_ID).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let store = self.stores.get(name);
        let store = store.ok_or_else(|| Status::not_found(format!("no content store {name:?} in this session")))?;
        Ok((name.to_owned(), store.clone()))
    }

    async fn size(&self, store: &dyn BlobStore, digest: &Digest) -> Result<u64, Status> {
        let size = store.stat(digest).await.map_err(|e| self.fault.tell(e))?;
        size.ok_or_else(|| Status::not_found(format!("{digest} is not in the store")))
    }
}

#[tonic::async_trait]
impl Content for ContentService {
    type ListStream = Reply<proto::ListContentResponse>;
    type ReadStream = Reply<proto::ReadContentResponse>;
    type WriteStream = Reply<proto::WriteContentResponse>;

    async fn info(&self, request: Request<proto::InfoRequest>) -> Result<Response<proto::InfoResponse>, Status> {
        let (_, store) = self.store(request.metadata())?;
        let digest = parse(&request.get_ref().digest)?;
        let size = signed(self.size(&*store, &digest).await?);
        let info = proto::Info { digest: digest.to_string(), size, ..proto::Info::default() };
        Ok(Response::new(proto::InfoResponse { info: Some(info) }))
    }

    async fn read(&self, request: Request<proto::ReadContentRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let (_, store) = self.store(request.metadata())?;
        let request = request.into_inner();
        let digest = parse(&request.digest)?;
        let size = self.size(&*store, &digest).await?;
        let offset = u64::try_from(request.offset).unwrap_or(0);
        if offset > size {
            return Err(Status::out_of_range(format!("read at {offset} of a blob with {size} bytes")));
        }
        // 0 asks for everything; more than there is, for what there is.
        let wanted = u64::try_from(request.size).ok().filter(|n| *n > 0).unwrap_or(u64::MAX);
        let blob = store.open(&digest, offset).await.map_err(|e| self.fault.tell(e))?;
        let length = wanted.min(size - offset);
        Ok(Response::new(driven(move |out| send(blob, offset, length, out))))
    }

    async fn write(
        &self,
        request: Request<Streaming<proto::WriteContentRequest>>,
    ) -> Result<Response<Self::WriteStream>, Status> {
        let (name, store) = self.store(request.metadata())?;
        let (locks, fault, events) = (self.locks.clone(), self.fault.clone(), self.events.clone());
        let target = Target { name, store, locks, fault, events };
        let incoming = request.into_inner();
        Ok(Response::new(driven(|answers| receive(target, incoming, answers))))
    }

    async fn abort(&self, request: Request<proto::AbortRequest>) -> Result<Response<()>, Status> {
        // Nothing of a write outlives its call, so there is nothing left to abort.
        self.store(request.metadata())?;
        Ok(Response::new(()))
    }

    async fn status(&self, request: Request<proto::StatusRequest>) -> Result<Response<proto::StatusResponse>, Status> {
        self.store(request.metadata())?;
        Err(Status::not_found(format!("no write {:?} is kept", request.get_ref().r#ref)))
    }

    async fn list_statuses(
        &self,
        request: Request<proto::ListStatusesRequest>,
    ) -> Result<Response<proto::ListStatusesResponse>, Status> {
        self.store(request.metadata())?;
        Ok(Response::new(proto::ListStatusesResponse::default()))
    }

    async fn update(&self, _: Request<proto::UpdateRequest>) -> Result<Response<proto::UpdateResponse>, Status> {
        Err(Status::unimplemented("labels are not kept"))
    }

    async fn list(&self, _: Request<proto::ListContentRequest>) -> Result<Response<Self::ListStream>, Status> {
        Err(Status::unimplemented("stores are not listed to a daemon"))
    }

    async fn delete(&self, _: Request<proto::DeleteContentRequest>) -> Result<Response<()>, Status> {
        Err(Status::permission_denied("a daemon may not delete from a store"))
    }
}

async fn send(
    mut blob: BlobReader,
    mut offset: u64,
    length: u64,
    out: mpsc::Sender<proto::ReadContentResponse>,
) -> Result<(), Status> {
    let end = offset + length;
    while offset < end {
        let wanted = CHUNK.min(end - offset);
        let mut data = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
        let read = (&mut blob).take(wanted).read_to_end(&mut data).await;
        let read = read.map_err(|e| Status::unknown(format!("the store could not be read: {e}")))?;
        if read == 0 {
            return Err(Status::data_loss("the blob is shorter than the store said"));
        }
        let message = proto::ReadContentResponse { offset: signed(offset), data: Bytes::from(data) };
        offset += read as u64;
        if out.send(message).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn parse(digest: &str) -> Result<Digest, Status> {
    digest.parse().map_err(|e| Status::invalid_argument(format!("{e}")))
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
