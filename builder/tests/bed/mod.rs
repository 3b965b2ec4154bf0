//! The test bed's daemons, and one small build on them.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use indexmap::IndexMap;
use polyarch_builder::buildkit::attrs::{SessionNames, frontend_attrs};
use polyarch_builder::buildkit::filesync::LocalDir;
use polyarch_builder::buildkit::session::ContentStores;
use polyarch_builder::buildkit::solve::new_ref;
use polyarch_builder::buildkit::{Export, Session, SessionServices, SolveError, SolveOutcome, SolveSpec, Worker};
use polyarch_builder::event::{Event, EventKind};
use polyarch_builder::event_sink::EventSink;
use polyarch_builder::limits::Limits;
use polyarch_builder::node::dial::{Dialer, Io, Transport};
use polyarch_builder::request::*;
use polyarch_registry::oci::Platform;
use polyarch_registry::store::MemoryStore;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Returns the value of one of the bed's variables, or says that the test is skipped.
pub fn var(name: &str) -> Option<String> {
    let value = std::env::var(name).ok().filter(|value| !value.is_empty());
    if value.is_none() {
        assert!(std::env::var_os("POLYARCH_BED_REQUIRED").is_none(), "{name} is not set");
        println!("skipped: {name} is not set");
    }
    value
}

/// An image of four platforms that every daemon of the bed can pull.
pub fn base() -> Option<String> {
    var("BED_BASE_IMAGE")
}

/// Dials a unix socket, until it is cut.
#[derive(Debug)]
pub struct Unix {
    path: PathBuf,
    cut: CancellationToken,
    /// What is cut neither ends nor carries anything.
    silent: bool,
}

impl Dialer for Unix {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Io>>> {
        async {
            if self.cut.is_cancelled() {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let mut daemon = tokio::net::UnixStream::connect(&self.path).await?;
            let (ours, mut theirs) = tokio::io::duplex(1 << 20);
            let (cut, silent) = (self.cut.clone(), self.silent);
            tokio::spawn(async move {
                tokio::select! {
                    () = cut.cancelled() => {}
                    _ = tokio::io::copy_bidirectional(&mut daemon, &mut theirs) => return,
                }
                if silent {
                    std::future::pending::<()>().await;
                }
            });
            Ok(Box::new(ours) as Box<dyn Io>)
        }
        .boxed()
    }
}

/// A dialler of a Docker API, and what cuts all its connections.
pub fn cuttable(address: &str) -> (Arc<dyn Dialer>, CancellationToken) {
    let cut = CancellationToken::new();
    let path = address.strip_prefix("unix://").unwrap().into();
    (Arc::new(Unix { path, cut: cut.clone(), silent: false }), cut)
}

/// The same, with connections that fall silent instead of ending, as on a network that is gone.
pub fn silenceable(address: &str) -> (Arc<dyn Dialer>, CancellationToken) {
    let cut = CancellationToken::new();
    let path = address.split_once("unix://").unwrap().1.into();
    (Arc::new(Unix { path, cut: cut.clone(), silent: true }), cut)
}

pub async fn docker_api(dialer: Arc<dyn Dialer>) -> Worker {
    Worker::connect(Transport::DockerApi(dialer), &Limits::default()).await.unwrap()
}

/// Connects to the daemon behind a variable: `unix:` is the Docker API, `buildkit+unix:` BuildKit itself.
pub async fn connect(name: &str) -> Option<Worker> {
    let address = var(name)?;
    let dialer = |path: &str| Arc::new(Unix { path: path.into(), cut: CancellationToken::new(), silent: false });
    let transport = match (address.strip_prefix("unix://"), address.strip_prefix("buildkit+unix://")) {
        (Some(path), _) => Transport::DockerApi(dialer(path)),
        (_, Some(path)) => Transport::BuildKit(dialer(path)),
        _ => panic!("{name} is {address}, which is not a unix socket"),
    };
    Some(Worker::connect(transport, &Limits::default()).await.unwrap())
}

pub fn amd64() -> Platform {
    Platform::new("linux", "amd64", None)
}

pub fn arm64() -> Platform {
    Platform::new("linux", "arm64", None)
}

/// A build with its context in a temporary directory.
pub struct Build {
    pub worker: Worker,
    pub dir: tempfile::TempDir,
    pub request: BuildRequest,
    pub names: SessionNames,
    pub store: Arc<MemoryStore>,
    pub sink: EventSink,
    pub events: mpsc::UnboundedReceiver<Event>,
}

impl Build {
    /// Returns a build of this Dockerfile.
    pub fn new(worker: Worker, dockerfile: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
        let (sink, events) = EventSink::channel();
        let (request, names) = (request(dir.path().into()), SessionNames::default());
        Self { worker, dir, request, names, store: Arc::new(MemoryStore::new()), sink, events }
    }

    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.dir.path().join(name), content).unwrap();
        self
    }

    /// Services with the context, the secrets and the store.
    pub fn services(&self) -> SessionServices {
        let dir = LocalDir::Disk(self.dir.path().into());
        SessionServices {
            dirs: [("context".to_owned(), dir.clone()), ("dockerfile".to_owned(), dir)].into(),
            secrets: self.request.secrets.clone(),
            ssh: self.request.ssh.clone(),
            content: ContentStores::default().export(self.store.clone()),
            ..SessionServices::new(self.sink.clone())
        }
    }

    pub async fn session(&self) -> Session {
        Session::open(&self.worker, self.services(), "e2e").await.unwrap()
    }

    pub fn spec(&self, platform: &Platform, export: Export) -> SolveSpec {
        SolveSpec {
            reference: new_ref(),
            frontend_attrs: frontend_attrs(&self.request, platform, &self.names).unwrap(),
            export,
            cache_exports: self.request.cache_to.clone(),
            entitlements: vec![],
        }
    }

    pub async fn solve(
        &self,
        session: &Session,
        platform: &Platform,
        export: Export,
    ) -> Result<SolveOutcome, SolveError> {
        let events = self.sink.for_platform(platform);
        self.worker.solve(session, self.spec(platform, export), &events).await
    }

    /// The events so far.
    pub fn events(&mut self) -> Vec<EventKind> {
        std::iter::from_fn(|| self.events.try_recv().ok()).map(|event| event.kind).collect()
    }
}

/// Everything that was logged, whichever step said it.
pub fn log_text(events: &[EventKind]) -> String {
    let texts = events.iter().filter_map(|event| match event {
        EventKind::VertexLog { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// A string no cache has seen.
pub fn unique() -> String {
    new_ref()
}

fn request(context: PathBuf) -> BuildRequest {
    let dockerfile = DockerfileSource::File(context.join("Dockerfile"));
    BuildRequest::of(ContextSource::Dir(context), dockerfile)
}

/// Reads a blob of the store as JSON.
pub async fn json(store: &MemoryStore, digest: &polyarch_registry::oci::Digest) -> serde_json::Value {
    use polyarch_registry::store::BlobStore;
    use tokio::io::AsyncReadExt;
    let mut bytes = Vec::new();
    store.open(digest, 0).await.unwrap().read_to_end(&mut bytes).await.unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

pub fn map(pairs: &[(&str, &str)]) -> IndexMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

pub type Metadata = BTreeMap<String, String>;
