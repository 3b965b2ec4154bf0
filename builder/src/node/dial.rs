//! One way to reach a byte stream, whatever is behind it.
//!
//! Owns: the `Dialer` trait. Never: speaks HTTP or gRPC.

use std::fmt;
use std::io;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

/// A bidirectional byte stream.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Opens connections to one daemon: a socket, a TLS connection, `ssh … dial-stdio`, or an exec inside a container.
pub trait Dialer: Send + Sync + fmt::Debug {
    /// Opens one new connection.
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Io>>>;
}

/// What is spoken on a dialled connection.
#[derive(Debug, Clone)]
pub enum Transport {
    /// The Docker Engine API over HTTP/1.1; BuildKit is behind `POST /grpc` with `Upgrade: h2c`.
    DockerApi(Arc<dyn Dialer>),
    /// BuildKit's gRPC API directly (HTTP/2 prior knowledge).
    BuildKit(Arc<dyn Dialer>),
}
