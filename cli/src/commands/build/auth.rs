//! What the daemons get of the user's credentials.
//!
//! Owns: answering a daemon that must log in: with a token for the repositories it reads, fetched here, so that the
//! password stays here; with the password only where the registry takes nothing else. Never: decides whether an
//! endpoint or a registry may have a secret; the registry client does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use polyarch_builder::buildkit::session::{Credentials, RegistryAuth, Token, TokenRequest};
use polyarch_builder::request::CacheSpec;
use polyarch_builder::secret::Secret;
use polyarch_registry::client::{Registry, TokenLoan};
use polyarch_registry::oci::Reference;
use polyarch_registry::verify::chain;

use crate::settings::BuildSettings;
use crate::settings::transfer::Way;
use crate::text::escape;

/// Returns what answers the daemons of this build.
pub(super) fn of(settings: &BuildSettings) -> Arc<dyn RegistryAuth> {
    Arc::new(Lender { registry: Registry::new(settings.registries.clone()), push: pushes(settings) })
}

struct Lender {
    registry: Registry,
    /// Repositories the daemons push to, by host.
    push: BTreeMap<String, BTreeSet<String>>,
}

/// What a daemon is told to push: its cache, and the result with `--transfer daemon`.
fn pushes(settings: &BuildSettings) -> BTreeMap<String, BTreeSet<String>> {
    let caches = settings.request.cache_to.iter().filter_map(cache_repository);
    let results = match settings.transfer {
        Way::Daemon { .. } => settings.tags.as_slice(),
        Way::Store => &[],
    };
    let mut push = BTreeMap::<String, BTreeSet<String>>::new();
    for reference in caches.chain(results.iter().cloned()) {
        push.entry(reference.host().to_owned()).or_default().insert(reference.repository().to_owned());
    }
    push
}

fn cache_repository(cache: &CacheSpec) -> Option<Reference> {
    cache.attrs.get("ref").filter(|_| cache.kind == "registry")?.parse().ok()
}

/// BuildKit asks by the API's host, references and Docker's configuration have the registry's (`authprovider.go`).
fn canonical(host: &str) -> &str {
    if host == "registry-1.docker.io" { "docker.io" } else { host }
}

impl RegistryAuth for Lender {
    fn credentials<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Option<Credentials>> {
        let host = canonical(host);
        async move {
            if !self.fetches_tokens(host).await {
                return None;
            }
            match self.registry.lend_password(host).await {
                Ok(found) => found.map(|(username, password)| Credentials {
                    username,
                    secret: Secret::new(password.expose().as_bytes().to_vec()),
                }),
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(error, host, "the daemon gets no password for a registry that cannot be asked");
                    None
                }
            }
        }
        .boxed()
    }

    fn fetches_tokens<'a>(&'a self, host: &'a str) -> BoxFuture<'a, bool> {
        let host = canonical(host);
        async move {
            self.registry.can_lend(host).await.unwrap_or_else(|error| {
                let error = chain(&error);
                tracing::warn!(error, host, "credentials cannot be read; the daemon goes on without");
                false
            })
        }
        .boxed()
    }

    fn fetch_token<'a>(&'a self, request: &'a TokenRequest) -> BoxFuture<'a, Result<Token, String>> {
        let host = canonical(&request.host);
        async move {
            let none = BTreeSet::new();
            let loan = TokenLoan {
                host,
                realm: &request.realm,
                service: &request.service,
                scopes: &request.scopes,
                push: self.push.get(host).unwrap_or(&none),
            };
            let lent = self.registry.lend_token(loan).await.map_err(|error| escape(&chain(&error)))?;
            let token = Secret::new(lent.secret.expose().as_bytes().to_vec());
            Ok(Token { token, expires_in: lent.lifetime.as_secs() })
        }
        .boxed()
    }
}
