//! Registries as commands use them: one client a process, and credentials for the daemons.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use polyarch_builder::buildkit::session::{Credentials, RegistryAuth};
use polyarch_builder::secret::Secret;
use polyarch_registry::client::{Config, Credential, CredentialSources, Registry};

/// A credential helper may ask a keyring, which may ask the user.
const HELPER_TIMEOUT: Duration = Duration::from_secs(60);

/// Access to registries with the user's credentials and certificates.
#[derive(Clone)]
pub struct RegistryAccess {
    client: Registry,
    auth: Arc<DaemonAuth>,
}

impl RegistryAccess {
    /// Returns access by these settings; nothing is read or connected yet.
    pub fn new(config: &Config) -> Self {
        let auth = DaemonAuth { sources: config.credentials.clone() };
        Self { client: Registry::new(config.clone()), auth: Arc::new(auth) }
    }

    /// Returns the client; clones share connections and tokens.
    pub fn client(&self) -> Registry {
        self.client.clone()
    }

    /// Returns what answers a daemon that asks for credentials.
    pub fn auth(&self) -> Arc<dyn RegistryAuth> {
        self.auth.clone()
    }
}

struct DaemonAuth {
    sources: CredentialSources,
}

impl RegistryAuth for DaemonAuth {
    fn credentials<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Option<Credentials>> {
        // BuildKit asks by the API's host, Docker's configuration knows the registry's (`authprovider.go`).
        let host = if host == "registry-1.docker.io" { "docker.io" } else { host };
        Box::pin(async move {
            match self.sources.find(host, "", HELPER_TIMEOUT).await {
                Ok(found) => found.and_then(for_daemon),
                Err(error) => {
                    tracing::warn!(host, %error, "credentials cannot be read; the daemon goes on without");
                    None
                }
            }
        })
    }
}

fn for_daemon(credential: Credential) -> Option<Credentials> {
    match credential {
        Credential::Password { username, password } => {
            Some(Credentials { username, secret: Secret::new(password.expose()) })
        }
        // BuildKit takes a secret without a user name as an identity token.
        Credential::Identity(token) => {
            Some(Credentials { username: String::new(), secret: Secret::new(token.expose()) })
        }
        // A ready bearer token is for the registry itself; the daemon has no place for it.
        Credential::Registry(_) => None,
    }
}
