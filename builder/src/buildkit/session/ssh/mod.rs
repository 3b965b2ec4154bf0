//! moby.sshforward.v1: `--ssh`, the user's agent inside a step.
//!
//! Owns: the pipe between a step and an agent. Never: reads a key; agents do, also for key files
//! ([`agent::KeyAgent`]).

mod agent;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::Ssh;
use bollard_buildkit_proto::moby::sshforward::v1::{BytesMessage, CheckAgentRequest, CheckAgentResponse};
use indexmap::IndexMap;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{OnceCell, mpsc};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::reply::{Reply, driven};
use crate::request::SshSource;
use agent::KeyAgent;

/// Metadata key with the id (BuildKit `session/sshforward`, KeySSHID).
const SSH_ID: &str = "buildkit.ssh.id";
/// The id of a mount that names none.
const DEFAULT_ID: &str = "default";
/// Bytes per message.
const CHUNK: usize = 32 << 10;

/// The forwardings of a session.
pub(super) struct SshService(HashMap<String, Forward>);

enum Forward {
    Agent(PathBuf),
    /// Started when first asked for.
    Keys(Vec<PathBuf>, Box<OnceCell<KeyAgent>>),
}

impl SshService {
    pub(super) fn new(sources: IndexMap<String, SshSource>) -> Self {
        let forward = |source| match source {
            SshSource::Agent(socket) => Forward::Agent(socket),
            SshSource::Keys(files) => Forward::Keys(files, Box::default()),
        };
        Self(sources.into_iter().map(|(id, source)| (id, forward(source))).collect())
    }

    fn find(&self, id: &str) -> Result<&Forward, Status> {
        let id = if id.is_empty() { DEFAULT_ID } else { id };
        self.0.get(id).ok_or_else(|| Status::not_found(format!("no ssh agent or key was given for id {id:?}")))
    }
}

impl Forward {
    async fn socket(&self) -> Result<&Path, Status> {
        match self {
            Self::Agent(socket) => Ok(socket),
            Self::Keys(files, agent) => {
                let agent = agent.get_or_try_init(|| KeyAgent::start(files)).await;
                let agent = agent.map_err(|error| Status::failed_precondition(error.to_string()))?;
                Ok(agent.socket())
            }
        }
    }

    async fn connect(&self) -> Result<UnixStream, Status> {
        let socket = self.socket().await?;
        let failed = |error: io::Error| Status::unavailable(format!("the ssh agent does not answer: {error}"));
        UnixStream::connect(socket).await.map_err(failed)
    }
}

#[tonic::async_trait]
impl Ssh for SshService {
    type ForwardAgentStream = Reply<BytesMessage>;

    async fn check_agent(&self, request: Request<CheckAgentRequest>) -> Result<Response<CheckAgentResponse>, Status> {
        self.find(&request.get_ref().id)?;
        Ok(Response::new(CheckAgentResponse {}))
    }

    async fn forward_agent(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        let agent = self.find(id_of(request.metadata()))?.connect().await?;
        let incoming = request.into_inner();
        Ok(Response::new(driven(|out| pipe(agent, incoming, out))))
    }
}

fn id_of(metadata: &MetadataMap) -> &str {
    metadata.get(SSH_ID).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Copies both ways until the agent hangs up.
async fn pipe(
    agent: UnixStream,
    incoming: Streaming<BytesMessage>,
    out: mpsc::Sender<BytesMessage>,
) -> Result<(), Status> {
    let (from_agent, to_agent) = agent.into_split();
    let answers = answers(from_agent, out);
    tokio::pin!(answers);
    tokio::select! {
        ended = &mut answers => return ended,
        asked = questions(incoming, to_agent) => asked?,
    }
    // The step has asked everything; the agent may still answer.
    answers.await
}

async fn questions(mut incoming: Streaming<BytesMessage>, mut agent: impl AsyncWrite + Unpin) -> Result<(), Status> {
    while let Some(message) = incoming.message().await? {
        agent.write_all(&message.data).await.map_err(broken)?;
    }
    agent.shutdown().await.map_err(broken)
}

async fn answers(mut agent: impl AsyncRead + Unpin, out: mpsc::Sender<BytesMessage>) -> Result<(), Status> {
    loop {
        let mut data = Vec::with_capacity(CHUNK);
        let read = agent.read_buf(&mut data).await.map_err(broken)?;
        if read == 0 || out.send(BytesMessage { data }).await.is_err() {
            return Ok(());
        }
    }
}

fn broken(error: io::Error) -> Status {
    Status::unavailable(format!("the ssh agent hung up: {error}"))
}

#[cfg(test)]
mod tests;
