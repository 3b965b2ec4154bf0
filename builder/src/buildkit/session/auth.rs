//! Registry credentials for the daemon.
//!
//! Owns: moby.filesync.v1.Auth. Never: stores a credential.

use futures::future::BoxFuture;

use crate::secret::Secret;

/// What the daemon may log in with.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// User name; empty with an identity token.
    pub username: String,
    /// Password or identity token.
    pub secret: Secret,
}

/// A bearer token the daemon wants fetched for it (BuildKit `session/auth`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// Registry host.
    pub host: String,
    /// `client_id`.
    pub client_id: String,
    /// Token server, from the registry's challenge: untrusted.
    pub realm: String,
    /// `service`.
    pub service: String,
    /// Scopes.
    pub scopes: Vec<String>,
}

/// Gives credentials for registries.
pub trait RegistryAuth: Send + Sync {
    /// Returns the credentials for a host, or `None` to go anonymously.
    fn credentials<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Option<Credentials>>;

    /// Fetches a bearer token so that the password need not leave this process. `None`: not offered;
    /// the daemon then asks for the credentials.
    fn fetch_token<'a>(&'a self, request: &'a TokenRequest) -> BoxFuture<'a, Option<Secret>> {
        let _ = request;
        Box::pin(async { None })
    }
}

/// Anonymous everywhere.
#[derive(Debug, Clone, Copy)]
pub struct NoAuth;

impl RegistryAuth for NoAuth {
    fn credentials<'a>(&'a self, _host: &'a str) -> BoxFuture<'a, Option<Credentials>> {
        Box::pin(async { None })
    }
}
