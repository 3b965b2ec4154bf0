//! Unix and TCP sockets.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};

use crate::node::dial::{Dialer, Io};

/// A Unix socket.
#[derive(Debug, Clone)]
pub struct UnixDialer {
    path: PathBuf,
}

impl UnixDialer {
    /// Dials `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }
}

impl Dialer for UnixDialer {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Io>>> {
        async move {
            let stream = UnixStream::connect(&self.path).await;
            let stream = stream.map_err(|error| at(&self.path.display().to_string(), &error))?;
            Ok(Box::new(stream) as Box<dyn Io>)
        }
        .boxed()
    }
}

/// A TCP address, unencrypted.
#[derive(Debug, Clone)]
pub struct TcpDialer {
    address: String,
}

impl TcpDialer {
    /// Dials `address`, `host:port`.
    pub fn new(address: impl Into<String>) -> Self {
        Self { address: address.into() }
    }

    pub(super) async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.address).await.map_err(|error| at(&self.address, &error))?;
        // Small gRPC frames must not wait for acknowledgements.
        stream.set_nodelay(true)?;
        keep_alive(&stream)?;
        Ok(stream)
    }
}

impl Dialer for TcpDialer {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Io>>> {
        async move { Ok(Box::new(self.connect().await?) as Box<dyn Io>) }.boxed()
    }
}

/// Silence after which the kernel asks whether the other end is there.
const SILENCE: Duration = Duration::from_secs(20);
/// Time between two such questions.
const REPEAT: Duration = Duration::from_secs(10);
/// Questions without an answer that end the connection: with the silence, a minute.
const QUESTIONS: u32 = 4;

/// Makes a connection end whose other end has vanished without a word, also where nothing is sent: a saved image is read
/// for as long as it takes.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let questions = TcpKeepalive::new().with_time(SILENCE).with_interval(REPEAT).with_retries(QUESTIONS);
    socket.set_tcp_keepalive(&questions)?;
    // Bytes that nobody acknowledges keep the kernel from asking, for a quarter of an hour.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(SILENCE + REPEAT * QUESTIONS))?;
    Ok(())
}

/// Adds the place to an error that has none, keeping its kind.
fn at(place: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{place}: {}", reason(error)))
}

/// Returns a short text for the usual failures to connect, without the operating system's number.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such socket".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused (nothing is listening)".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_the_socket_and_keeps_the_kind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("no.sock");
        let error = UnixDialer::new(&path).dial().await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert_eq!(error.to_string(), format!("{}: no such socket", path.display()));
    }

    #[tokio::test]
    async fn says_when_nothing_listens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dead.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let error = UnixDialer::new(&path).dial().await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
    #[tokio::test]
    async fn a_vanished_peer_is_noticed_by_the_kernel() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpDialer::new(listener.local_addr().unwrap().to_string()).connect().await.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(60)));
        assert_eq!(socket.tcp_keepalive_time().unwrap(), SILENCE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), REPEAT);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), QUESTIONS);
    }
}
