//! Proving who we are (distribution, "Token Authentication Specification"; RFC 7617; RFC 6750).
//!
//! Owns: what each host asked for, tokens and credentials by host and scope, their renewal.
//! Credentials are bound to the exact host of the reference, and tokens to the scope polyarch asked
//! for. Never: sends anything secret to a place [`realm`] has not accepted.

pub(crate) mod challenge;
mod lend;
mod realm;
mod token;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use url::Url;

use challenge::Challenge;
use token::Token;

pub use lend::{LentToken, TokenLoan};

use super::credentials::Credential;
use super::error::{ClientError, Fault};
use super::once::OnceMap;
use super::pool::Pool;
use super::settings::{Config, HostSettings};

/// What a request does to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Access {
    Pull,
    Push,
    Delete,
    /// The list of repositories; there is no repository in the scope.
    Catalog,
}

/// One repository and what is done to it, as a token's scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Scope {
    pub(crate) repository: String,
    pub(crate) access: Access,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
            Access::Delete => "pull,delete",
            Access::Catalog => return f.write_str("registry:catalog:*"),
        };
        write!(f, "repository:{}:{actions}", self.repository)
    }
}

/// Who asks whom for what.
pub(crate) struct Subject<'a> {
    /// Host as in the reference: the key of credentials.
    pub(crate) host: &'a str,
    /// Root URL of its API.
    pub(crate) base: &'a Url,
    /// What a file says about the host for this use of it.
    pub(crate) given: Option<&'a HostSettings>,
    /// Everything one request touches. A mount touches two repositories.
    pub(crate) scopes: BTreeSet<Scope>,
}

/// A host as it is used: what it asks for, and gives, as a mirror that is trusted more counts there only.
type Place = (String, Option<HostSettings>);

impl Subject<'_> {
    fn place(&self) -> Place {
        (self.host.to_owned(), self.given.cloned())
    }

    /// The repository whose credentials are used: the one that is written to, else the first.
    fn repository(&self) -> &str {
        let main = self.scopes.iter().max_by_key(|scope| scope.access);
        main.map(|scope| scope.repository.as_str()).unwrap_or_default()
    }
}

/// An `Authorization` header and where it came from.
#[derive(Debug, Clone)]
pub(crate) struct Authorization {
    pub(crate) value: HeaderValue,
    token: Option<(TokenKey, Arc<Token>)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TokenKey {
    place: Place,
    credentials_of: String,
    scopes: BTreeSet<Scope>,
}

pub(crate) struct Auth {
    config: Arc<Config>,
    pool: Arc<Pool>,
    asked: Mutex<HashMap<Place, Challenge>>,
    tokens: OnceMap<TokenKey, Arc<Token>>,
    credentials: OnceMap<(String, String), Option<Credential>>,
    /// Whether a host has any.
    known: OnceMap<String, bool>,
}

impl Auth {
    pub(crate) fn new(config: Arc<Config>, pool: Arc<Pool>) -> Self {
        let (tokens, credentials) = (OnceMap::default(), OnceMap::default());
        Self { config, pool, asked: Mutex::default(), tokens, credentials, known: OnceMap::default() }
    }

    /// Returns whether a host has asked who we are.
    pub(crate) fn was_asked(&self, host: &str) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.keys().any(|(asking, _)| asking == host)
    }

    /// Returns the header for a first try, if the host is known to want one.
    pub(crate) async fn current(&self, subject: &Subject<'_>) -> Result<Option<Authorization>, ClientError> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(&subject.place()).cloned();
        match asked {
            Some(challenge) => self.authorize(subject, &challenge).await,
            None => Ok(None),
        }
    }

    /// Returns the header for the second try after a 401, or `None` if there is nothing better to offer.
    pub(crate) async fn answer<'a>(
        &self,
        subject: &Subject<'_>,
        challenges: impl IntoIterator<Item = &'a str>,
        rejected: Option<&Authorization>,
    ) -> Result<Option<Authorization>, ClientError> {
        let Some(challenge) = challenge::select(challenges) else { return Ok(None) };
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(subject.place(), challenge.clone());
        if let Some((key, token)) = rejected.and_then(|rejected| rejected.token.as_ref()) {
            self.tokens.forget_if(key, |present| Arc::ptr_eq(present, token));
        }
        let next = self.authorize(subject, &challenge).await?;
        // The same answer again would get the same 401.
        Ok(next.filter(|next| rejected.is_none_or(|rejected| rejected.value != next.value)))
    }

    async fn authorize(
        &self,
        subject: &Subject<'_>,
        challenge: &Challenge,
    ) -> Result<Option<Authorization>, ClientError> {
        let credential = self.credential(subject).await?;
        match (challenge, credential) {
            (_, Some(Credential::Registry(token))) => plain(subject, &format!("Bearer {}", token.expose())).map(Some),
            (Challenge::Basic, Some(Credential::Password { username, password })) => {
                plain(subject, &basic(&username, password.expose())).map(Some)
            }
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { realm, service }, credential) => {
                let grant = token::Grant { realm, service: service.as_deref(), credential };
                self.bearer(subject, grant).await.map(Some)
            }
        }
    }

    async fn credential(&self, subject: &Subject<'_>) -> Result<Option<Credential>, ClientError> {
        let key = (subject.host.to_owned(), subject.repository().to_owned());
        let found = self.credentials.get_or_try_init(&key, async {
            self.config.credentials.find(&key.0, &key.1, self.config.limits.helper_timeout).await
        });
        found.await.map_err(|error| ClientError::at(subject.host, Fault::Credentials(error)))
    }

    /// Returns a token that covers the scopes, from the cache while it is fresh.
    async fn bearer(&self, subject: &Subject<'_>, grant: token::Grant<'_>) -> Result<Authorization, ClientError> {
        let key = |scopes| TokenKey { place: subject.place(), credentials_of: subject.repository().to_owned(), scopes };
        let wider = key(subject.scopes.iter().map(|s| Scope { access: Access::Push, ..s.clone() }).collect());
        let key = key(subject.scopes.clone());
        let pulls = key.scopes.iter().all(|scope| scope.access == Access::Pull);
        if let Some(token) = self.tokens.get(&wider).filter(|token| pulls && token.is_fresh()) {
            return token.header(subject, wider);
        }
        self.tokens.forget_if(&key, |token| !token.is_fresh());
        let fetch = async { token::fetch(&self.config, &self.pool, subject, grant).await.map(Arc::new) };
        let token = self.tokens.get_or_try_init(&key, fetch).await?;
        token.header(subject, key)
    }
}

fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
}

fn plain(subject: &Subject<'_>, text: &str) -> Result<Authorization, ClientError> {
    let value = secret_header(text).map_err(|fault| ClientError::at(subject.host, fault))?;
    Ok(Authorization { value, token: None })
}

/// Returns a header value that `Debug` does not show.
fn secret_header(text: &str) -> Result<HeaderValue, Fault> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Fault::Protocol("a token has characters that a header cannot hold".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
