//! A platform's files out of a daemon: `type=local` and `type=tar`.
//!
//! Owns: a solve of its own, on a session of its own, because a daemon does not say which solve an exported stream
//! belongs to. After a build everything comes from the daemon's cache. Never: exports caches, shows steps a second time.

mod join;
mod record;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use polyarch_registry::oci::Platform;
use tokio_util::io::SyncIoBridge;
use tokio_util::sync::CancellationToken;

use super::content::NodeSession;
use super::dispatch::Executor;
use super::outcome::{Built, PlatformError};
use super::session::{SessionError, SessionParts, open};
use crate::buildkit::attrs::{entitlements, frontend_attrs};
use crate::buildkit::session::{ExportStream, FileSend, RegistryAuth, Sink, SinkFactory};
use crate::buildkit::solve::new_ref;
use crate::buildkit::{Export, SolveError, SolveSpec, Worker};
use crate::event_sink::EventSink;
use crate::request::{BuildRequest, NoCache};

pub use join::{JoinError, TarJoiner};

/// Bytes between the daemon's stream and the tar's writer.
const PIPE: usize = 256 << 10;

/// Where the files come from.
pub struct FilesSource<'a> {
    /// The daemon that built the platform.
    pub worker: &'a Worker,
    /// Registry credentials.
    pub auth: Arc<dyn RegistryAuth>,
    /// What was built, as the daemon got it.
    pub request: BuildRequest,
    /// The platform.
    pub platform: &'a Platform,
}

/// Why a platform's files were not exported.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// No session.
    #[error("export the files of {platform}")]
    Session {
        /// Platform.
        platform: Platform,
        /// Cause.
        #[source]
        source: SessionError,
    },
    /// The session lacks something the request names: a bug.
    #[error(transparent)]
    Attrs(#[from] crate::buildkit::attrs::AttrsError),
    /// The daemon failed, or could not write here.
    #[error("export the files of {platform}")]
    Solve {
        /// Platform.
        platform: Platform,
        /// Cause.
        #[source]
        source: Box<SolveError>,
    },
    /// The tar could not be written, or what came is none.
    #[error("write the files of {platform}")]
    Tar {
        /// Platform.
        platform: Platform,
        /// Cause.
        #[source]
        source: JoinError,
    },
}

impl FilesSource<'_> {
    /// Writes the files below a directory, which is created; what else is there stays.
    ///
    /// # Errors
    /// [`FilesError`]; what was written until then stays too.
    pub async fn into_dir(&self, dir: PathBuf) -> Result<(), FilesError> {
        self.solve(FileSend::Directory(dir), Export::LocalDir).await
    }

    /// Appends the files to a tar, below `folder` if there is one. The tar comes back to be continued or finished.
    ///
    /// # Errors
    /// [`FilesError`]; the tar is useless then.
    pub async fn into_tar<W: Write + Send + 'static>(
        &self,
        mut tar: TarJoiner<W>,
        folder: Option<String>,
    ) -> Result<TarJoiner<W>, FilesError> {
        let (sink, stream) = tokio::io::duplex(PIPE);
        let stream = SyncIoBridge::new(stream);
        // It ends when the stream does: with the session at the latest.
        let writing = tokio::task::spawn_blocking(move || {
            let done = match &folder {
                Some(folder) => tar.append_below(folder, stream),
                None => tar.copy(stream),
            };
            done.map(|()| tar)
        });
        let sinks = Arc::new(OneSink(Mutex::new(Some(Box::new(sink)))));
        let solved = self.solve(FileSend::Bytes(sinks), Export::Tar).await;
        let written = writing.await.unwrap_or_else(|error| match error.is_panic() {
            true => std::panic::resume_unwind(error.into_panic()),
            false => Err(JoinError::Write(io::Error::other(error))),
        });
        let failed = |source| FilesError::Tar { platform: self.platform.clone(), source };
        match (solved, written) {
            (Ok(()), Ok(tar)) => Ok(tar),
            // A stream that broke off is the daemon's doing; that nothing more could be written is not.
            (Err(error), Ok(_) | Err(JoinError::Read(_))) => Err(error),
            (_, Err(error)) => Err(failed(error)),
        }
    }

    async fn solve(&self, files: FileSend, export: Export) -> Result<(), FilesError> {
        // Nobody listens: these steps were shown when they ran.
        let (events, _) = EventSink::channel();
        let parts =
            SessionParts { worker: self.worker, auth: Arc::clone(&self.auth), export: None, files, events: &events };
        let request = self.again();
        let opened = open(&request, parts).await;
        let (session, names) =
            opened.map_err(|source| FilesError::Session { platform: self.platform.clone(), source })?;
        let spec = SolveSpec {
            reference: new_ref(),
            frontend_attrs: frontend_attrs(&request, self.platform, &names)?,
            export,
            cache_exports: Vec::new(),
            entitlements: entitlements(&request),
        };
        let solved = self.worker.solve(&session, spec, &events).await;
        session.close().await;
        let failed = |source| FilesError::Solve { platform: self.platform.clone(), source: Box::new(source) };
        solved.map(drop).map_err(failed)
    }

    /// The same build from the daemon's cache: what had to run anew has run.
    fn again(&self) -> BuildRequest {
        BuildRequest { no_cache: NoCache::Allow, cache_to: Vec::new(), ..self.request.clone() }
    }
}

/// Builds into the daemon's cache alone, for builds whose only outputs are files.
pub struct CacheExecutor(pub Arc<NodeSession>);

impl Executor for CacheExecutor {
    fn build<'a>(
        &'a self,
        platform: &'a Platform,
        events: &'a EventSink,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Built, PlatformError>> {
        Box::pin(async move {
            let outcome = self.0.solve(platform, Export::CacheOnly, events, cancel).await?;
            Ok(Built::InCache(outcome.steps))
        })
    }
}

/// Gives its sink to the only stream of a session.
struct OneSink(Mutex<Option<Sink>>);

impl SinkFactory for OneSink {
    fn open<'a>(&'a self, _: &'a ExportStream) -> BoxFuture<'a, io::Result<Sink>> {
        let sink = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Box::pin(async move { sink.ok_or_else(|| io::Error::other("the daemon sends a second stream")) })
    }
}
