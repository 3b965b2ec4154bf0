//! One HTTP/1.1 connection per request, over a dialled stream.
//!
//! Owns: the tasks that drive the connections. They end with their response's body, and at the latest with the handle.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::BollardRequest;
use bollard::errors::Error;
use http::header::HOST;
use http::{HeaderValue, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use crate::node::dial::Dialer;

type Answer = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Error>> + Send>>;

/// Opens connections and keeps them going.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    dialer: Arc<dyn Dialer>,
    connect: Duration,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Connections {
    pub(super) fn new(dialer: Arc<dyn Dialer>, connect: Duration) -> Self {
        Self { dialer, connect, tasks: Arc::default() }
    }

    /// Sends one request on a connection of its own.
    pub(super) fn request(&self, request: BollardRequest) -> Answer {
        let this = self.clone();
        Box::pin(async move {
            let stream = tokio::time::timeout(this.connect, this.dialer.dial()).await;
            let stream = stream.map_err(|_| Error::IOError { err: io::ErrorKind::TimedOut.into() })??;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            this.drive(connection);
            Ok(sender.send_request(origin_form(request)?).await?)
        })
    }

    fn drive(&self, connection: impl Future<Output = hyper::Result<()>> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            if let Err(error) = connection.await {
                // The request or its body fails with the same error; this is only the driver's copy.
                tracing::debug!(%error, "connection to the Docker API ended");
            }
        });
    }
}

/// Servers on sockets want the path alone and a `Host`.
fn origin_form(mut request: BollardRequest) -> Result<BollardRequest, Error> {
    if let Some(value) = request.headers_mut().get_mut(REGISTRY_AUTH) {
        *value = url_safe(value);
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>()?;
    request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
    Ok(request)
}

/// Credentials of a pull.
const REGISTRY_AUTH: &str = "x-registry-auth";

/// Bollard writes the ordinary alphabet of base64, Docker reads the one for URLs (RFC 4648, section 5), and takes what it
/// cannot read for no credentials.
fn url_safe(value: &HeaderValue) -> HeaderValue {
    let bytes = value.as_bytes().iter().map(|byte| match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => *other,
    });
    let mut value = HeaderValue::from_bytes(&bytes.collect::<Vec<u8>>()).unwrap_or_else(|_| value.clone());
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_in_the_alphabet_docker_reads() {
        let value = url_safe(&HeaderValue::from_static("ab+/cd=="));
        assert_eq!(value.as_bytes(), b"ab-_cd==");
        assert!(value.is_sensitive());
    }
}
