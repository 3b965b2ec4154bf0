//! Registry credentials for the daemons: what they pull bases with.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use polyarch_builder::buildkit::session::{Credentials, RegistryAuth};
use polyarch_builder::secret::Secret;
use polyarch_registry::client::{Config, Credential, CredentialSources};

/// A credential helper may ask a keychain, which may ask the user.
const PATIENCE: Duration = Duration::from_secs(30);

/// Returns the credentials of this machine's user, as the registry client finds them.
pub(super) fn of(registries: &Config) -> Arc<dyn RegistryAuth> {
    Arc::new(Found(registries.credentials.clone()))
}

struct Found(CredentialSources);

impl RegistryAuth for Found {
    fn credentials<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Option<Credentials>> {
        let host = if host == "registry-1.docker.io" { "docker.io" } else { host };
        async move {
            match self.0.find(host, "", PATIENCE).await {
                Ok(found) => found.map(credentials),
                Err(error) => {
                    tracing::warn!(%error, host, "no credentials for the daemon");
                    None
                }
            }
        }
        .boxed()
    }
}

fn credentials(found: Credential) -> Credentials {
    let (username, secret) = match found {
        Credential::Password { username, password } => (username, password),
        Credential::Identity(token) | Credential::Registry(token) => (String::new(), token),
    };
    Credentials { username, secret: Secret::new(secret.expose().as_bytes().to_vec()) }
}
