//! Getting a bearer token.
//!
//! Owns: the GET flow (password or anonymous), the OAuth2 POST flow (identity token), freshness.
//! Never: follows a redirect, or asks for another scope than the request needs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, header};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::lend::LentToken;
use super::{Authorization, Scope, Subject, TokenKey, basic, realm, secret_header};
use crate::client::credentials::Credential;
use crate::client::error::{ClientError, Fault};
use crate::client::pool::{Pool, same_origin};
use crate::client::reply::{self, Reply};
use crate::client::secret::Secret;
use crate::client::settings::Config;

/// Lifetime of a token that names none (distribution, "Token Response Fields").
pub(super) const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);
/// Longest lifetime that is believed.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// A token this close to its end is renewed, at most a fifth of its life early.
const MARGIN: Duration = Duration::from_secs(20);

/// A token with its end.
#[derive(Debug)]
pub(super) struct Token {
    secret: Secret,
    renew_at: Instant,
    ends_at: Instant,
}

impl Token {
    pub(super) fn is_fresh(&self) -> bool {
        Instant::now() < self.renew_at
    }

    /// Returns the token for another program, with what is left of its life.
    pub(super) fn lend(self) -> LentToken {
        LentToken { secret: self.secret, lifetime: self.ends_at.saturating_duration_since(Instant::now()) }
    }

    pub(super) fn header(self: Arc<Self>, subject: &Subject<'_>, key: TokenKey) -> Result<Authorization, ClientError> {
        let value = secret_header(&format!("Bearer {}", self.secret.expose()))
            .map_err(|fault| ClientError::at(subject.host, fault))?;
        Ok(Authorization { value, token: Some((key, self)) })
    }
}

/// What the registry asked for and what we have.
pub(super) struct Grant<'a> {
    pub(super) realm: &'a str,
    pub(super) service: Option<&'a str>,
    pub(super) credential: Option<Credential>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<Secret>,
    #[serde(default)]
    access_token: Option<Secret>,
    #[serde(default)]
    expires_in: Option<f64>,
}

/// Asks the realm for a token. Its failures carry the realm's URL.
pub(super) async fn fetch(
    config: &Config,
    pool: &Pool,
    subject: &Subject<'_>,
    grant: Grant<'_>,
) -> Result<Token, ClientError> {
    let host = subject.host;
    let url = realm::check(config, subject.base, grant.realm).map_err(|fault| ClientError::at(host, fault))?;
    let own = same_origin(&url, subject.base);
    let client = if own { pool.own(host, &url, subject.given).await } else { pool.foreign(subject.base, &url).await };
    let client = client.map_err(|fault| ClientError::at(host, fault))?;
    if url.host() != subject.base.host() && grant.credential.is_some() {
        tracing::info!(registry = host, realm = url.host_str(), "credentials go to the token endpoint of another host");
    }
    let request = match &grant.credential {
        Some(Credential::Identity(secret)) => oauth_request(&client, &url, &grant, (&subject.scopes, secret)),
        _ => get_request(&client, &url, &grant, &subject.scopes),
    };
    let request = request.map_err(|fault| ClientError::at(host, fault))?;
    let method = request.method().clone();
    let asked_at = Instant::now();
    let answer = ask(config, client, request).await;
    answer.map(|answer| keep(answer, asked_at)).map_err(|fault| ClientError::on(host, &method, &url, fault))
}

async fn ask(config: &Config, client: reqwest::Client, request: reqwest::Request) -> Result<(Secret, Answer), Fault> {
    let response = reply::send(&client, request, &config.limits, None).await?;
    let mut reply = Reply::new(response, None, &config.limits);
    reply.check_api().await?;
    let body = reply.bytes("token answer", config.limits.token_bytes).await?;
    let unreadable = || Fault::Protocol("the token endpoint's answer is not its JSON".to_owned());
    let mut answer: Answer = serde_json::from_slice(&body).map_err(|_| unreadable())?;
    let secret = answer.token.take().filter(|secret| !secret.is_empty()).or(answer.access_token.take());
    let secret = secret.filter(|secret| !secret.is_empty());
    let secret = secret.ok_or_else(|| Fault::Protocol("the token endpoint sent no token".to_owned()))?;
    Ok((secret, answer))
}

/// The lifetime counts from before the request: this machine's clock, not the registry's `issued_at`.
fn keep((secret, answer): (Secret, Answer), asked_at: Instant) -> Token {
    let seconds = answer.expires_in.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    let lifetime = seconds.map_or(DEFAULT_LIFETIME, |seconds| {
        Duration::try_from_secs_f64(seconds).unwrap_or(MAX_LIFETIME).min(MAX_LIFETIME)
    });
    Token { secret, renew_at: asked_at + lifetime - MARGIN.min(lifetime / 5), ends_at: asked_at + lifetime }
}

fn get_request(
    client: &reqwest::Client,
    url: &Url,
    grant: &Grant<'_>,
    scopes: &BTreeSet<Scope>,
) -> Result<reqwest::Request, Fault> {
    let mut url = url.clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = grant.service {
            query.append_pair("service", service);
        }
        for scope in scopes {
            query.append_pair("scope", &scope.to_string());
        }
    }
    let mut request = client.get(url).header(header::ACCEPT_ENCODING, "identity");
    if let Some(Credential::Password { username, password }) = &grant.credential {
        request = request.header(header::AUTHORIZATION, secret_header(&basic(username, password.expose()))?);
    }
    request.build().map_err(|error| Fault::Setup { reason: "bad request".into(), source: Some(Box::new(error)) })
}

fn oauth_request(
    client: &reqwest::Client,
    url: &Url,
    grant: &Grant<'_>,
    (scopes, secret): (&BTreeSet<Scope>, &Secret),
) -> Result<reqwest::Request, Fault> {
    let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", grant.service.unwrap_or_default())
        .append_pair("client_id", "polyarch")
        .append_pair("scope", &scopes.join(" "))
        .append_pair("refresh_token", secret.expose())
        .finish();
    let request = client
        .request(Method::POST, url.clone())
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body);
    request.build().map_err(|error| Fault::Setup { reason: "bad request".into(), source: Some(Box::new(error)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(expires_in: Option<f64>) -> Token {
        keep((Secret::new("t"), Answer { token: None, access_token: None, expires_in }), Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_renewed_before_they_end() {
        for (expires_in, fresh_for, stale_after) in [
            (None, 47, 49),
            (Some(300.0), 279, 281),
            (Some(10.0), 7, 9),
            (Some(1e300), 86_379, 86_381),
            (Some(-1.0), 47, 49),
        ] {
            let token = kept(expires_in);
            let start = Instant::now();
            tokio::time::advance(Duration::from_secs(fresh_for)).await;
            assert!(token.is_fresh(), "{expires_in:?} after {:?}", start.elapsed());
            tokio::time::advance(Duration::from_secs(stale_after - fresh_for)).await;
            assert!(!token.is_fresh(), "{expires_in:?} after {:?}", start.elapsed());
        }
    }
}
