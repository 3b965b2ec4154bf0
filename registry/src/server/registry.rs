//! The registry without its sockets: a request in, a response out.
//!
//! Owns: dispatch from [`Route`] to handlers, what they share. Never: listens, spawns.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::EXPECT;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::access::Users;
use super::body::RequestBody;
use super::disk::{Disk, MetaError};
use super::error::ApiError;
use super::manifests::Push;
use super::query::Query;
use super::respond::Reply;
use super::route::Route;
use super::sessions::Sessions;
use super::uploads::Target;
use super::{blobs, discovery, manifests, uploads};
use crate::store::BlobStore;

/// What clients look for to see that this is a registry.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// How much of a refused request's body is read, so that the answer gets through.
const DRAIN_LIMIT: u64 = 16 * 1024 * 1024;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(10);

/// What a registry allows.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Whether tags, manifests and blobs may be deleted.
    pub delete: bool,
    /// Whether nothing may be written at all.
    pub read_only: bool,
    /// Largest blob in bytes; a larger one is answered with 413.
    pub blob_limit: Option<u64>,
    /// Who may use the registry; `None` is everyone.
    pub users: Option<Users>,
    /// How long a request may go without sending a byte of its body.
    pub body_idle: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { delete: false, read_only: false, blob_limit: None, users: None, body_idle: Duration::from_secs(60) }
    }
}

/// Held between having bytes and naming them; see [`Registry::naming`].
#[must_use]
pub(super) struct Naming(#[allow(dead_code, reason = "held, never read")] OwnedRwLockReadGuard<()>);

/// A registry. Clones share it.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn BlobStore>,
    disk: Arc<Disk>,
    sessions: Arc<Sessions>,
    options: Options,
    /// Read by who is between having bytes in the store and naming them in a repository; written by gc.
    naming: Arc<RwLock<()>>,
    /// Held by the one collection that runs.
    collecting: Mutex<()>,
}

impl Registry {
    /// Opens a registry that keeps blobs in `store` and everything else under `meta_root`. Nothing else may use
    /// `meta_root` meanwhile, and nothing but [`Registry::collect`] may remove from `store`.
    ///
    /// # Errors
    /// I/O.
    pub async fn open(store: Arc<dyn BlobStore>, meta_root: &Path, options: Options) -> Result<Self, MetaError> {
        let root = meta_root.to_owned();
        let disk = Arc::new(blocking(move || Disk::open(&root)).await?);
        let shared = Shared {
            store,
            disk,
            sessions: Arc::default(),
            options,
            naming: Arc::default(),
            collecting: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Answers one request. Dropping the future is safe at any point.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let mut body = RequestBody::new(body, self.shared.options.body_idle);
        let result = self.dispatch(&parts, &mut body).await;
        let mut response = match result {
            Ok(response) => response,
            Err(error) => {
                let drain = body.drain(DRAIN_LIMIT, parts.headers.contains_key(EXPECT));
                let _ = tokio::time::timeout(DRAIN_TIME, drain).await;
                error.into_response()
            }
        };
        tracing::debug!(method = %parts.method, path = parts.uri.path(), status = response.status().as_u16());
        response.headers_mut().insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        if parts.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        response
    }

    async fn dispatch(&self, parts: &http::request::Parts, body: &mut RequestBody) -> Result<Response<Body>, ApiError> {
        let options = &self.shared.options;
        if let Some(users) = &options.users
            && !users.admit(&parts.headers).await
        {
            return Err(ApiError::unauthorized());
        }
        let query = Query::parse(parts.uri.query());
        let headers = &parts.headers;
        let route = Route::parse(&parts.method, parts.uri.path())?;
        if options.read_only && !matches!(parts.method, Method::GET | Method::HEAD) {
            return Err(ApiError::read_only());
        }
        match route {
            Route::Version => Ok(Reply::new(StatusCode::OK).json("application/json", &json!({})).done()),
            Route::Catalog => discovery::catalog(self, &query).await,
            Route::ListTags(name) => discovery::tags(self, name, &query).await,
            Route::Referrers(name, digest) => discovery::referrers(self, name, digest, &query).await,
            Route::ReadManifest(name, reference) => manifests::read(self, name, reference).await,
            Route::PutManifest(name, reference) => {
                manifests::put(self, Push { name, reference, headers, query: &query }, body).await
            }
            Route::DeleteManifest(name, reference) => manifests::delete(self, name, reference).await,
            Route::ReadBlob(name, digest) => blobs::read(self, name, &digest, headers).await,
            Route::DeleteBlob(name, digest) => blobs::delete(self, name, digest).await,
            Route::StartUpload(name) => uploads::start(self, name, &query, body).await,
            Route::UploadStatus(name, id) => uploads::status(self, &Target { name, id }),
            Route::AppendUpload(name, id) => uploads::append(self, &Target { name, id }, headers, body).await,
            Route::FinishUpload(name, id) => uploads::finish(self, &Target { name, id }, (headers, &query), body).await,
            Route::CancelUpload(name, id) => uploads::cancel(self, &Target { name, id }),
        }
    }

    pub(super) fn store(&self) -> &dyn BlobStore {
        &*self.shared.store
    }

    /// Keeps gc from removing bytes until they have a name: from before they are looked for, or committed, until
    /// [`Registry::name`] has recorded them.
    pub(super) async fn naming(&self) -> Naming {
        Naming(Arc::clone(&self.shared.naming).read_owned().await)
    }

    /// [`Registry::meta`] that gives bytes a name. The work holds the guard itself: when the client goes away the
    /// request ends at once, but the work does not.
    pub(super) async fn name<T: Send + 'static>(
        &self,
        naming: Naming,
        work: impl FnOnce(&Disk) -> Result<T, MetaError> + Send + 'static,
    ) -> Result<T, MetaError> {
        self.meta(move |disk| {
            let done = work(disk);
            drop(naming);
            done
        })
        .await
    }

    /// Waits until nobody is naming anything, and keeps everyone from starting.
    pub(super) async fn unnamed(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.shared.naming).write_owned().await
    }

    pub(super) async fn collecting(&self) -> MutexGuard<'_, ()> {
        self.shared.collecting.lock().await
    }

    pub(super) fn disk(&self) -> &Disk {
        &self.shared.disk
    }

    pub(super) fn sessions(&self) -> &Arc<Sessions> {
        &self.shared.sessions
    }

    /// Checks the size a blob has, or is going to have.
    pub(super) fn admit_size(&self, bytes: u64) -> Result<(), ApiError> {
        match self.shared.options.blob_limit {
            Some(limit) if bytes > limit => Err(ApiError::blob_too_large(limit)),
            _ => Ok(()),
        }
    }

    /// Refuses a delete where deleting is switched off.
    pub(super) fn may_delete(&self, allow: &str) -> Result<(), ApiError> {
        if self.shared.options.delete { Ok(()) } else { Err(ApiError::delete_disabled(allow)) }
    }

    /// Works on the metadata on a blocking thread. Dropped half-way, the work ends on its own; it is short and
    /// leaves the metadata valid.
    pub(super) async fn meta<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> Result<T, MetaError> + Send + 'static,
    ) -> Result<T, MetaError> {
        let disk = Arc::clone(&self.shared.disk);
        blocking(move || work(&disk)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, MetaError> + Send + 'static,
) -> Result<T, MetaError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(error) => {
            let source = std::io::Error::other(error);
            Err(MetaError::Io { action: "finish work in", path: "registry".into(), source })
        }
    }
}
