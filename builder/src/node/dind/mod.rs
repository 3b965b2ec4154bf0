//! Docker-in-Docker: a daemon of our own in a container on the user's Docker host.
//!
//! Owns: the container's life: image, start, readiness, removal with its volumes, and the removal of what a killed
//! process left behind. Never: touches a container without our label.

mod container;
pub mod options;

use std::sync::Arc;
use std::time::Duration;

use polyarch_registry::client::CredentialError;
use polyarch_registry::oci::Reference;
use tokio::time::Instant;

pub use options::{DindOptions, DindStore, Pull};

use super::cleanup::block_briefly;
use super::dial::Dialer;
use super::dialers::ExecDialer;
use super::docker::{DockerApi, DockerError, PullCredential};
use super::owner::{self, Owner};
use super::reach::Reach;
use crate::event::EventKind;
use crate::event_sink::EventSink;
use crate::limits::Limits;

/// Lines of the container's log in an error: dockerd's reason is near its end.
const LOG_LINES: usize = 15;
/// First wait between two questions whether the daemon is ready.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Longest wait between two questions.
const LONGEST_WAIT: Duration = Duration::from_millis(800);

/// A running Docker-in-Docker container.
///
/// [`Dind::shutdown`] removes it; that is what the ordinary and the Ctrl-C path call. Dropping the guard makes one
/// blocking attempt, bounded by `Limits::grace`; a killed process leaves the container to the next run's sweep.
#[derive(Debug)]
pub struct Dind {
    id: String,
    outer: DockerApi,
    dialer: Arc<dyn Dialer>,
    removed: bool,
}

/// Why Docker-in-Docker did not come up.
#[derive(Debug, thiserror::Error)]
pub enum DindError {
    /// The image is not there and cannot be pulled.
    #[error("image {image} is not on the Docker host and cannot be pulled; name another with dind://?image=…")]
    Image {
        /// The image.
        image: String,
        /// Cause.
        #[source]
        source: DockerError,
    },
    /// The credentials to pull the image with cannot be read.
    #[error("the credentials for image {image} cannot be read")]
    Credentials {
        /// The image.
        image: String,
        /// Cause.
        #[source]
        source: CredentialError,
    },
    /// The image is not there and must not be pulled.
    #[error("image {image} is not on the Docker host and pull=never forbids pulling it")]
    ImageMissing {
        /// The image.
        image: String,
    },
    /// The container could not be created or started.
    #[error("the container from {image} could not be started")]
    Start {
        /// The image.
        image: String,
        /// Cause.
        #[source]
        source: DockerError,
    },
    /// The container ended before its daemon was ready.
    #[error("the daemon in {image} ended with exit code {exit_code}:\n{log}")]
    Ended {
        /// The image.
        image: String,
        /// Its exit code.
        exit_code: i64,
        /// The last lines of its log; untrusted.
        log: String,
    },
    /// The daemon did not become ready.
    #[error("the daemon in {image} was not ready after {} s; its log ends with:\n{log}", .waited.as_secs())]
    NotReady {
        /// The image.
        image: String,
        /// How long it was given.
        waited: Duration,
        /// The last lines of its log; untrusted.
        log: String,
        /// Why the last attempt to reach it failed.
        #[source]
        source: DockerError,
    },
    /// The Docker host failed in between.
    #[error("the Docker host failed while the container started")]
    Host(#[source] DockerError),
}

impl Dind {
    /// Sweeps orphans, gets the image, starts the container and waits until its daemon answers.
    ///
    /// # Errors
    /// [`DindError`]; then nothing of ours is left on the host.
    pub async fn start(outer: &DockerApi, options: &DindOptions, reach: &Reach<'_>) -> Result<Self, DindError> {
        let Reach { limits, events, .. } = *reach;
        for id in sweep(outer).await.map_err(DindError::Host)? {
            let short = id.get(..12).unwrap_or(&id);
            notice(events, format!("removed Docker-in-Docker container {short} of a run that was killed"));
        }
        ensure_image(outer, options, reach).await?;
        let in_start = |source| DindError::Start { image: options.image.clone(), source };
        let owner = Owner::this();
        let name = format!("polyarch-dind-{}-{:08x}", owner.pid, rand::random::<u32>());
        let dialer = Arc::new(ExecDialer::docker(outer.clone(), &name));
        // The guard is there before the container: the request may succeed after its future was dropped.
        let mut dind = Self { id: name.clone(), outer: outer.clone(), dialer, removed: false };
        dind.id = outer.create_container(&name, container::body(options, &owner)).await.map_err(in_start)?;
        let begun = async {
            dind.configure(options).await?;
            outer.start_container(&dind.id).await
        };
        let started = match begun.await.map_err(in_start) {
            Ok(()) => dind.ready(options, limits).await,
            Err(error) => Err(error),
        };
        match started {
            Ok(()) => Ok(dind),
            Err(error) => {
                dind.remove().await;
                Err(error)
            }
        }
    }

    /// Tells the daemon where to keep images, in its file: as an argument, a daemon that does not know it would not
    /// start. A file that is there already is the image's or the user's own.
    async fn configure(&self, options: &DindOptions) -> Result<(), DockerError> {
        if !options.sets_store() || self.outer.has_file(&self.id, container::DAEMON_FILE).await? {
            return Ok(());
        }
        let file = container::daemon_file(options.store);
        self.outer.put_file(&self.id, container::DAEMON_FILE, file.as_bytes()).await
    }

    /// Returns the way to the Docker API inside.
    pub fn dialer(&self) -> &Arc<dyn Dialer> {
        &self.dialer
    }

    /// Returns the container's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Kills and removes the container with its volumes.
    ///
    /// # Errors
    /// [`DockerError`]; the guard then tries again when it is dropped.
    pub async fn shutdown(mut self) -> Result<(), DockerError> {
        self.outer.remove_container(&self.id).await?;
        self.removed = true;
        Ok(())
    }

    async fn remove(&mut self) {
        match self.outer.remove_container(&self.id).await {
            Ok(()) => self.removed = true,
            Err(error) => tracing::warn!(%error, container = self.id, "could not remove the container"),
        }
    }

    async fn ready(&self, options: &DindOptions, limits: &Limits) -> Result<(), DindError> {
        let image = || options.image.clone();
        let inner = DockerApi::new(Arc::clone(&self.dialer), limits).map_err(DindError::Host)?;
        let begin = Instant::now();
        let mut wait = FIRST_WAIT;
        loop {
            let failed = match tokio::time::timeout(limits.connect, inner.ping()).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => DockerError::TimedOut { action: "ping the daemon" },
            };
            let state = self.outer.container_state(&self.id).await.map_err(DindError::Host)?;
            if let Some(exit_code) = state.exit_code {
                return Err(DindError::Ended { image: image(), exit_code, log: self.log().await });
            }
            let waited = begin.elapsed();
            if waited > limits.dind_ready {
                return Err(DindError::NotReady { image: image(), waited, log: self.log().await, source: failed });
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn log(&self) -> String {
        match self.outer.container_log(&self.id, LOG_LINES).await {
            Ok(log) if log.trim().is_empty() => "(the log is empty)".to_owned(),
            Ok(log) => log.trim_end().to_owned(),
            Err(error) => format!("(the log could not be read: {error})"),
        }
    }
}

impl Drop for Dind {
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        let (id, outer) = (std::mem::take(&mut self.id), self.outer.fresh());
        block_briefly("Docker-in-Docker container", self.outer.limits().grace, async move {
            let removed = match outer {
                Ok(outer) => outer.remove_container(&id).await,
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                tracing::warn!(%error, container = id, "could not remove the container; the next run will");
            }
        });
    }
}

/// Removes containers whose owner is dead and returns their ids.
async fn sweep(outer: &DockerApi) -> Result<Vec<String>, DockerError> {
    let this = Owner::this();
    let mut removed = Vec::new();
    for container in outer.labelled_containers(owner::DIND_LABEL).await? {
        if Owner::from_labels(&container.labels).is_dead(&this, owner::look) {
            match outer.remove_container(&container.id).await {
                Ok(()) => removed.push(container.id),
                // Another run sweeps the same container.
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(removed)
}

async fn ensure_image(outer: &DockerApi, options: &DindOptions, reach: &Reach<'_>) -> Result<(), DindError> {
    let (image, events) = (&options.image, reach.events);
    let present = match options.pull {
        Pull::Always => false,
        Pull::Missing | Pull::Never => outer.image(image).await.map_err(DindError::Host)?.is_some(),
    };
    match (present, options.pull) {
        (true, _) => return Ok(()),
        (false, Pull::Never) => return Err(DindError::ImageMissing { image: image.clone() }),
        (false, _) => {}
    }
    notice(events, format!("pulling {image} for Docker-in-Docker"));
    let credential = credential(image, reach).await?;
    outer.pull(image, credential).await.map_err(|source| DindError::Image { image: image.clone(), source })?;
    notice(events, format!("pulled {image}"));
    Ok(())
}

/// The user's credential for the image's registry, as `docker pull` would send it to the same daemon.
async fn credential(image: &str, reach: &Reach<'_>) -> Result<Option<PullCredential>, DindError> {
    // What is no reference is the daemon's to refuse.
    let Ok(reference) = image.parse::<Reference>() else { return Ok(None) };
    let (host, repository) = (reference.host(), reference.repository());
    let found = reach.credentials.find(host, repository, reach.limits.credential_helper).await;
    let found = found.map_err(|source| DindError::Credentials { image: image.to_owned(), source })?;
    Ok(found.map(|credential| PullCredential { host: host.to_owned(), credential }))
}

fn notice(events: &EventSink, message: String) {
    events.send(EventKind::Notice { message });
}
