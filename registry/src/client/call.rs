//! One request to a registry: authorization, redirects, retries.
//!
//! Owns: [`Call`] and how it is carried out. `Authorization` and what a file adds for a host go to its own origin only.
//! Never: knows what the request means.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use url::Url;

use super::auth::{Access, Authorization, Scope, Subject};
use super::endpoint::{api_host, refused, resolve};
use super::error::{ClientError, ErrorKind, Fault};
use super::mirrors::{Mirror, Plan};
use super::payload::Payload;
use super::pool::same_origin;
use super::quirks::Quirks;
use super::reply::{self, Reply};
use super::retry::Attempt;
use super::settings::{HostSettings, ProxyMode};
use super::{Registry, RetryNotice, handshake};
use crate::oci::Reference;

/// Where a request goes.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A path below the host's root.
    Path(String),
    /// A URL that the registry gave and that was checked.
    Url(Url),
}

/// What kind of answer is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// An API's answer: a web page is an error.
    Api,
    /// A blob, perhaps from a storage service.
    Blob,
}

/// A request, as often as it is sent.
#[derive(Clone)]
pub(crate) struct Call<'a> {
    pub(crate) host: &'a str,
    pub(crate) scopes: BTreeSet<Scope>,
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    /// Headers for the host's own origin only: they may be secrets.
    pub(crate) own_headers: HeaderMap,
    /// What a file says about the host for requests like this one: as this registry's mirror.
    pub(crate) given: Option<&'a HostSettings>,
    pub(crate) payload: Payload<'a>,
    pub(crate) answer: Answer,
}

impl<'a> Call<'a> {
    /// Returns a request on `repository/…path` without a body.
    pub(crate) fn new(reference: &'a Reference, access: Access, method: Method, path: &str) -> Self {
        let target = Target::Path(format!("v2/{}/{path}", reference.repository()));
        let scope = Scope { repository: reference.repository().to_owned(), access };
        Self {
            host: reference.host(),
            scopes: [scope].into(),
            method,
            target,
            headers: HeaderMap::new(),
            own_headers: HeaderMap::new(),
            given: None,
            payload: Payload::Empty,
            answer: Answer::Api,
        }
    }

    /// Returns a GET of a path below the host's root.
    pub(crate) fn of_host(host: &'a str, access: Access, path: &str) -> Self {
        Self {
            host,
            scopes: [Scope { repository: String::new(), access }].into(),
            method: Method::GET,
            target: Target::Path(path.to_owned()),
            headers: HeaderMap::new(),
            own_headers: HeaderMap::new(),
            given: None,
            payload: Payload::Empty,
            answer: Answer::Api,
        }
    }

    pub(crate) fn at(self, url: Url) -> Self {
        Self { target: Target::Url(url), ..self }
    }

    pub(crate) fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    pub(crate) fn payload(self, payload: Payload<'a>) -> Self {
        Self { payload, ..self }
    }

    /// Whether it is a read that a place other than the registry may answer: by digest, or what a tag points at.
    fn may_go_to(&self, mirror: &Mirror) -> bool {
        let Target::Path(path) = &self.target else { return false };
        let by_digest = path.rsplit('/').next().is_some_and(|last| last.contains(':'));
        let reads = path.contains("/manifests/") || path.contains("/blobs/");
        self.is_plain() && reads && if by_digest { mirror.pulls } else { mirror.resolves }
    }

    /// Whether it is a GET or HEAD of the API without a body.
    fn is_plain(&self) -> bool {
        self.follows() && matches!(self.payload, Payload::Empty) && matches!(self.target, Target::Path(_))
    }

    /// The same request at another place. A mirror is told whose content is meant (distribution-spec, `ns`); a URL is
    /// one that this place gave before.
    fn redirected<'m>(&self, to: &'m Mirror, named: bool) -> Call<'m>
    where
        'a: 'm,
    {
        let target = match &self.target {
            Target::Path(path) => {
                let rest = path.strip_prefix("v2").unwrap_or(path);
                let sign = if rest.contains('?') { '&' } else { '?' };
                let ns = if named { format!("{sign}ns={}", self.host) } else { String::new() };
                Target::Path(format!("{}{rest}{ns}", to.path))
            }
            Target::Url(url) => Target::Url(url.clone()),
        };
        let (own_headers, given) = (to.headers.clone(), Some(&to.settings));
        Call { host: &to.host, target, own_headers, given, ..self.clone() }
    }

    /// The headers that only the host's own origin may see.
    fn own(&self, authorization: Option<&Authorization>) -> HeaderMap {
        let mut headers = self.own_headers.clone();
        if let Some(authorization) = authorization {
            headers.insert(header::AUTHORIZATION, authorization.value.clone());
        }
        headers
    }

    fn follows(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }
}

/// A reply together with the URL the registry was asked at: `Location` is resolved against it.
pub(crate) struct Answered {
    pub(crate) reply: Reply,
    pub(crate) base: Url,
    pub(crate) url: Url,
}

impl Registry {
    /// Carries out a call, again where that may help.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Answered, ClientError> {
        self.retrying(|| self.attempt(call)).await
    }

    /// Repeats `work` as the policy allows.
    pub(crate) async fn retrying<T, F>(&self, work: impl Fn() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let start = Instant::now();
        let mut number = 1;
        loop {
            let error = match work().await {
                Err(error) if error.is_retryable() => error,
                done => return done,
            };
            let Some(delay) = self.delay(&error, number, start.elapsed()) else { return Err(error) };
            self.notice(&error, number, delay);
            tokio::time::sleep(delay).await;
            number += 1;
        }
    }

    pub(crate) fn delay(&self, error: &ClientError, number: u32, elapsed: Duration) -> Option<Duration> {
        let jitter = (self.inner.config.jitter)();
        self.retry().delay(Attempt { number, elapsed, retry_after: error.retry_after(), jitter })
    }

    pub(crate) fn notice(&self, error: &ClientError, number: u32, delay: Duration) {
        let notice = RetryNotice {
            host: error.host().to_owned(),
            request: error.to_string(),
            reason: error.kind(),
            detail: error.fault().to_string(),
            attempt: number,
            delay,
        };
        tracing::debug!(?notice, "trying again");
        if let Some(observer) = &self.observer {
            observer(notice);
        }
    }

    /// Returns what the files say about a registry.
    pub(crate) async fn plan(&self, host: &str) -> Result<Arc<Plan>, ClientError> {
        self.inner.mirrors.plan(host, &self.inner.config.cert_dirs).await
    }

    /// Carries out a call once. What is read is asked of the registry's mirrors first, if it has any. A registry that
    /// is elsewhere than its name says is written there, too, as containerd does.
    pub(crate) async fn attempt(&self, call: &Call<'_>) -> Result<Answered, ClientError> {
        let plan = self.plan(call.host).await?;
        for mirror in plan.mirrors.iter().filter(|mirror| !self.own_only && call.may_go_to(mirror)) {
            if !self.inner.mirrors.is_awake(mirror) {
                continue;
            }
            match self.attempt_at(&call.redirected(mirror, true)).await {
                Ok(answered) => return Ok(answered),
                Err(error) => self.inner.mirrors.failed(mirror, &error),
            }
        }
        match &plan.server {
            Some(server) if server.host != api_host(call.host) => {
                self.attempt_at(&call.redirected(server, false)).await
            }
            Some(server) => self.attempt_at(&Call { given: Some(&server.settings), ..call.clone() }).await,
            None => self.attempt_at(call).await,
        }
    }

    /// Carries out a call once at its host: with what is known, with a renewed authorization after a 401, and
    /// along redirects.
    async fn attempt_at(&self, call: &Call<'_>) -> Result<Answered, ClientError> {
        let base = self.inner.pool.base(call.host, call.given).await?;
        let url = match &call.target {
            Target::Url(url) => url.clone(),
            Target::Path(path) => base
                .join(path)
                .map_err(|_| ClientError::at(call.host, Fault::Protocol(format!("{path:?} is not a path"))))?,
        };
        let on = |url: &Url, fault| ClientError::on(call.host, &call.method, url, fault);
        let permit = self.permit(call.host).await;
        let (mut reply, mut at) = if same_origin(&base, &url) {
            (self.authorized(call, &base, &url, permit).await?, url.clone())
        } else {
            // An upload's Location on a host the user has listed.
            let sent = self.foreign(call, &base, &url, permit).await;
            (sent.map_err(|fault| on(&url, fault))?, url.clone())
        };
        if call.follows() {
            (reply, at) = self.follow(call, &base, reply, at).await?;
        }
        self.inner.notes.take(call.host, reply.headers(), self.inner.config.limits.warnings);
        let checked = match call.answer {
            Answer::Api => reply.check_api().await,
            Answer::Blob => reply.check_blob().await,
        };
        if let Err(fault) = checked {
            self.heed(call.host, &fault);
            return Err(on(&at, fault));
        }
        Ok(Answered { reply, base, url: at })
    }

    /// A registry that has had too many requests has had them from all of this process's work.
    fn heed(&self, host: &str, fault: &Fault) {
        if let Fault::Status { status: StatusCode::TOO_MANY_REQUESTS, retry_after: Some(wait), .. } = fault
            && *wait <= self.retry().retry_after_cap
        {
            self.inner.budget.pause(host, *wait);
        }
    }

    async fn authorized(
        &self,
        call: &Call<'_>,
        base: &Url,
        url: &Url,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Reply, ClientError> {
        let on = |fault| ClientError::on(call.host, &call.method, url, fault);
        let subject = Subject { host: call.host, base, given: call.given, scopes: call.scopes.clone() };
        let client = self.inner.pool.own(call.host, url, call.given).await.map_err(on)?;
        let first = self.inner.auth.current(&subject).await?;
        let reply = match self.send(call, &client, url, call.own(first.as_ref())).await {
            Ok(reply) => reply,
            Err(fault) => return Err(on(self.explained(call, url, fault).await)),
        };
        if reply.status() != StatusCode::UNAUTHORIZED {
            return Ok(self.reply(reply, permit));
        }
        let asked = reply.headers().get_all(header::WWW_AUTHENTICATE);
        let asked: Vec<String> = asked.iter().filter_map(|v| v.to_str().ok().map(str::to_owned)).collect();
        let better = self.inner.auth.answer(&subject, asked.iter().map(String::as_str), first.as_ref()).await?;
        match better {
            None => Ok(self.reply(reply, permit)),
            Some(better) => {
                drop(reply);
                let reply = self.send(call, &client, url, call.own(Some(&better))).await.map_err(on)?;
                Ok(self.reply(reply, permit))
            }
        }
    }

    /// A connection that was closed, or got an alert, after the handshake and without an answer may have been closed for
    /// want of a certificate.
    async fn explained(&self, call: &Call<'_>, url: &Url, fault: Fault) -> Fault {
        let config = &self.inner.config;
        let has_own =
            self.inner.pool.settings(call.host, call.given).is_some_and(|settings| settings.client_cert.is_some());
        let (error, as_it_was): (_, fn(_) -> Fault) = match fault {
            Fault::Interrupted(error) => (error, Fault::Interrupted),
            Fault::Tls(error) if !error.is_connect() => (error, Fault::Tls),
            fault => return fault,
        };
        if url.scheme() != "https" || config.proxy != ProxyMode::Direct || has_own {
            return as_it_was(error);
        }
        let wants = tokio::time::timeout(config.limits.connect_timeout, handshake::wants_certificate(url)).await;
        if wants.unwrap_or(false) { Fault::ClientCertificate(error) } else { as_it_was(error) }
    }

    async fn foreign(
        &self,
        call: &Call<'_>,
        base: &Url,
        url: &Url,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Result<Reply, Fault> {
        let client = self.inner.pool.foreign(base, url).await?;
        let reply = self.send(call, &client, url, HeaderMap::new()).await?;
        Ok(self.reply(reply, permit))
    }

    /// Follows redirects of a GET or HEAD. Other methods are never redirected.
    async fn follow(
        &self,
        call: &Call<'_>,
        base: &Url,
        mut reply: Reply,
        mut at: Url,
    ) -> Result<(Reply, Url), ClientError> {
        let limits = &self.inner.config.limits;
        for count in 0.. {
            if !matches!(reply.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                break;
            }
            let on = |fault| ClientError::on(call.host, &call.method, &at, fault);
            let location = reply.header(header::LOCATION).ok_or_else(|| on(missing("redirect")))?;
            let next = resolve(&at, location).map_err(on)?;
            if count >= limits.redirects {
                return Err(on(refused(&next, "there were too many redirects")));
            }
            drop(reply);
            let permit = self.permit(call.host).await;
            reply = if same_origin(base, &next) {
                self.authorized(call, base, &next, permit).await?
            } else {
                self.foreign(call, base, &next, permit).await.map_err(on)?
            };
            at = next;
        }
        Ok((reply, at))
    }

    async fn send(
        &self,
        call: &Call<'_>,
        client: &reqwest::Client,
        url: &Url,
        more: HeaderMap,
    ) -> Result<reqwest::Response, Fault> {
        let mut headers = call.headers.clone();
        headers.extend(more);
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let body = call.payload.open().await?;
        if let Some(length) = body.length.filter(|_| call.method != Method::GET && call.method != Method::HEAD) {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        let mut request = reqwest::Request::new(call.method.clone(), url.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = body.body;
        reply::send(client, request, &self.inner.config.limits, body.meter).await
    }

    fn reply(&self, response: reqwest::Response, permit: Option<OwnedSemaphorePermit>) -> Reply {
        Reply::new(response, permit, &self.inner.config.limits)
    }

    /// Waits for the host's next turn and one of its slots. Nothing closes the semaphore, so there always is one.
    async fn permit(&self, host: &str) -> Option<OwnedSemaphorePermit> {
        if let Some(per_minute) = Quirks::of(host, self.inner.config.host(host)).per_minute {
            self.inner.budget.turn(host, per_minute).await;
        }
        let slot = self.inner.slots(host).acquire_owned().await.ok();
        self.inner.budget.pause_over(host).await;
        slot
    }
}

/// Returns the fault of an answer without `Location`.
pub(crate) fn missing(what: &str) -> Fault {
    Fault::Protocol(format!("the {what} has no usable Location"))
}

/// Turns "not found" into `None`.
pub(crate) fn found<T>(result: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::super::{Config, RetryPolicy};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn registry() -> Registry {
        let retry = RetryPolicy {
            attempts: 5,
            base: SECOND,
            cap: SECOND * 3,
            retry_after_cap: SECOND * 30,
            total: SECOND * 60,
        };
        Registry::new(Config { retry, jitter: || 0.5, ..Config::default() })
    }

    fn unavailable(retry_after: Option<Duration>) -> ClientError {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        ClientError::at("h", Fault::Status { status, errors: Vec::new(), retry_after })
    }

    #[tokio::test(start_paused = true)]
    async fn waits_as_the_policy_says_and_tells() {
        let delays = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&delays);
        let registry = registry().with_observer(Arc::new(move |notice| told.lock().unwrap().push(notice.delay)));
        let start = Instant::now();
        let error = registry.retrying(|| async { Err::<(), _>(unavailable(None)) }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(*delays.lock().unwrap(), [SECOND / 2, SECOND, SECOND * 3 / 2, SECOND * 3 / 2]);
        let slack = Duration::from_millis(20);
        assert!(start.elapsed() - SECOND * 9 / 2 < slack, "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn another_policy_holds_for_its_handle_alone() {
        let (own, calls) = (registry(), AtomicU32::new(0));
        let hasty = own.with_retry(RetryPolicy { attempts: 2, ..own.retry().clone() });
        let work = || async {
            calls.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(unavailable(None))
        };
        hasty.retrying(work).await.unwrap_err();
        assert_eq!(calls.swap(0, Ordering::SeqCst), 2);
        own.retrying(work).await.unwrap_err();
        assert_eq!(calls.load(Ordering::SeqCst), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn succeeds_after_the_time_the_registry_asks_for() {
        let calls = AtomicU32::new(0);
        let start = Instant::now();
        let work = || async {
            match calls.fetch_add(1, Ordering::SeqCst) {
                0 => Err(unavailable(Some(SECOND * 20))),
                n => Ok(n),
            }
        };
        assert_eq!(registry().retrying(work).await.unwrap(), 1);
        assert!(start.elapsed() >= SECOND * 20 && start.elapsed() < SECOND * 21);
    }
}
