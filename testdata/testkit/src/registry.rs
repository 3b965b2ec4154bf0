//! The embedded registry on a free port and a temporary directory.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use polyarch_registry::server::{Config, Server};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::http::Http;

/// A running registry. It has its own thread, so it also answers while a test blocks on a child process.
/// Dropping it stops it and removes its directory.
pub struct TestRegistry {
    addr: SocketAddr,
    running: Option<Running>,
    dir: TempDir,
    config: Config,
}

struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl TestRegistry {
    /// Starts a registry that allows deletes.
    pub fn start() -> Self {
        Self::start_with(|config| config.options.delete = true)
    }

    /// Starts a registry with a changed configuration; address and root are set already.
    pub fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), dir.path().join("registry"));
        config.grace = Duration::from_secs(2);
        change(&mut config);
        let (addr, running) = launch(config.clone());
        Self { addr, running: Some(running), dir, config }
    }

    /// Stops the registry and starts another on the same directory, on a port of its own.
    pub fn restart(&mut self) {
        self.stop();
        let (addr, running) = launch(self.config.clone());
        self.addr = addr;
        self.running = Some(running);
    }

    /// [`Self::restart`] with a changed configuration.
    pub fn restart_with(&mut self, change: impl FnOnce(&mut Config)) {
        self.stop();
        change(&mut self.config);
        self.restart();
    }

    /// Stops the registry; its directory stays.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.stop.send(());
            let joined = running.thread.join();
            assert!(joined.is_ok() || std::thread::panicking(), "the registry panicked");
        }
    }

    /// Returns the address.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the directory the registry keeps its files in.
    pub fn root(&self) -> &Path {
        &self.config.root
    }

    /// Returns a temporary directory that lives as long as the registry.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// Returns `host:port/rest`, for image references.
    pub fn reference(&self, rest: &str) -> String {
        format!("{}/{rest}", self.addr)
    }

    /// Returns a plain HTTP client for it.
    pub fn http(&self) -> Http {
        Http::new(self.addr)
    }
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Returns when the registry listens.
fn launch(config: Config) -> (SocketAddr, Running) {
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, listening) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async move {
            let server = Server::bind(config).await.unwrap();
            ready.send(server.addr()).unwrap();
            server
                .run(async move {
                    let _ = stopped.await;
                })
                .await;
        });
    });
    let addr = listening.recv().expect("the registry did not start");
    (addr, Running { stop, thread })
}
