//! A connection to one BuildKit.
//!
//! Owns: the gRPC channel over a dialled stream and the calls that only ask. Never: dials by itself;
//! [`crate::node::dial`] does.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1 as proto;
use bollard_buildkit_proto::pb;
use hyper_util::rt::TokioIo;
use polyarch_registry::oci::Platform;
use polyarch_registry::verify::chain;
use proto::control_client::ControlClient;
use tonic::transport::{Channel, Endpoint};

use super::upgrade::{UpgradeError, upgrade};
use crate::limits::Limits;
use crate::node::dial::{Io, Transport};

/// Flow-control window of one stream; a session with all its services is one stream.
const STREAM_WINDOW: u32 = 4 << 20;
/// Window of the connection: several streams at full speed.
const CONNECTION_WINDOW: u32 = 8 << 20;

/// A handle to one daemon's BuildKit. Cheap to clone; reconnects when a later call finds the connection closed.
#[derive(Clone, Debug)]
pub struct Worker {
    channel: Channel,
    limits: Arc<Limits>,
}

/// One of a daemon's BuildKit workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Identity, stable over restarts.
    pub id: String,
    /// Labels such as `org.mobyproject.buildkit.worker.executor`.
    pub labels: BTreeMap<String, String>,
    /// What it can run, native platform first.
    pub platforms: Vec<Platform>,
}

/// A BuildKit that answered.
#[derive(Debug)]
pub struct Greeting {
    /// The connection to it.
    pub worker: Worker,
    /// Its version, where it tells (from 0.11).
    pub version: Option<String>,
    /// What its workers run, native platform first.
    pub platforms: Vec<Platform>,
}

/// Why a daemon's BuildKit cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nothing could be dialled.
    #[error("could not connect")]
    Dial(#[source] io::Error),
    /// The Docker API does not lead to BuildKit.
    #[error("the Docker API does not lead to BuildKit")]
    Upgrade(#[source] UpgradeError),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// HTTP/2 could not be set up.
    #[error("could not speak gRPC")]
    Transport(#[source] tonic::transport::Error),
    /// A call was refused.
    #[error("{method} failed: {message}")]
    Rpc {
        /// gRPC method.
        method: &'static str,
        /// gRPC status code.
        code: tonic::Code,
        /// The daemon's text; untrusted.
        message: String,
    },
}

impl ConnectError {
    /// Whether the same attempt may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Dial(_) | Self::TimedOut(_) | Self::Transport(_) => true,
            Self::Upgrade(error) => match error {
                UpgradeError::Io(_) => true,
                UpgradeError::Refused { status, .. } => *status >= 500,
                UpgradeError::NotHttp => false,
            },
            Self::Rpc { code, .. } => *code == tonic::Code::Unavailable,
        }
    }

    pub(super) fn rpc(method: &'static str, status: &tonic::Status) -> Self {
        Self::Rpc { method, code: status.code(), message: with_causes(status) }
    }
}

impl Worker {
    /// Dials, upgrades where needed, and sets up HTTP/2, all within `limits.connect`.
    ///
    /// # Errors
    /// [`ConnectError`], except `Rpc`.
    pub async fn connect(transport: Transport, limits: &Limits) -> Result<Self, ConnectError> {
        let channel = tokio::time::timeout(limits.connect, open_channel(transport, limits))
            .await
            .map_err(|_| ConnectError::TimedOut(limits.connect))??;
        Ok(Self { channel, limits: Arc::new(limits.clone()) })
    }

    /// Connects and asks for version and platforms, all within twice `limits.connect`.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn greet(transport: Transport, limits: &Limits) -> Result<Greeting, ConnectError> {
        let worker = Self::connect(transport, limits).await?;
        let asked = async { tokio::try_join!(worker.info(), worker.list_workers()) };
        let answered = tokio::time::timeout(limits.connect, asked).await;
        let (version, workers) = answered.map_err(|_| ConnectError::TimedOut(limits.connect))??;
        let platforms = workers.into_iter().flat_map(|worker| worker.platforms).collect();
        Ok(Greeting { worker, version, platforms })
    }

    /// Lists the daemon's workers; a Docker daemon has one.
    ///
    /// # Errors
    /// [`ConnectError::Rpc`].
    pub async fn list_workers(&self) -> Result<Vec<WorkerInfo>, ConnectError> {
        let request = proto::ListWorkersRequest::default();
        let answer = self.control().list_workers(request).await.map_err(|s| ConnectError::rpc("ListWorkers", &s))?;
        Ok(answer.into_inner().record.into_iter().map(worker_info).collect())
    }

    /// Returns BuildKit's version, or `None` where it does not tell (before 0.11).
    ///
    /// # Errors
    /// [`ConnectError::Rpc`].
    pub async fn info(&self) -> Result<Option<String>, ConnectError> {
        match self.control().info(proto::InfoRequest {}).await {
            Ok(answer) => Ok(answer.into_inner().buildkit_version.map(|v| v.version).filter(|v| !v.is_empty())),
            Err(status) if status.code() == tonic::Code::Unimplemented => Ok(None),
            Err(status) => Err(ConnectError::rpc("Info", &status)),
        }
    }

    pub(super) fn control(&self) -> ControlClient<Channel> {
        let limit = self.limits.grpc_message_bytes;
        ControlClient::new(self.channel.clone()).max_decoding_message_size(limit).max_encoding_message_size(limit)
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// A broken connection is a status whose reason is only in its causes: what ssh or a container's runtime said, for one.
fn with_causes(status: &tonic::Status) -> String {
    let message = status.message();
    match std::error::Error::source(status).map(chain) {
        None => message.to_owned(),
        // The message is the first cause's text.
        Some(causes) if causes.starts_with(message) => causes,
        Some(causes) => format!("{message}: {causes}"),
    }
}

async fn open_channel(transport: Transport, limits: &Limits) -> Result<Channel, ConnectError> {
    // The first connection is made here and not in the connector, so that its error keeps its type.
    let first = Mutex::new(Some(open_stream(&transport).await?));
    let connector = tower::service_fn(move |_: http::Uri| {
        let ready = first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let transport = transport.clone();
        async move {
            match ready {
                Some(stream) => Ok(TokioIo::new(stream)),
                None => open_stream(&transport).await.map(TokioIo::new),
            }
        }
    });
    Endpoint::from_static("http://localhost")
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(limits.peer_silence)
        .keep_alive_timeout(limits.peer_answer)
        .connect_with_connector(connector)
        .await
        .map_err(ConnectError::Transport)
}

async fn open_stream(transport: &Transport) -> Result<Box<dyn Io>, ConnectError> {
    match transport {
        Transport::BuildKit(dialer) => dialer.dial().await.map_err(ConnectError::Dial),
        Transport::DockerApi(dialer) => {
            let mut stream = dialer.dial().await.map_err(ConnectError::Dial)?;
            upgrade(&mut stream).await.map_err(ConnectError::Upgrade)?;
            Ok(stream)
        }
    }
}

fn worker_info(record: proto::types::WorkerRecord) -> WorkerInfo {
    WorkerInfo {
        id: record.id,
        labels: record.labels.into_iter().collect(),
        platforms: record.platforms.into_iter().map(platform).collect(),
    }
}

fn platform(wire: pb::Platform) -> Platform {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let platform = Platform {
        architecture: wire.architecture,
        os: wire.os,
        os_version: some(wire.os_version),
        os_features: wire.os_features,
        variant: some(wire.variant),
    };
    platform.normalize()
}
