//! Connections: accept, serve, stop.
//!
//! Owns: every connection's task, in one set that [`serve`] awaits. Never: looks at a request.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Registry;

/// How long a client may take for the head of a request.
const HEADER_TIME: Duration = Duration::from_secs(30);
/// Most headers of a request.
const HEADER_COUNT: usize = 100;
/// Most bytes of a request's head, and of body read ahead.
const BUFFER_LIMIT: usize = 256 * 1024;
/// Most connections at once; more wait in the kernel's queue.
const CONNECTION_LIMIT: usize = 1024;
/// Pause after a failed accept, such as when file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves connections until `shutdown` is ready and the running ones ended or `grace` is over.
pub async fn serve(
    (listener, tls): (&TcpListener, Option<&TlsAcceptor>),
    registry: &Registry,
    grace: Duration,
    shutdown: impl Future<Output = ()> + Send,
) {
    let stop = CancellationToken::new();
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(ended) = connections.join_next() => log_panic(ended),
            stream = accept(listener), if connections.len() < CONNECTION_LIMIT => {
                connections.spawn(connection(stream, tls.cloned(), registry.clone(), stop.clone()));
            }
        }
    }
    stop.cancel();
    let all = async {
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
    };
    if tokio::time::timeout(grace, all).await.is_err() {
        tracing::warn!(left = connections.len(), "closing connections that did not end in time");
        connections.shutdown().await;
    }
}

/// Accepts one connection, however often that fails first.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) if is_clients_fault(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn is_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, registry: Registry, stop: CancellationToken) {
    // Answers are small and clients wait for each.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return exchange(stream, registry, stop).await };
    let secured = tokio::select! {
        secured = tokio::time::timeout(HEADER_TIME, tls.accept(stream)) => secured,
        () = stop.cancelled() => return,
    };
    match secured {
        Ok(Ok(stream)) => exchange(stream, registry, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "no TLS with a client"),
        Err(_) => tracing::debug!("a client did not finish its TLS handshake in time"),
    }
}

/// Serves requests on a connection until either side ends it.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    registry: Registry,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let registry = registry.clone();
        async move { Ok::<_, Infallible>(registry.handle(request.map(Body::new)).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(HEADER_COUNT)
        .max_buf_size(BUFFER_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}
