//! moby.upload.v1: tar contexts from standard input, fetched by the daemon as `http://buildkit-session/<id>`.

use std::path::PathBuf;

use bollard_buildkit_proto::moby::upload::v1::BytesMessage;
use bollard_buildkit_proto::moby::upload::v1::upload_server::Upload;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::Uploads;
use super::reply::{Reply, driven};

/// Metadata key with the URL's path (BuildKit `session/upload`).
const URL_PATH: &str = "urlpath";
/// Bytes per message.
const CHUNK: usize = 256 << 10;

/// The spooled contexts of a session.
pub(super) struct UploadService(pub(super) Uploads);

#[tonic::async_trait]
impl Upload for UploadService {
    type PullStream = Reply<BytesMessage>;

    async fn pull(&self, request: Request<Streaming<BytesMessage>>) -> Result<Response<Self::PullStream>, Status> {
        let path = request.metadata().get(URL_PATH).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let id = path.rsplit('/').next().unwrap_or_default();
        let file = self.0.get(id).ok_or_else(|| Status::not_found(format!("no upload {id:?} in this session")))?;
        let file = file.clone();
        Ok(Response::new(driven(|out| send_file(file, out))))
    }
}

async fn send_file(path: PathBuf, out: mpsc::Sender<BytesMessage>) -> Result<(), Status> {
    let failed = |error: std::io::Error| Status::unknown(format!("the context could not be read: {error}"));
    let mut file = tokio::fs::File::open(&path).await.map_err(failed)?;
    loop {
        let mut data = Vec::with_capacity(CHUNK);
        let read = (&mut file).take(CHUNK as u64).read_to_end(&mut data).await.map_err(failed)?;
        if read == 0 || out.send(BytesMessage { data }).await.is_err() {
            return Ok(());
        }
    }
}
