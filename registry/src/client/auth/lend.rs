//! What of the user's credentials another program gets that works for the user, such as a build daemon.
//!
//! Owns: fetching tokens for it, and when a password is handed out. The program's word counts for nothing: the token
//! endpoint must be one the registry itself names to us, a token is for single repositories, and a password leaves
//! only for a registry that takes nothing else. A ready token of the user's (`registrytoken`) cannot be made smaller: it
//! leaves as it is, for the exact host it is kept for, if the registry there asks for one. Never: keeps a token, which
//! its borrower keeps.

use std::collections::BTreeSet;
use std::time::Duration;

use http::{Method, StatusCode, header};
use url::Url;

use super::{Access, Challenge, Scope, Subject, challenge, realm, token};
use crate::client::Registry;
use crate::client::credentials::Credential;
use crate::client::endpoint::refused;
use crate::client::error::{ClientError, Fault};
use crate::client::pool::same_origin;
use crate::client::reply;
use crate::client::secret::Secret;
use crate::client::text::untrusted;
use crate::oci::Reference;

/// Most scopes of one token: a build that mounts layers names a few repositories.
const MAX_SCOPES: usize = 64;

/// A token that is asked for; every text is the borrower's and untrusted.
#[derive(Debug, Clone, Copy)]
pub struct TokenLoan<'a> {
    /// Host as in a reference.
    pub host: &'a str,
    /// The token endpoint.
    pub realm: &'a str,
    /// The service the token is for; empty for none.
    pub service: &'a str,
    /// `repository:NAME:ACTIONS`. Actions beyond `pull` are dropped, as are other types of resources.
    pub scopes: &'a [String],
    /// Repositories of this host that the borrower may also push to.
    pub push: &'a BTreeSet<String>,
}

/// A token for another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LentToken {
    /// The token.
    pub secret: Secret,
    /// How long it is good for, from now.
    pub lifetime: Duration,
}

impl Registry {
    /// Returns whether there is a credential for the host or a repository of it. Where there is none, nothing can be
    /// lent and the other program is as anonymous as we are.
    ///
    /// # Errors
    /// [`ErrorKind::Local`](crate::client::ErrorKind::Local) where credentials cannot be read.
    pub async fn can_lend(&self, host: &str) -> Result<bool, ClientError> {
        let key = host.to_owned();
        let config = &self.inner.config;
        let known = async { config.credentials.knows(host, config.limits.helper_timeout).await };
        let known = self.inner.auth.known.get_or_try_init(&key, known).await;
        known.map_err(|error| ClientError::at(host, Fault::Credentials(error)))
    }

    /// Fetches a token with the user's credential for the repository (or anonymously, where there is none).
    ///
    /// # Errors
    /// [`ErrorKind::Unsafe`](crate::client::ErrorKind::Unsafe) for an endpoint that is neither at the registry's host and
    /// port nor named by the registry's own challenge, and for a loan without a scope that may be lent; else what the registry
    /// or the endpoint answers.
    pub async fn lend_token(&self, loan: TokenLoan<'_>) -> Result<LentToken, ClientError> {
        let scopes = scopes(loan.scopes, loan.push);
        if scopes.is_empty() {
            let scopes = format!("{:?}", untrusted(&loan.scopes.join(" "), 128));
            return Err(ClientError::at(loan.host, Fault::NotLent { scopes }));
        }
        let plan = self.plan(loan.host).await?;
        let given = plan.itself(loan.host);
        let base = self.inner.pool.base(loan.host, given).await?;
        let subject = Subject { host: loan.host, base: &base, given, scopes };
        let credential = self.inner.auth.credential(&subject).await?;
        self.check_endpoint(&subject, &loan).await?;
        // Made elsewhere, so no endpoint narrows it, and without it the borrower could do nothing at all.
        if let Some(Credential::Registry(secret)) = credential {
            if !self.wants_bearer(&subject).await? {
                let scopes = format!("{:?}", untrusted(&loan.scopes.join(" "), 128));
                return Err(ClientError::at(loan.host, Fault::NotLent { scopes }));
            }
            return Ok(LentToken { secret, lifetime: token::DEFAULT_LIFETIME });
        }
        self.retrying(|| async {
            let service = Some(loan.service).filter(|service| !service.is_empty());
            let grant = token::Grant { realm: loan.realm, service, credential: credential.clone() };
            let fetched = token::fetch(&self.inner.config, &self.inner.pool, &subject, grant).await?;
            Ok(fetched.lend())
        })
        .await
    }

    /// Returns the user name and password for a host that we were asked for by Basic ourselves.
    ///
    /// # Errors
    /// Credentials that cannot be read, or a registry that cannot be asked what it wants.
    pub async fn lend_password(&self, host: &str) -> Result<Option<(String, Secret)>, ClientError> {
        let plan = self.plan(host).await?;
        let given = plan.itself(host);
        let base = self.inner.pool.base(host, given).await?;
        let subject = Subject { host, base: &base, given, scopes: BTreeSet::new() };
        if self.challenged(&subject, "v2/").await? != Some(Challenge::Basic) {
            return Ok(None);
        }
        Ok(match self.inner.auth.credential(&subject).await? {
            Some(Credential::Password { username, password }) => Some((username, password)),
            _ => None,
        })
    }

    /// Accepts an endpoint at the registry's own host and port, or one that the registry names when we ask it: another
    /// port may be another's.
    async fn check_endpoint(&self, subject: &Subject<'_>, loan: &TokenLoan<'_>) -> Result<(), ClientError> {
        let at = |fault| ClientError::at(subject.host, fault);
        let endpoint = realm::check(&self.inner.config, subject.base, loan.realm).map_err(at)?;
        if same_origin(&endpoint, subject.base) {
            return Ok(());
        }
        match self.asks(subject, |challenge| names(challenge, &endpoint, loan.service)).await? {
            true => Ok(()),
            false => Err(at(refused(&endpoint, "it is a token endpoint the registry does not name"))),
        }
    }

    /// Whether the registry takes tokens at all: one that does not has no use for the user's.
    async fn wants_bearer(&self, subject: &Subject<'_>) -> Result<bool, ClientError> {
        self.asks(subject, |challenge| matches!(challenge, Challenge::Bearer { .. })).await
    }

    async fn asks(&self, subject: &Subject<'_>, it: impl Fn(&Challenge) -> bool) -> Result<bool, ClientError> {
        // Some registries let everybody see their root, and ask at a repository only.
        for path in ["v2/".to_owned(), format!("v2/{}/manifests/latest", subject.repository())] {
            if self.challenged(subject, &path).await?.is_some_and(|challenge| it(&challenge)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Asks without any authorization, and returns what the registry wants.
    async fn challenged(&self, subject: &Subject<'_>, path: &str) -> Result<Option<Challenge>, ClientError> {
        let (host, base) = (subject.host, subject.base);
        let url =
            base.join(path).map_err(|_| ClientError::at(host, Fault::Protocol(format!("{path:?} is not a path"))))?;
        let on = |fault| ClientError::on(host, &Method::GET, &url, fault);
        let client = self.inner.pool.own(host, &url, subject.given).await.map_err(on)?;
        self.retrying(|| async {
            let request = reqwest::Request::new(Method::GET, url.clone());
            let answer = reply::send(&client, request, &self.inner.config.limits, None).await.map_err(on)?;
            if answer.status() != StatusCode::UNAUTHORIZED {
                return Ok(None);
            }
            let asked = answer.headers().get_all(header::WWW_AUTHENTICATE);
            Ok(challenge::select(asked.iter().filter_map(|value| value.to_str().ok())))
        })
        .await
    }
}

fn names(challenge: &Challenge, endpoint: &Url, wanted: &str) -> bool {
    match challenge {
        Challenge::Basic => false,
        Challenge::Bearer { realm, service } => {
            let same = Url::parse(realm).is_ok_and(|mut realm| {
                realm.set_fragment(None);
                realm == *endpoint
            });
            same && service.as_deref().unwrap_or_default() == wanted
        }
    }
}

/// The scopes that are lent of those asked for.
fn scopes(asked: &[String], push: &BTreeSet<String>) -> BTreeSet<Scope> {
    // BuildKit may join several with a space.
    let texts = asked.iter().flat_map(|text| text.split(' '));
    texts.filter_map(|text| scope(text, push)).take(MAX_SCOPES).collect()
}

fn scope(text: &str, push: &BTreeSet<String>) -> Option<Scope> {
    let (name, actions) = text.strip_prefix("repository:")?.rsplit_once(':')?;
    // A name that is also a path: nothing in it may lead elsewhere.
    let parsed: Reference = format!("host.invalid/{name}").parse().ok()?;
    if parsed.repository() != name {
        return None;
    }
    let has = |wanted: &str| actions.split(',').any(|action| action == wanted);
    let access = match (has("pull"), has("push") && push.contains(name)) {
        (_, true) => Access::Push,
        (true, false) => Access::Pull,
        (false, false) => return None,
    };
    Some(Scope { repository: name.to_owned(), access })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_build_needs_is_lent() {
        let push = BTreeSet::from(["team/app".to_owned()]);
        for (asked, lent) in [
            ("repository:library/busybox:pull", "repository:library/busybox:pull"),
            ("repository:team/app:pull,push", "repository:team/app:pull,push"),
            ("repository:team/app:push", "repository:team/app:pull,push"),
            ("repository:team/app:*", ""),
            ("repository:team/app:pull,push,delete", "repository:team/app:pull,push"),
            ("repository:other:pull,push", "repository:other:pull"),
            ("repository:other:push", ""),
            ("repository:other:delete", ""),
            ("repository:a:pull repository:b:pull", "repository:a:pull repository:b:pull"),
            ("registry:catalog:*", ""),
            ("repository(plugin):a:pull", ""),
            ("repository:a/../b:pull", ""),
            ("repository:a:tag:pull", ""),
            ("repository:a@b:pull", ""),
            ("repository::pull", ""),
            ("repository:a", ""),
            ("", ""),
        ] {
            let got: Vec<String> = scopes(&[asked.to_owned()], &push).iter().map(ToString::to_string).collect();
            assert_eq!(got.join(" "), lent, "{asked}");
        }
    }

    #[test]
    fn a_registry_names_its_endpoint_with_its_service() {
        let bearer = |service: Option<&str>| Challenge::Bearer {
            realm: "https://auth.example.com:443/token".to_owned(),
            service: service.map(str::to_owned),
        };
        let endpoint = |text: &str| Url::parse(text).unwrap();
        let same = endpoint("https://auth.example.com/token");
        assert!(names(&bearer(Some("s")), &same, "s"));
        assert!(names(&bearer(None), &same, ""));
        assert!(!names(&bearer(Some("s")), &same, "other"));
        assert!(!names(&bearer(Some("s")), &endpoint("https://auth.example.com/token?x=1"), "s"));
        assert!(!names(&bearer(Some("s")), &endpoint("https://evil.example.com/token"), "s"));
        assert!(!names(&Challenge::Basic, &same, ""));
    }
}
