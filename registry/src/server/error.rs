//! What a client is told when something fails.
//!
//! Owns: the error codes of the distribution-spec ("Error Codes"), the status each failure gets, the
//! JSON body. Never: shows a client paths or causes on this machine; those go to the log.

use axum::body::Body;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::body::BodyError;
use super::disk::MetaError;
use super::name::RepoName;
use super::route::RouteError;
use crate::oci::{Digest, ManifestError};
use crate::store::StoreError;

/// An error code of the distribution-spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// code-1.
    BlobUnknown,
    /// code-2.
    BlobUploadInvalid,
    /// code-3.
    BlobUploadUnknown,
    /// code-4.
    DigestInvalid,
    /// code-5.
    ManifestBlobUnknown,
    /// code-6.
    ManifestInvalid,
    /// code-7.
    ManifestUnknown,
    /// code-8.
    NameInvalid,
    /// code-9.
    NameUnknown,
    /// code-10.
    SizeInvalid,
    /// code-11.
    Unauthorized,
    /// code-13.
    Unsupported,
    /// code-14.
    TooManyRequests,
    /// Not in the spec; what every registry says for its own faults.
    Unknown,
}

impl Code {
    /// Returns the code as written in an error body.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// A failed request: status, headers and one or more errors of the same code.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: Code,
    message: String,
    details: Vec<serde_json::Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// Returns an error without detail.
    pub fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: Vec::new(), headers: Vec::new() }
    }

    /// Adds a header, if the value can be one.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::try_from(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// Adds one error entry per detail.
    #[must_use]
    pub fn details(mut self, details: impl IntoIterator<Item = serde_json::Value>) -> Self {
        self.details.extend(details);
        self
    }

    /// 404 for a blob the repository does not hold.
    pub fn blob_unknown(digest: &Digest) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::BlobUnknown, "blob unknown to registry")
            .details([json!({ "digest": digest })])
    }

    /// 404 for a manifest the repository does not hold.
    pub fn manifest_unknown(reference: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, "manifest unknown to registry")
            .details([json!({ "reference": reference.to_string() })])
    }

    /// 404 for a repository that holds nothing.
    pub fn name_unknown(name: &RepoName) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NameUnknown, "repository name not known to registry")
            .details([json!({ "name": name.as_str() })])
    }

    /// 404 for an upload that was never started, is done, or was lost in a restart.
    pub fn upload_unknown() -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::BlobUploadUnknown, "blob upload unknown to registry")
    }

    /// 400 for a digest that is malformed, cannot be computed here or does not match.
    pub fn digest_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, message)
    }

    /// 400 for a request that does not fit its upload.
    pub fn upload_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::BlobUploadInvalid, message)
    }

    /// 400 for a manifest that is not one.
    pub fn manifest_invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::ManifestInvalid, message)
    }

    /// 400 for an `n` that is not a number.
    pub fn bad_page(text: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::Unsupported, "`n` is not a number").details([json!({ "n": text })])
    }

    /// 405 for a delete where deleting is switched off (distribution-spec, "Content Management").
    pub fn delete_disabled(allow: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, "deleting is disabled").header(ALLOW, allow)
    }

    /// 405 for a write where the registry is for reading only.
    pub fn read_only() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, "this registry is read-only")
            .header(ALLOW, "GET, HEAD")
    }

    /// 401 with the challenge clients answer with user name and password.
    pub fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, "authentication required")
            .header(WWW_AUTHENTICATE, "Basic realm=\"polyarch registry\", charset=\"UTF-8\"")
    }

    /// 413 for a blob that is larger than this registry takes.
    pub fn blob_too_large(limit: u64) -> Self {
        let message = format!("blob is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, message)
    }

    /// 429 for something that will be possible in a moment.
    pub fn busy(message: &str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, message).header(RETRY_AFTER, "1")
    }

    /// Logs the cause and hides it from the client.
    fn internal(status: StatusCode, message: &str, cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = cause, "{message}");
        Self::new(status, Code::Unknown, message)
    }

    /// Returns the response. The body is left out for `HEAD` by the HTTP layer.
    pub fn into_response(self) -> Response<Body> {
        let entry = |detail: Option<serde_json::Value>| match detail {
            Some(detail) => json!({ "code": self.code.as_str(), "message": self.message, "detail": detail }),
            None => json!({ "code": self.code.as_str(), "message": self.message }),
        };
        let errors: Vec<_> = match self.details.is_empty() {
            true => vec![entry(None)],
            false => self.details.iter().cloned().map(|detail| entry(Some(detail))).collect(),
        };
        let body = json!({ "errors": errors }).to_string();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.headers_mut().extend(self.headers);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        *response.body_mut() = Body::from(body);
        response
    }
}

impl From<RouteError> for ApiError {
    fn from(error: RouteError) -> Self {
        let (status, code) = match error {
            RouteError::NoEndpoint => (StatusCode::NOT_FOUND, Code::Unsupported),
            RouteError::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported),
            RouteError::Name => (StatusCode::BAD_REQUEST, Code::NameInvalid),
            RouteError::Digest => (StatusCode::BAD_REQUEST, Code::DigestInvalid),
            RouteError::Tag { write: true } => (StatusCode::BAD_REQUEST, Code::ManifestInvalid),
            RouteError::Tag { write: false } => (StatusCode::NOT_FOUND, Code::ManifestUnknown),
            RouteError::Upload => (StatusCode::NOT_FOUND, Code::BlobUploadUnknown),
        };
        let api = Self::new(status, code, error.to_string());
        match error {
            RouteError::Method { allow } => api.header(ALLOW, allow),
            _ => api,
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound(digest) => Self::blob_unknown(digest),
            StoreError::DigestMismatch { .. } | StoreError::Digest(_) => Self::digest_invalid(error.to_string()),
            StoreError::TooShort { .. } | StoreError::TooLong { .. } => {
                Self::new(StatusCode::BAD_REQUEST, Code::SizeInvalid, error.to_string())
            }
            StoreError::Full { .. } => Self::internal(StatusCode::INSUFFICIENT_STORAGE, "no space left", &error),
            _ => Self::internal(StatusCode::INTERNAL_SERVER_ERROR, "storage failed", &error),
        }
    }
}

impl From<MetaError> for ApiError {
    fn from(error: MetaError) -> Self {
        match &error {
            MetaError::Missing(digests) => {
                Self::new(StatusCode::NOT_FOUND, Code::ManifestBlobUnknown, "manifest references unknown content")
                    .details(digests.iter().map(|digest| json!({ "digest": digest })))
            }
            MetaError::Moved => Self::new(StatusCode::PRECONDITION_FAILED, Code::Unknown, error.to_string()),
            MetaError::Full { .. } => Self::internal(StatusCode::INSUFFICIENT_STORAGE, "no space left", &error),
            _ => Self::internal(StatusCode::INTERNAL_SERVER_ERROR, "storage failed", &error),
        }
    }
}

impl From<ManifestError> for ApiError {
    fn from(error: ManifestError) -> Self {
        match &error {
            ManifestError::Json(cause) => Self::manifest_invalid(format!("{error}: {cause}")),
            _ => Self::manifest_invalid(error.to_string()),
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, error.to_string())
            }
            BodyError::Stalled { .. } => {
                Self::new(StatusCode::REQUEST_TIMEOUT, Code::BlobUploadInvalid, error.to_string())
            }
            BodyError::Broken(_) => Self::upload_invalid(error.to_string()),
        }
    }
}
