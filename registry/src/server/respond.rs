//! Successful responses: status, headers, body.

use axum::body::Body;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::name::{RepoName, UploadId};
use crate::oci::Digest;

/// Digest of the content in the body, or that a request created.
pub const DOCKER_CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// Id of an upload; some clients log it.
pub const DOCKER_UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// Says that the `subject` of a pushed manifest was processed.
pub const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// Names the filters a referrers answer went through.
pub const OCI_FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// A tag that a push by digest also set.
pub const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// A response under construction, empty unless given a body.
#[derive(Debug)]
pub struct Reply(Response<Body>);

impl Reply {
    /// Returns a reply without body.
    pub fn new(status: StatusCode) -> Self {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        // 204 must not have a Content-Length (RFC 9110, section 8.6).
        if status != StatusCode::NO_CONTENT {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
        }
        Self(response)
    }

    /// Adds a header. The values are digests, tags, paths and numbers; one that cannot be a header is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl ToString) -> Self {
        if let Ok(value) = HeaderValue::try_from(value.to_string()) {
            self.0.headers_mut().append(name, value);
        }
        self
    }

    /// Sets the body's type, exact length and source.
    #[must_use]
    pub fn body(mut self, content_type: &str, len: u64, body: Body) -> Self {
        self.0.headers_mut().remove(CONTENT_TYPE);
        self.0.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(len));
        *self.0.body_mut() = body;
        self.header(CONTENT_TYPE, content_type)
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, content_type: &str, value: &serde_json::Value) -> Self {
        let text = value.to_string();
        self.body(content_type, text.len() as u64, Body::from(text))
    }

    /// Finishes.
    pub fn done(self) -> Response<Body> {
        self.0
    }
}

/// 201 for a blob that is now in the repository.
pub fn blob_created(name: &RepoName, digest: &Digest) -> Response<Body> {
    Reply::new(StatusCode::CREATED)
        .header(LOCATION, format!("/v2/{name}/blobs/{digest}"))
        .header(DOCKER_CONTENT_DIGEST, digest)
        .done()
}

/// Returns the path of an upload. Relative, so that it is right behind any proxy.
pub fn upload_location(name: &RepoName, id: &UploadId) -> String {
    format!("/v2/{name}/blobs/uploads/{id}")
}

/// `Range` of an upload that has `received` bytes. Nothing at all is also `0-0`: that is what distribution says,
/// and clients parse it.
pub fn upload_range(received: u64) -> String {
    format!("0-{}", received.saturating_sub(1))
}
