//! The Docker API of one daemon, over any dialler.
//!
//! Owns: the handle, its calls and their errors. Bollard brings the requests and the models; the connections are ours.
//! Never: builds (BuildKit does, on its own connection) and never prunes.

mod containers;
mod error;
mod files;
mod images;
mod transport;
mod version;

use std::fmt;
use std::sync::Arc;

use bollard::{API_DEFAULT_VERSION, Docker};

pub use containers::ContainerState;
pub use error::DockerError;
pub use images::PullCredential;
pub use version::{DaemonInfo, DaemonVersion};

use self::transport::Connections;
use super::dial::Dialer;
use crate::limits::Limits;

/// A handle to one daemon's API. Cheap to clone; every request dials its own connection.
#[derive(Clone)]
pub struct DockerApi {
    dialer: Arc<dyn Dialer>,
    limits: Limits,
    docker: Docker,
    /// The same for requests that are answered only after an image was written or read.
    patient: Docker,
}

impl fmt::Debug for DockerApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerApi").field("dialer", &self.dialer).finish_non_exhaustive()
    }
}

impl DockerApi {
    /// Returns a handle; nothing is dialled yet.
    ///
    /// # Errors
    /// [`DockerError`] if bollard refuses its own address, which it does not.
    pub fn new(dialer: Arc<dyn Dialer>, limits: &Limits) -> Result<Self, DockerError> {
        let connections = Connections::new(Arc::clone(&dialer), limits.connect);
        // Bollard asks for unversioned paths, so the daemon answers with its newest version; nothing to negotiate.
        let docker = Docker::connect_with_custom_transport(
            move |request| connections.request(request),
            Some("http://localhost"),
            limits.docker_request.as_secs(),
            API_DEFAULT_VERSION,
        )
        .map_err(|error| DockerError::new("prepare a connection", error))?;
        let patient = docker.clone().with_timeout(limits.docker_image);
        Ok(Self { dialer, limits: limits.clone(), docker, patient })
    }

    /// Returns the same daemon through fresh connections, for use on another runtime.
    pub(crate) fn fresh(&self) -> Result<Self, DockerError> {
        Self::new(Arc::clone(&self.dialer), &self.limits)
    }

    /// Returns the way to the daemon.
    pub fn dialer(&self) -> &Arc<dyn Dialer> {
        &self.dialer
    }

    /// Returns the limits requests keep.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}
