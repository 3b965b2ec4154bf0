//! A session: the services a daemon calls back into while it solves for us.
//!
//! Owns: the in-process gRPC server inside `Control.Session`, and every task it needs; dropping the handle
//! ends them. Never: listens on a socket.

mod auth;
mod content;
mod filesend;
mod health;
mod reply;
mod secrets;
mod server;
mod services;
mod ssh;
#[cfg(test)]
mod testing;
mod tunnel;
mod upload;

use bollard_buildkit_proto::moby::buildkit::v1::BytesMessage;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use super::connect::{ConnectError, Worker};
use content::StoreFault;
use tunnel::Tunnel;

pub use auth::{Credentials, NoAuth, RegistryAuth, Token, TokenRequest};
pub use content::ContentStores;
pub use filesend::{ExportStream, FileSend, Sink, SinkFactory};
pub use services::{SessionServices, Uploads};

/// Messages of the tunnel waiting for the outer connection.
const TUNNEL_QUEUE: usize = 16;

/// An open session. Dropping it ends it, and with it every solve that uses it.
#[derive(Debug)]
pub struct Session {
    id: String,
    tasks: JoinSet<()>,
    ended: watch::Receiver<bool>,
    fault: StoreFault,
}

impl Session {
    /// Opens a session. `shared_key` lets the daemon reuse an earlier transfer of the same directories:
    /// keep it stable per context directory.
    ///
    /// Within one session a daemon takes a directory for unchanging and asks for it once: every build opens its own.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn open(worker: &Worker, services: SessionServices, shared_key: &str) -> Result<Self, ConnectError> {
        let id = hex::encode(rand::random::<[u8; 16]>());
        let fault = StoreFault::default();
        let (routes, methods) = services.into_routes(&fault, worker.limits().grpc_message_bytes);
        let (outgoing, from_us) = mpsc::channel::<BytesMessage>(TUNNEL_QUEUE);
        let mut request = Request::new(ReceiverStream::new(from_us));
        expose(request.metadata_mut(), &id, shared_key, &methods);
        let opening = worker.control();
        let incoming = { opening }.session(request).await.map_err(|status| ConnectError::rpc("Session", &status))?;
        let tunnel = Tunnel::new(incoming.into_inner(), outgoing);
        let (over, ended) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            server::serve(tunnel, routes).await;
            over.send_replace(true);
        });
        Ok(Self { id, tasks, ended, fault })
    }

    /// The session's identity, named by solves.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Completes when the daemon or the connection has ended the session.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        // An error means that the task is gone, which is the same.
        let _ = ended.wait_for(|over| *over).await;
    }

    /// Ends the session and waits for its tasks.
    pub async fn close(mut self) {
        self.tasks.shutdown().await;
    }

    pub(super) fn store_fault(&self) -> &StoreFault {
        &self.fault
    }
}

/// Writes the headers by which a daemon learns what the session offers (BuildKit `session/grpc.go`).
fn expose(metadata: &mut MetadataMap, id: &str, shared_key: &str, methods: &[String]) {
    let mut put = |key: &'static str, value: &str| {
        // Values are hex or method names; anything else would not be a header, and the daemon can do without.
        if let Ok(value) = MetadataValue::<Ascii>::try_from(value) {
            metadata.append(key, value);
        }
    };
    put("x-docker-expose-session-uuid", id);
    put("x-docker-expose-session-name", "polyarch");
    put("x-docker-expose-session-sharedkey", shared_key);
    for method in methods {
        put("x-docker-expose-session-grpc-method", method);
    }
}
