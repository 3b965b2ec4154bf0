//! The in-process gRPC server on one byte stream.
//!
//! Owns: the HTTP/2 connection and the tasks of its calls. Never: outlives the future it runs in.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::service::Routes;
use tower::Service;

/// Window of one call: two content writes of 1 MiB.
const STREAM_WINDOW: u32 = 2 << 20;
/// Window of all calls together.
const CONNECTION_WINDOW: u32 = 8 << 20;

/// Serves until the peer hangs up; the calls that still run are then aborted.
pub(super) async fn serve<S>(stream: S, routes: Routes)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (spawner, mut spawned) = mpsc::unbounded_channel();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let mut routes = routes.clone();
        async move { Ok::<_, Infallible>(call(&mut routes, request).await) }
    });
    let connection = http2::Builder::new(Spawner(spawner))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut calls = JoinSet::new();
    loop {
        tokio::select! {
            ended = &mut connection => {
                tracing::debug!(?ended, "session connection ended");
                return;
            }
            Some(call) = spawned.recv() => { calls.spawn(call); }
            Some(_) = calls.join_next() => {}
        }
    }
}

async fn call(routes: &mut Routes, request: http::Request<Incoming>) -> http::Response<tonic::body::Body> {
    let method = request.uri().path().to_owned();
    let answer = Service::call(routes, request).await;
    tracing::debug!(method, "session call");
    match answer {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Hands a connection's tasks to the function that owns it. Unbounded: the peer's calls are bounded by HTTP/2.
#[derive(Clone)]
struct Spawner(mpsc::UnboundedSender<BoxFuture<'static, ()>>);

impl<F> hyper::rt::Executor<F> for Spawner
where
    F: Future + Send + 'static,
{
    fn execute(&self, task: F) {
        let task: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(task.map(|_| ()));
        // The receiver is gone only while the connection itself is being dropped.
        let _ = self.0.send(task);
    }
}
