//! One Docker API request whose connection becomes a byte stream.

use std::io;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

use crate::node::dial::Io;

/// A small answer of the Docker API, in bytes.
const ANSWER_LIMIT: usize = 64 << 10;

/// Sends a JSON request that asks for an upgrade and returns the raw connection.
pub(super) async fn upgrade(stream: Box<dyn Io>, path: &str, body: String) -> io::Result<TokioIo<Upgraded>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = request(path, body)?;
    let talk = async move {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        accepted(response).await
    };
    // The connection has to be polled until the upgrade is done; afterwards it has handed its stream over.
    let driver: BoxFuture<'static, hyper::Result<()>> = Box::pin(connection.with_upgrades());
    let (upgraded, driven) = tokio::join!(talk, driver);
    let upgraded = upgraded?;
    driven.map_err(io::Error::other)?;
    Ok(TokioIo::new(upgraded))
}

fn request(path: &str, body: String) -> io::Result<Request<Full<Bytes>>> {
    Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, "docker")
        .header(CONTENT_TYPE, "application/json")
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "tcp")
        .body(Full::from(body))
        .map_err(io::Error::other)
}

async fn accepted(response: Response<Incoming>) -> io::Result<Upgraded> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return hyper::upgrade::on(response).await.map_err(io::Error::other);
    }
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await.map_err(io::Error::other)?;
    let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    Err(io::Error::other(format!("the Docker API answered {status}: {}", text.trim())))
}
