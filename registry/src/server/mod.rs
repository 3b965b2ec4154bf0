//! The embedded registry: the server side of the OCI distribution-spec 1.1.
//!
//! ```text
//! ROOT/lock            held while a server, or gc, runs on ROOT
//! ROOT/control.sock    asks the running server to collect garbage
//! ROOT/content/        an OCI image layout: the bytes of all blobs and manifests, each once
//! ROOT/repositories/   what each repository holds (see `disk`)
//! ROOT/tmp/            files being written
//! ```
//!
//! A request goes `listen` → [`Registry::handle`] → `route` → one handler (`blobs`, `uploads`,
//! `manifests`, `discovery`) → blob store and `disk`. Bodies stream in constant memory. Everything
//! acknowledged is on disk and survives a kill; an open upload does not.
//! Never: changes a byte of what was pushed, redirects or compresses. The one lock that is held across an await is the
//! one that keeps gc away between bytes and their name; work on a blocking thread holds it itself.

mod access;
mod blobs;
mod body;
mod control;
mod discovery;
mod disk;
mod error;
mod gc;
mod listen;
mod manifests;
pub mod name;
mod query;
mod range;
mod registry;
mod respond;
pub mod route;
mod sessions;
mod tls;
mod uploads;

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use crate::store::layout::Lease;
use crate::store::{LayoutStore, StoreError};

pub use self::access::{Users, UsersError};
pub use self::control::ControlError;
pub use self::disk::MetaError;
pub use self::gc::{Collected, GcError, GcOptions};
pub use self::manifests::MANIFEST_LIMIT;
pub use self::registry::{Options, Registry};
pub use self::tls::{TlsError, TlsFiles};

/// How to run an embedded registry. Start from [`Config::new`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Address to listen on; port 0 takes a free one.
    pub addr: SocketAddr,
    /// Directory of the registry; created if absent.
    pub root: PathBuf,
    /// What the registry allows.
    pub options: Options,
    /// Serves TLS with this certificate; `None` is plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Collects garbage this often while it runs; `None` is never.
    pub gc_every: Option<(Duration, GcOptions)>,
    /// How long running requests get to finish once the server is told to stop.
    pub grace: Duration,
}

impl Config {
    /// Returns a configuration with deletes off and ten seconds of grace.
    pub fn new(addr: SocketAddr, root: impl Into<PathBuf>) -> Self {
        Self {
            addr,
            root: root.into(),
            options: Options::default(),
            tls: None,
            gc_every: None,
            grace: Duration::from_secs(10),
        }
    }
}

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// Another server runs on the same directory.
    #[error("another registry uses {root}")]
    InUse {
        /// The directory.
        root: PathBuf,
    },
    /// The directory cannot be used.
    #[error("cannot use {root}")]
    Root {
        /// The directory.
        root: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The certificate cannot be used.
    #[error("cannot serve TLS")]
    Tls(#[source] TlsError),
    /// The content store cannot be opened.
    #[error("cannot open the registry's content")]
    Store(#[source] StoreError),
    /// The metadata cannot be opened.
    #[error("cannot open the registry's repositories")]
    Meta(#[source] MetaError),
    /// Garbage cannot be collected.
    #[error("cannot collect garbage")]
    Gc(#[source] GcError),
    /// Another process runs the registry and did not collect.
    #[error("cannot collect garbage in a running registry")]
    Control(#[source] ControlError),
}

/// A registry that listens, but answers only in [`Server::run`].
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    tls: Option<TlsAcceptor>,
    registry: Registry,
    content: LayoutStore,
    control: Option<UnixListener>,
    gc_every: Option<(Duration, GcOptions)>,
    grace: Duration,
    _lock: File,
    /// No root of the content names what the repositories hold: gc would take all of it.
    _lease: Lease,
}

impl Server {
    /// Opens the registry's directory and the socket.
    ///
    /// # Errors
    /// [`ServerError`].
    pub async fn bind(config: Config) -> Result<Self, ServerError> {
        let tls = config.tls.as_ref().map(tls::acceptor).transpose().map_err(ServerError::Tls)?;
        let lock = lock_root(&config.root)?;
        let content = config.root.join("content");
        let store = LayoutStore::open(content).await.map_err(ServerError::Store)?;
        let lease = store.lease().await.map_err(ServerError::Store)?;
        let registry = Registry::open(Arc::new(store.clone()), &config.root, config.options).await;
        let registry = registry.map_err(ServerError::Meta)?;
        let failed = |source| ServerError::Bind { addr: config.addr, source };
        let listener = TcpListener::bind(config.addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let (control, gc_every, grace) = (control::listen(&config.root), config.gc_every, config.grace);
        let content = store;
        Ok(Self { listener, addr, tls, registry, content, control, gc_every, grace, _lock: lock, _lease: lease })
    }

    /// Returns the address it listens on, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` is ready, then stops accepting and gives running requests the configured grace.
    /// Dropping the future closes every connection at once.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let serving = listen::serve((&self.listener, self.tls.as_ref()), &self.registry, self.grace, shutdown);
        let housekeeping = async { tokio::join!(self.obey(), self.collect_now_and_then()) };
        tokio::select! {
            () = serving => {}
            _ = housekeeping => {}
        }
    }

    /// Answers the control socket, for ever.
    async fn obey(&self) {
        match &self.control {
            Some(socket) => control::serve(socket, &self.registry, &self.content).await,
            None => std::future::pending().await,
        }
    }

    async fn collect_now_and_then(&self) {
        let Some((every, options)) = self.gc_every else { return std::future::pending().await };
        loop {
            tokio::time::sleep(every).await;
            match self.registry.collect(&self.content, options).await {
                Ok(collected) => tracing::info!(?collected, "collected garbage"),
                Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "gc failed"),
            }
        }
    }
}

/// Collects garbage in a registry's directory: by the server that runs on it, or here if none does.
///
/// # Errors
/// [`ServerError`].
pub async fn collect(root: &Path, options: GcOptions) -> Result<Collected, ServerError> {
    if !root.join("repositories").is_dir() {
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, "it is not a registry's directory");
        return Err(ServerError::Root { root: root.to_owned(), source });
    }
    let _lock = match lock_root(root) {
        Ok(lock) => lock,
        Err(ServerError::InUse { root }) => return control::ask(&root, options).await.map_err(ServerError::Control),
        Err(error) => return Err(error),
    };
    let store = LayoutStore::open(root.join("content")).await.map_err(ServerError::Store)?;
    let _lease = store.lease().await.map_err(ServerError::Store)?;
    let registry =
        Registry::open(Arc::new(store.clone()), root, Options::default()).await.map_err(ServerError::Meta)?;
    registry.collect(&store, options).await.map_err(ServerError::Gc)
}

fn lock_root(root: &Path) -> Result<File, ServerError> {
    let failed = |source| ServerError::Root { root: root.to_owned(), source };
    std::fs::create_dir_all(root).map_err(failed)?;
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(root.join("lock"));
    let lock = opened.map_err(failed)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(ServerError::InUse { root: root.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
