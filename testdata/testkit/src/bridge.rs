//! BuildKit's own API on a unix socket, out of a Docker daemon: each connection is one upgraded `POST /grpc`.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

const UPGRADE: &[u8] =
    b"POST /grpc HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n";

/// A running bridge. It has its own thread; dropping it ends all connections and removes the socket.
pub struct GrpcBridge {
    dir: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl GrpcBridge {
    /// Starts a bridge to the Docker daemon behind a unix socket.
    pub fn start(docker: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (ready, listening) = std::sync::mpsc::channel();
        let (socket, docker) = (dir.path().join("buildkitd.sock"), docker.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = UnixListener::bind(socket).unwrap();
                ready.send(()).unwrap();
                tokio::select! {
                    () = accept(listener, docker) => {}
                    _ = stopped => {}
                }
            });
        });
        listening.recv().expect("the bridge did not start");
        Self { dir, stop: Some(stop), thread: Some(thread) }
    }

    /// Returns the socket that speaks BuildKit's gRPC.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("buildkitd.sock")
    }
}

impl Drop for GrpcBridge {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let joined = thread.join();
            assert!(joined.is_ok() || std::thread::panicking(), "the bridge panicked");
        }
    }
}

async fn accept(listener: UnixListener, docker: PathBuf) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted.unwrap();
                connections.spawn(splice(client, docker.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A daemon that is away or refuses is a closed connection to the client.
async fn splice(mut client: UnixStream, docker: PathBuf) {
    let Ok(mut daemon) = UnixStream::connect(docker).await else { return };
    if upgrade(&mut daemon).await.is_some() {
        // Either side hanging up is how a connection ends.
        let _ = copy_bidirectional(&mut client, &mut daemon).await;
    }
}

/// Reads the answer byte by byte: HTTP/2 may follow at once.
async fn upgrade(daemon: &mut UnixStream) -> Option<()> {
    daemon.write_all(UPGRADE).await.ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(daemon.read_u8().await.ok()?);
    }
    head.starts_with(b"HTTP/1.1 101").then_some(())
}
