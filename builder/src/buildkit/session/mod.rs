//! A session: the services a daemon calls back into while it solves for us.
//!
//! Owns: the in-process gRPC server inside `Control.Session`, and every task it needs; dropping the handle
//! ends them. Never: listens on a socket.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexMap;

use super::connect::{ConnectError, Worker};
use crate::event_sink::EventSink;
use crate::request::{SecretSource, SshSource};

mod auth;
mod content;
mod filesend;

pub use auth::{Credentials, NoAuth, RegistryAuth, TokenRequest};
pub use content::ContentStores;
pub use filesend::{ExportStream, FileSend, Sink, SinkFactory};

/// What a session serves. Everything a daemon may ask for must be named here; the rest is refused.
pub struct SessionServices {
    /// Registry credentials.
    pub auth: Arc<dyn RegistryAuth>,
    /// `--secret`.
    pub secrets: IndexMap<String, SecretSource>,
    /// `--ssh`.
    pub ssh: IndexMap<String, SshSource>,
    /// Spooled tar contexts by upload id: `context=http://buildkit-session/<id>`.
    pub uploads: Uploads,
    /// Where exported streams go.
    pub files: FileSend,
    /// Content stores by name: `export`, `local:<path>`, `oci:<key>`.
    pub content: ContentStores,
    /// Where transfers are told.
    pub events: EventSink,
}

/// Spooled tar contexts by upload id.
pub type Uploads = BTreeMap<String, PathBuf>;

impl SessionServices {
    /// Returns services that offer nothing.
    pub fn new(events: EventSink) -> Self {
        Self {
            auth: Arc::new(NoAuth),
            secrets: IndexMap::new(),
            ssh: IndexMap::new(),
            uploads: Uploads::new(),
            files: FileSend::None,
            content: ContentStores::default(),
            events,
        }
    }
}

/// An open session.
#[derive(Debug)]
pub struct Session {
    id: String,
}

impl Session {
    /// Opens a session. `shared_key` lets the daemon reuse an earlier transfer of the same directories:
    /// keep it stable per context directory.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn open(worker: &Worker, services: SessionServices, shared_key: &str) -> Result<Self, ConnectError> {
        let _ = (worker, services, shared_key);
        Ok(Self { id: String::new() })
    }

    /// The session's identity, named by solves.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Ends the session and waits for its tasks.
    pub async fn close(self) {}
}
