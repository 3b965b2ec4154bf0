//! The embedded registry: the server side of the OCI distribution-spec 1.1.
//!
//! ```text
//! ROOT/lock            held while a server runs on ROOT
//! ROOT/content/        an OCI image layout: the bytes of all blobs and manifests, each once
//! ROOT/repositories/   what each repository holds (see `disk`)
//! ROOT/tmp/            files being written
//! ```
//!
//! A request goes `listen` → [`Registry::handle`] → `route` → one handler (`blobs`, `uploads`,
//! `manifests`, `discovery`) → blob store and `disk`. Bodies stream in constant memory. Everything
//! acknowledged is on disk and survives a kill; an open upload does not.
//! Never: changes a byte of what was pushed, redirects, compresses, or holds a lock across an await.

mod blobs;
mod body;
mod discovery;
mod disk;
mod error;
mod listen;
mod manifests;
pub mod name;
mod query;
mod range;
mod registry;
mod respond;
pub mod route;
mod sessions;
mod uploads;

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::store::layout::Lease;
use crate::store::{LayoutStore, StoreError};

pub use self::disk::MetaError;
pub use self::manifests::MANIFEST_LIMIT;
pub use self::registry::{Options, Registry};

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
    /// How long running requests get to finish once the server is told to stop.
    pub grace: Duration,
}

impl Config {
    /// Returns a configuration with deletes off and ten seconds of grace.
    pub fn new(addr: SocketAddr, root: impl Into<PathBuf>) -> Self {
        Self { addr, root: root.into(), options: Options::default(), grace: Duration::from_secs(10) }
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
    /// The content store cannot be opened.
    #[error("cannot open the registry's content")]
    Store(#[source] StoreError),
    /// The metadata cannot be opened.
    #[error("cannot open the registry's repositories")]
    Meta(#[source] MetaError),
}

/// A registry that listens, but answers only in [`Server::run`].
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    registry: Registry,
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
        let lock = lock_root(&config.root)?;
        let content = config.root.join("content");
        let store = LayoutStore::open(content).await.map_err(ServerError::Store)?;
        let lease = store.lease().await.map_err(ServerError::Store)?;
        let registry =
            Registry::open(Arc::new(store), &config.root, config.options).await.map_err(ServerError::Meta)?;
        let failed = |source| ServerError::Bind { addr: config.addr, source };
        let listener = TcpListener::bind(config.addr).await.map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, addr, registry, grace: config.grace, _lock: lock, _lease: lease })
    }

    /// Returns the address it listens on, with the real port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` is ready, then stops accepting and gives running requests the configured grace.
    /// Dropping the future closes every connection at once.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        listen::serve(&self.listener, &self.registry, self.grace, shutdown).await;
    }
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
