//! Exported streams from the daemon.
//!
//! Owns: moby.filesync.v1.FileSend in its two kinds, bytes and files. Never: decides where they go.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bollard_buildkit_proto::fsutil::types::Packet;
use bollard_buildkit_proto::moby::filesync::packet::file_send_server::FileSend as Packets;
use bollard_buildkit_proto::moby::filesync::v1::BytesMessage;
use bollard_buildkit_proto::moby::filesync::v1::file_send_server::FileSend as Bytes;
use futures::future::BoxFuture;
use polyarch_registry::store::StoreError;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tonic::metadata::{KeyAndValueRef, MetadataMap};
use tonic::{Request, Response, Status, Streaming};

use crate::buildkit::filesync::{PacketStream, receive_stream};

use super::content::StoreFault;
use super::reply::{Reply, driven};

/// Prefix of the metadata keys that describe a stream (BuildKit `session/filesync`).
const METADATA_PREFIX: &str = "exporter-md-";

/// Where the bytes of one exported stream go; flushed and shut down at its end.
pub type Sink = Box<dyn AsyncWrite + Send + Unpin>;

/// What the daemon tells about a stream before its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportStream {
    /// `exporter-md-*` metadata without the prefix, such as `containerimage.digest`.
    pub metadata: BTreeMap<String, String>,
}

/// Opens a sink for each exported stream of a session.
pub trait SinkFactory: Send + Sync {
    /// Opens a sink; an error is reported to the daemon and fails the export.
    fn open<'a>(&'a self, stream: &'a ExportStream) -> BoxFuture<'a, io::Result<Sink>>;
}

/// What a session accepts from exporters. One service name has two wire types, so it is one or the other.
#[derive(Clone, Default)]
pub enum FileSend {
    /// Nothing.
    #[default]
    None,
    /// Byte streams: [`crate::buildkit::Export::OciTar`], `DockerTar`, `Tar`.
    Bytes(Arc<dyn SinkFactory>),
    /// Files, written below this directory: [`crate::buildkit::Export::LocalDir`]. A request does not say which
    /// solve it belongs to: one solve per session.
    Directory(PathBuf),
}

/// Receives byte streams. A sink's error that is a store's is kept with its type.
pub(super) struct BytesService(pub(super) Arc<dyn SinkFactory>, pub(super) StoreFault);

#[tonic::async_trait]
impl Bytes for BytesService {
    type DiffCopyStream = Reply<BytesMessage>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let stream = describe(request.metadata());
        let sink = self.0.open(&stream).await.map_err(|error| failed(&self.1, error))?;
        let (incoming, fault) = (request.into_inner(), self.1.clone());
        Ok(Response::new(driven(|_out| receive(incoming, sink, fault))))
    }
}

/// Receives files.
pub(super) struct PacketService(pub(super) PathBuf);

#[tonic::async_trait]
impl Packets for PacketService {
    type DiffCopyStream = PacketStream;

    async fn diff_copy(&self, request: Request<Streaming<Packet>>) -> Result<Response<PacketStream>, Status> {
        Ok(Response::new(receive_stream(self.0.clone(), request.into_inner())))
    }
}

async fn receive(mut incoming: Streaming<BytesMessage>, mut sink: Sink, fault: StoreFault) -> Result<(), Status> {
    let failed = |error| failed(&fault, error);
    while let Some(message) = incoming.message().await? {
        sink.write_all(&message.data).await.map_err(failed)?;
    }
    sink.shutdown().await.map_err(failed)
}

fn failed(fault: &StoreFault, error: io::Error) -> Status {
    match error.downcast::<StoreError>() {
        Ok(error) => fault.tell(error),
        Err(error) => Status::unknown(format!("the export could not be written: {error}")),
    }
}

fn describe(metadata: &MetadataMap) -> ExportStream {
    let described = metadata.iter().filter_map(|entry| {
        let KeyAndValueRef::Ascii(key, value) = entry else { return None };
        let key = key.as_str().strip_prefix(METADATA_PREFIX)?;
        Some((key.to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
    });
    ExportStream { metadata: described.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exporter_metadata_describes_a_stream() {
        let mut metadata = MetadataMap::new();
        metadata.insert("exporter-md-containerimage.digest", "sha256:00".parse().unwrap());
        metadata.insert("buildkit-attachable-exporter-id", "0".parse().unwrap());
        let expected = [("containerimage.digest".to_owned(), "sha256:00".to_owned())];
        assert_eq!(describe(&metadata).metadata, expected.into());
    }

    #[test]
    fn a_stores_error_keeps_its_type() {
        let fault = StoreFault::default();
        let status = failed(&fault, io::Error::other(StoreError::Full { path: "/store".into() }));
        assert_eq!(status.code(), tonic::Code::ResourceExhausted);
        let told = format!("failed to solve: {}", status.message());
        assert!(matches!(fault.cause_of(&told).as_deref(), Some(StoreError::Full { .. })), "{told}");
        assert_eq!(failed(&fault, io::Error::other("gone")).message(), "the export could not be written: gone");
    }
}
