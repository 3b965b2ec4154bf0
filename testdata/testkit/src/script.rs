//! A server that does what a test tells it, and writes down what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use polyarch_registry::client::{Config, Registry, RetryPolicy};
use polyarch_registry::oci::Reference;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body, unless it was cut off.
    pub body: Bytes,
}

impl Seen {
    /// Returns a header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns whether the request is this one.
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.method.as_str() == method && self.path == path
    }

    /// `METHOD /path?query`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What ALPN calls HTTP/2.
const HTTP2: &[u8] = b"h2";

/// What the server does.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Status, headers, body.
    Answer(u16, Vec<(String, String)>, Bytes),
    /// Announces `length` bytes, sends these, then breaks the connection.
    Cut(u16, Vec<(String, String)>, u64, Bytes),
    /// Endless body.
    Endless(Vec<(String, String)>),
    /// One byte a second.
    Drip(Vec<(String, String)>, Bytes),
    /// Breaks the connection without an answer.
    Hang,
}

impl Reply {
    /// An answer without a body.
    pub fn status(code: u16) -> Self {
        Self::Answer(code, vec![], Bytes::new())
    }

    /// An answer with a body of this type.
    pub fn body(code: u16, media_type: &str, body: impl Into<Bytes>) -> Self {
        Self::Answer(code, vec![("content-type".into(), media_type.into())], body.into())
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        match &mut self {
            Self::Answer(_, headers, _)
            | Self::Cut(_, headers, ..)
            | Self::Endless(headers)
            | Self::Drip(headers, _) => {
                headers.push((name.into(), value.into()));
            }
            Self::Hang => {}
        }
        self
    }
}

/// Decides by the request's head whether to break the connection after some bytes of the body.
pub type CutUpload = dyn Fn(&Seen) -> Option<usize> + Send + Sync;
/// Answers requests.
pub type Handler = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A running server. Dropping it ends it.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Starts a server that answers by `handler`.
    pub async fn start(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::with_cuts(handler, |_| None).await
    }

    /// Starts a server that also breaks uploads off.
    pub async fn with_cuts(
        handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
        cut: impl Fn(&Seen) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        Self::listen(handler, cut, None).await
    }

    async fn listen(
        handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
        cut: impl Fn(&Seen) -> Option<usize> + Send + Sync + 'static,
        tls: Option<tokio_rustls::TlsAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let state = Arc::new(State { handler: Box::new(handler), cut: Box::new(cut), log: Arc::clone(&log) });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, state, tls));
        Self { address, log, _tasks: tasks }
    }

    /// Starts a server that speaks TLS; returns its certificate as well, in PEM form.
    pub async fn start_tls(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (Self, String) {
        Self::secured(handler, &[]).await
    }

    /// The same with HTTP/2 only.
    pub async fn start_http2(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> (Self, String) {
        Self::secured(handler, &[HTTP2]).await
    }

    async fn secured(handler: impl Fn(&Seen) -> Reply + Send + Sync + 'static, protocols: &[&[u8]]) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
        let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = builder.unwrap().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key);
        let mut config = config.unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        (Self::listen(handler, |_| None, Some(acceptor)).await, made.cert.pem())
    }

    /// Returns `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns a reference on this server.
    pub fn reference(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.address).parse().unwrap()
    }

    /// Returns what it was asked so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    /// The requests after the client has found out that this is plain HTTP.
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).filter(|line| line != "GET /v2/").collect()
    }
}

struct State {
    handler: Box<Handler>,
    cut: Box<CutUpload>,
    log: Arc<Mutex<Vec<Seen>>>,
}

async fn accept(listener: TcpListener, state: Arc<State>, tls: Option<tokio_rustls::TlsAcceptor>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (state, tls) = (Arc::clone(&state), tls.clone());
        connections.spawn(async move {
            let service = service_fn(move |request| serve(Arc::clone(&state), request));
            let http = hyper::server::conn::http1::Builder::new();
            let Some(tls) = tls else {
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
                return;
            };
            let Ok(stream) = tls.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(HTTP2) {
                let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            } else {
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            }
        });
    }
}

type Body = UnsyncBoxBody<Bytes, Broken>;

#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken on purpose")
    }
}

impl std::error::Error for Broken {}

async fn serve(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let (parts, mut body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let mut seen = Seen { method: parts.method, path, headers: parts.headers, body: Bytes::new() };
    if let Some(limit) = (state.cut)(&seen) {
        let mut read = 0;
        while read < limit {
            let Some(Ok(frame)) = body.frame().await else { break };
            read += frame.data_ref().map_or(0, Bytes::len);
        }
        state.log.lock().unwrap().push(seen);
        return Err(Broken);
    }
    seen.body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    state.log.lock().unwrap().push(seen.clone());
    respond((state.handler)(&seen))
}

fn respond(reply: Reply) -> Result<Response<Body>, Broken> {
    let (status, headers, body, length) = match reply {
        Reply::Hang => return Err(Broken),
        Reply::Answer(status, headers, bytes) => {
            (status, headers, http_body_util::Full::new(bytes).map_err(|e: Infallible| match e {}).boxed_unsync(), None)
        }
        Reply::Cut(status, headers, length, bytes) => {
            // Being pending makes hyper flush what it has, so that some of it arrives before the break.
            let end = stream::once(async {
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
                Err(Broken)
            });
            let frames = stream::iter([Ok(Frame::data(bytes))]).chain(end);
            (status, headers, BodyExt::boxed_unsync(StreamBody::new(frames)), Some(length))
        }
        Reply::Drip(headers, bytes) => {
            let pieces = stream::iter((0..bytes.len()).map(move |at| bytes.slice(at..=at)));
            let frames = pieces.then(|piece| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(Frame::data(piece))
            });
            (200, headers, BodyExt::boxed_unsync(StreamBody::new(frames)), None)
        }
        Reply::Endless(headers) => {
            let frames = stream::repeat_with(|| Ok(Frame::data(Bytes::from(vec![b' '; 65536]))));
            (200, headers, BodyExt::boxed_unsync(StreamBody::new(frames)), None)
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        response.headers_mut().append(name, HeaderValue::from_str(&value).unwrap());
    }
    if let Some(length) = length {
        response.headers_mut().insert("content-length", length.into());
    }
    Ok(response)
}

/// Three attempts, milliseconds apart.
pub fn quick() -> Config {
    let retry = RetryPolicy {
        attempts: 3,
        base: Duration::from_millis(2),
        cap: Duration::from_millis(5),
        retry_after_cap: Duration::from_secs(2),
        total: Duration::from_secs(30),
    };
    Config { retry, ..Config::default() }
}

/// A client with [`quick`] attempts.
pub fn client() -> Registry {
    Registry::new(quick())
}
