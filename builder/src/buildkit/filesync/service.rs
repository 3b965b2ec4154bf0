//! The FileSync session service: the daemon's way to local directories.

use std::collections::BTreeMap;
use std::sync::Arc;

use bollard_buildkit_proto::fsutil::types::Packet;
use bollard_buildkit_proto::moby::filesync::v1::file_sync_server::FileSync;
use tonic::{Request, Response, Status, Streaming};

use super::driven::PacketStream;
use super::error::SendError;
use super::request::SyncRequest;
use super::send::{SyncStats, serve_diffcopy};
use super::source::{LocalDir, LocalDirs};

/// Serves the directories of one build, and nothing else of this machine.
#[derive(Debug, Clone)]
pub struct FileSyncService {
    dirs: Arc<BTreeMap<String, Arc<LocalDir>>>,
    stats: Arc<SyncStats>,
}

impl FileSyncService {
    /// Offers directories by name.
    pub fn new(dirs: LocalDirs) -> Self {
        let dirs = dirs.into_iter().map(|(name, dir)| (name, Arc::new(dir))).collect();
        Self { dirs: Arc::new(dirs), stats: Arc::default() }
    }

    /// Returns the counters of all transfers of this service.
    pub fn stats(&self) -> Arc<SyncStats> {
        Arc::clone(&self.stats)
    }
}

#[tonic::async_trait]
impl FileSync for FileSyncService {
    type DiffCopyStream = PacketStream;

    async fn diff_copy(&self, request: Request<Streaming<Packet>>) -> Result<Response<PacketStream>, Status> {
        let SyncRequest { dir, filter } = SyncRequest::parse(request.metadata());
        let Some(source) = self.dirs.get(&dir) else { return Err(SendError::UnknownDir(dir).to_status()) };
        tracing::debug!(dir, ?filter, "daemon asks for files");
        let (source, stats) = (Arc::clone(source), Arc::clone(&self.stats));
        let incoming = request.into_inner();
        Ok(Response::new(PacketStream::start(|outgoing| async move {
            serve_diffcopy(source, filter, incoming, outgoing, stats).await.map_err(|e| e.to_status())
        })))
    }

    type TarStreamStream = PacketStream;

    async fn tar_stream(&self, _: Request<Streaming<Packet>>) -> Result<Response<PacketStream>, Status> {
        Err(Status::unimplemented("only DiffCopy is served"))
    }
}
