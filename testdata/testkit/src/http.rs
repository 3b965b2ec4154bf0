//! Plain HTTP for tests: one connection per request, nothing retried, nothing followed.

use std::net::SocketAddr;

use bytes::Bytes;
use futures::StreamExt;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use polyarch_registry::oci::RawManifest;
use tokio::net::TcpStream;

use crate::images::{BuiltImage, Index};

/// A body to send.
pub type SendBody = BoxBody<Bytes, std::io::Error>;

/// A client for one address.
#[derive(Debug, Clone, Copy)]
pub struct Http {
    addr: SocketAddr,
}

/// A complete response.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Reply {
    /// Returns a header's value, empty if absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// Returns the code of the first error in the body, as the distribution-spec has it.
    pub fn code(&self) -> String {
        self.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the status as a number.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }
}

/// A body with a Content-Length.
pub fn full(bytes: impl Into<Bytes>) -> SendBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A body with chunked transfer encoding.
pub fn chunked(pieces: Vec<Bytes>) -> SendBody {
    let frames = futures::stream::iter(pieces).map(|piece| Ok(Frame::data(piece)));
    BodyExt::boxed(StreamBody::new(frames))
}

impl Http {
    /// Returns a client.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr }
    }

    /// Sends a request and reads the whole response.
    pub async fn send(&self, mut request: Request<SendBody>) -> Reply {
        let stream = TcpStream::connect(self.addr).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        request.headers_mut().insert(HOST, self.addr.to_string().parse().unwrap());
        let exchange = async {
            let response = sender.send_request(request).await.unwrap();
            let (parts, body) = response.into_parts();
            Reply { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
        };
        tokio::pin!(exchange);
        // The connection makes the exchange progress; it may end first.
        tokio::select! {
            reply = &mut exchange => reply,
            _ = connection => exchange.await,
        }
    }

    /// Sends a request with headers and a body of known length.
    pub async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Reply {
        let builder = Request::builder().method(method).uri(path);
        let builder = headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        self.send(builder.body(full(body)).unwrap()).await
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, &[], "").await
    }

    /// `HEAD`.
    pub async fn head(&self, path: &str) -> Reply {
        self.call(Method::HEAD, path, &[], "").await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Reply {
        self.call(Method::DELETE, path, &[], "").await
    }

    /// Opens an upload; returns its location.
    pub async fn start_upload(&self, repo: &str) -> String {
        let reply = self.call(Method::POST, &format!("/v2/{repo}/blobs/uploads/"), &[], "").await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{reply:?}");
        reply.header(LOCATION.as_str()).to_owned()
    }

    /// Pushes a blob in one request; returns its digest.
    pub async fn push_blob(&self, repo: &str, bytes: impl Into<Bytes>) -> String {
        let bytes: Bytes = bytes.into();
        let digest = polyarch_registry::oci::Digest::sha256(&bytes).to_string();
        let path = format!("/v2/{repo}/blobs/uploads/?digest={digest}");
        let reply = self.call(Method::POST, &path, &[], bytes).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        digest
    }

    /// Puts a manifest at a tag or digest; returns the reply, whatever it is.
    pub async fn put_manifest(&self, repo: &str, reference: &str, manifest: &RawManifest) -> Reply {
        let headers = [(CONTENT_TYPE.as_str(), manifest.media_type())];
        let path = format!("/v2/{repo}/manifests/{reference}");
        self.call(Method::PUT, &path, &headers, manifest.bytes().clone()).await
    }

    /// Pushes an image and everything it references to a tag or digest.
    pub async fn push_image(&self, repo: &str, reference: &str, image: &BuiltImage) {
        for blob in &image.blobs {
            self.push_blob(repo, blob.clone()).await;
        }
        let reply = self.put_manifest(repo, reference, &image.manifest).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
    }

    /// Pushes an index and everything it references to a tag; returns the index.
    pub async fn push_index(&self, repo: &str, tag: &str, index: &Index) -> RawManifest {
        let (manifest, images) = index.build();
        for image in images {
            self.push_image(repo, &image.manifest.digest().to_string(), &image).await;
        }
        let reply = self.put_manifest(repo, tag, &manifest).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{reply:?}");
        manifest
    }
}
