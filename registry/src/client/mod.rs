//! A client of the OCI distribution-spec 1.1.
//!
//! Owns: connections, authorization, retries and verification of everything that is read.
//! Never: reads the environment, prints, keeps a task running, or trusts a header for what content is.
//!
//! One [`Registry`] serves a whole process: it holds the connections, tokens and limits of all hosts.
//! Its methods take a [`Reference`], whose host and repository say where to go. Every method retries
//! by [`RetryPolicy`], and every future may be dropped at any time.
//!
//! Layers, from the bottom: `reply` sends once and reads within [`Limits`]; `pool` chooses what is
//! trusted; `auth` answers challenges; `call` adds redirects and retries; the rest are the
//! operations of the specification.

mod address;
mod any_certificate;
mod auth;
mod blobs;
mod budget;
mod call;
pub mod credentials;
mod download;
mod endpoint;
mod envelope;
mod error;
mod fallback;
mod handshake;
mod limits;
mod manifests;
mod meter;
mod mirrors;
mod notes;
pub(crate) mod once;
pub mod pages;
mod payload;
mod pinned;
mod pool;
pub mod quirks;
mod referrers;
mod reply;
mod resume;
pub mod retry;
mod secret;
mod settings;
mod tags;
pub mod text;
mod trust;
mod upload;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use tokio::sync::Semaphore;

pub use any_certificate::AnyCertificate;
pub use auth::challenge::{Challenge, select as select_challenge};
pub use auth::{LentToken, TokenLoan};
pub use credentials::{Credential, CredentialError, CredentialSources};
pub use download::Download;
pub use endpoint::is_loopback;
pub use envelope::RegistryMessage;
pub use error::{ClientError, ErrorKind, Fault};
pub use fallback::fallback_tag;
pub use limits::Limits;
pub use manifests::{ManifestHead, Pushed};
pub use notes::RateLimit;
pub use payload::{BlobSource, BytesSource, Progress};
pub use quirks::{Quirks, UploadStyle};
pub use referrers::Referrers;
pub use retry::RetryPolicy;
pub use secret::Secret;
pub use settings::{ClientCert, Config, HostSettings, ProxyMode, RealmPolicy, Security};
pub use tags::{RepositoryList, TagList};
pub use upload::{Mounted, Session};

use crate::oci::Reference;
use ErrorKind as Kind;

/// A client of all registries a process talks to. Clones share everything but the observer, the use of mirrors and the
/// retry policy.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
    observer: Option<Observer>,
    /// Whether mirrors are left out.
    own_only: bool,
    /// Instead of the settings' own.
    retry: Option<RetryPolicy>,
}

struct Inner {
    config: Arc<Config>,
    pool: Arc<pool::Pool>,
    auth: auth::Auth,
    notes: notes::Notes,
    budget: budget::Budget,
    mirrors: mirrors::Mirrors,
    slots: Mutex<HashMap<String, Arc<Semaphore>>>,
    fallbacks: fallback::TagLocks,
}

/// Is told before each new attempt.
pub type Observer = Arc<dyn Fn(RetryNotice) + Send + Sync>;

/// A request failed and will be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryNotice {
    /// Host of the reference.
    pub host: String,
    /// Method and URL, without secrets.
    pub request: String,
    /// Why the attempt failed.
    pub reason: ErrorKind,
    /// The same in words, escaped.
    pub detail: String,
    /// Number of the failed attempt, from 1.
    pub attempt: u32,
    /// Time until the next one.
    pub delay: Duration,
}

impl Registry {
    /// Returns a client; nothing is read or connected yet.
    pub fn new(config: Config) -> Self {
        let config = Arc::new(config);
        let pool = Arc::new(pool::Pool::new(Arc::clone(&config)));
        let auth = auth::Auth::new(Arc::clone(&config), Arc::clone(&pool));
        let (notes, budget, slots) = (notes::Notes::default(), budget::Budget::default(), Mutex::default());
        let mirrors = mirrors::Mirrors::default();
        let fallbacks = fallback::TagLocks::default();
        let inner = Inner { config, pool, auth, notes, budget, mirrors, slots, fallbacks };
        Self { inner: Arc::new(inner), observer: None, own_only: false, retry: None }
    }

    /// Returns the same client with another observer of retries.
    #[must_use]
    pub fn with_observer(&self, observer: Observer) -> Self {
        Self { observer: Some(observer), ..self.clone() }
    }

    /// Returns the same client, which asks each registry itself and none of its mirrors. Whoever writes needs it: that
    /// a mirror has something, perhaps from long ago, does not mean that the registry has it.
    #[must_use]
    pub fn without_mirrors(&self) -> Self {
        Self { own_only: true, ..self.clone() }
    }

    /// Returns the same client, which repeats requests by another policy.
    #[must_use]
    pub fn with_retry(&self, policy: RetryPolicy) -> Self {
        Self { retry: Some(policy), ..self.clone() }
    }

    /// Returns how requests are repeated.
    pub(crate) fn retry(&self) -> &RetryPolicy {
        self.retry.as_ref().unwrap_or(&self.inner.config.retry)
    }

    /// Returns the settings.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Returns host and text of each distinct `Warning` seen so far, escaped and sorted.
    pub fn warnings(&self) -> Vec<(String, String)> {
        self.inner.notes.warnings()
    }

    /// Returns the last rate limit a host told.
    pub fn rate_limit(&self, host: &str) -> Option<RateLimit> {
        self.inner.notes.rate(host)
    }

    /// Checks that a registry answers and lets us read the repository's API root.
    ///
    /// # Errors
    /// [`ErrorKind::NotARegistry`] where something else answers, [`ErrorKind::Unauthorized`] and others.
    pub async fn ping(&self, reference: &Reference) -> Result<(), ClientError> {
        self.enter(reference, auth::Access::Pull).await
    }

    /// Tries the credentials of a host without a repository. Returns whether the registry asked for any: one that does
    /// not has accepted nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] where they are not accepted, and others.
    pub async fn check_login(&self, host: &str) -> Result<bool, ClientError> {
        let mut call = call::Call::of_host(host, auth::Access::Pull, "v2/");
        call.scopes.clear();
        self.call(&call).await?;
        Ok(self.inner.auth.was_asked(host))
    }

    /// Learns how to authorize and gets a token that may push, so that no later request of a push
    /// needs a narrower one first.
    pub(crate) async fn enter_for_push(&self, reference: &Reference) -> Result<(), ClientError> {
        match self.enter(reference, auth::Access::Push).await {
            // Some registries keep their root from tokens of one repository; the real requests decide.
            Err(error) if matches!(error.kind(), Kind::Unauthorized | Kind::Denied | Kind::NotFound) => Ok(()),
            done => done,
        }
    }

    async fn enter(&self, reference: &Reference, access: auth::Access) -> Result<(), ClientError> {
        let mut call = call::Call::new(reference, access, Method::GET, "");
        call.target = call::Target::Path("v2/".to_owned());
        self.call(&call).await.map(drop)
    }
}

impl Inner {
    fn slots(&self, host: &str) -> Arc<Semaphore> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let per_host = self.config.limits.per_host.max(1);
        Arc::clone(slots.entry(host.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(per_host))))
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("hosts", &self.inner.config.hosts.keys()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod futures_are_send {
    use super::*;

    fn check<T: Send>(_: T) {}

    #[allow(dead_code)]
    fn all(registry: &Registry, at: &Reference, blob: &crate::oci::Descriptor, source: &BytesSource) {
        check(registry.get_manifest(at));
        check(registry.put_blob(at, blob, source, None));
        check(registry.mount_blob(at, blob, at));
        check(registry.get_blob(at, blob));
        check(registry.tags(at));
    }
}
