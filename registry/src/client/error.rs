//! What can go wrong between this process and a registry.
//!
//! Owns: [`ClientError`] and its classification.
//! Never: advice to the user, or text from a registry that is not escaped.

use std::fmt;
use std::time::Duration;

use http::{Method, StatusCode};
use oci_client::errors::OciErrorCode;
use url::Url;

use super::credentials::CredentialError;
use super::envelope::{Messages, RegistryMessage};
use super::retry::is_retryable_status;
use super::text::SafeUrl;
use crate::oci::{Digest, ManifestError};

/// A failed request, or a failed preparation of one.
#[derive(Debug)]
pub struct ClientError {
    site: Box<Site>,
    fault: Box<Fault>,
}

#[derive(Debug)]
struct Site {
    host: String,
    request: Option<(Method, SafeUrl)>,
}

/// Classes of failure that callers decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorKind {
    /// The manifest, blob, repository or upload does not exist.
    NotFound,
    /// No credentials, or they were not accepted.
    Unauthorized,
    /// Known, but not allowed to do this.
    Denied,
    /// Too many requests.
    RateLimited,
    /// Larger than the registry or polyarch accepts.
    TooLarge,
    /// The registry fails or restarts (5xx).
    Unavailable,
    /// Something answers, but it is not a registry.
    NotARegistry,
    /// The TLS handshake failed.
    Tls,
    /// The host's name has no address.
    UnknownHost,
    /// No connection.
    Connect,
    /// The connection broke.
    Interrupted,
    /// Nothing happened for too long.
    Timeout,
    /// Bytes are not what their digest, size or media type says.
    Mismatch,
    /// The registry breaks the distribution-spec.
    Protocol,
    /// The registry refuses the request for another reason.
    Rejected,
    /// Following the registry would be unsafe.
    Unsafe,
    /// Credentials, certificates or the blob on this side cannot be read.
    Local,
}

/// What happened.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The registry answered with a status that is not success.
    #[error("answered {status}{}", Messages(.errors))]
    Status {
        /// The status.
        status: StatusCode,
        /// The registry's own words, escaped and cut.
        errors: Vec<RegistryMessage>,
        /// `Retry-After`, not capped.
        retry_after: Option<Duration>,
    },
    /// A web page or another server answered.
    #[error("answered {status} with {content_type}, which is not a registry's answer")]
    NotARegistry {
        /// The status.
        status: StatusCode,
        /// The media type, escaped.
        content_type: String,
    },
    /// The host's name has no address.
    #[error("cannot find the host")]
    UnknownHost(#[source] reqwest::Error),
    /// No connection could be made.
    #[error("cannot connect")]
    Connect(#[source] reqwest::Error),
    /// The TLS handshake failed.
    #[error("cannot establish TLS")]
    Tls(#[source] reqwest::Error),
    /// The server wants a certificate of this client, and there is none.
    #[error("the server wants a client certificate")]
    ClientCertificate(#[source] reqwest::Error),
    /// The connection broke while sending or receiving.
    #[error("connection lost")]
    Interrupted(#[source] reqwest::Error),
    /// Nothing happened for too long.
    #[error("no {what} for {} s", .after.as_secs())]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// The limit that passed.
        after: Duration,
    },
    /// A body is larger than its budget.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What was read.
        what: &'static str,
        /// The budget.
        limit: u64,
    },
    /// The bytes have another digest.
    #[error("content has digest {got}, expected {want}")]
    Digest {
        /// What was asked for or promised.
        want: Digest,
        /// What the bytes hash to, or what the registry claims.
        got: Digest,
    },
    /// A tag points elsewhere than it did a moment ago.
    #[error("the tag has moved from {want} to {got}")]
    TagMoved {
        /// Where it pointed.
        want: Digest,
        /// Where it points now.
        got: Digest,
    },
    /// The number of bytes is another.
    #[error("content has {got} bytes, expected {want}")]
    Size {
        /// What the descriptor promises.
        want: u64,
        /// What was announced or arrived.
        got: u64,
    },
    /// The manifest is not one.
    #[error("unusable manifest")]
    Manifest(#[source] ManifestError),
    /// The registry breaks the protocol.
    #[error("registry breaks the protocol: {0}")]
    Protocol(String),
    /// A realm, redirect, `Location` or `Link` points where polyarch does not go.
    #[error("refused to follow {target}: {reason}")]
    Refused {
        /// Where to.
        target: String,
        /// Why not.
        reason: &'static str,
    },
    /// Another program asked for a token that no build needs.
    #[error("a token for {scopes} is not given to a daemon")]
    NotLent {
        /// What was asked for, escaped.
        scopes: String,
    },
    /// Credentials could not be read.
    #[error("cannot read credentials")]
    Credentials(#[source] CredentialError),
    /// The blob to send could not be read.
    #[error("cannot read the blob to send")]
    Source(#[source] std::io::Error),
    /// The settings for this host cannot be used.
    #[error("unusable settings for the host: {reason}")]
    Setup {
        /// What is wrong.
        reason: String,
        /// Cause.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl ClientError {
    pub(crate) fn at(host: &str, fault: Fault) -> Self {
        Self { site: Box::new(Site { host: host.to_owned(), request: None }), fault: Box::new(fault) }
    }

    pub(crate) fn on(host: &str, method: &Method, url: &Url, fault: Fault) -> Self {
        let request = Some((method.clone(), SafeUrl::new(url)));
        Self { site: Box::new(Site { host: host.to_owned(), request }), fault: Box::new(fault) }
    }

    /// Returns the registry's host as the reference names it.
    pub fn host(&self) -> &str {
        &self.site.host
    }

    /// Returns the method of the request, if one was made.
    pub fn method(&self) -> Option<&Method> {
        self.site.request.as_ref().map(|(method, _)| method)
    }

    /// Returns the URL of the request without its secrets, if one was made.
    pub fn url(&self) -> Option<&SafeUrl> {
        self.site.request.as_ref().map(|(_, url)| url)
    }

    /// Returns what happened.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Returns the status, if the registry answered.
    pub fn status(&self) -> Option<StatusCode> {
        match &*self.fault {
            Fault::Status { status, .. } | Fault::NotARegistry { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Returns whether the registry's error body has this code.
    pub fn has_code(&self, code: &OciErrorCode) -> bool {
        matches!(&*self.fault, Fault::Status { errors, .. } if errors.iter().any(|error| error.code == *code))
    }

    /// Returns whether the registry says that it does not have what was asked for: 404, 410, or a 400 with the code that
    /// belongs to 404. Anything else is no answer to the question.
    pub fn is_unknown(&self) -> bool {
        let says = |code| self.has_code(&code);
        let unknown = || says(OciErrorCode::ManifestUnknown) || says(OciErrorCode::BlobUnknown);
        self.kind() == ErrorKind::NotFound || self.status() == Some(StatusCode::BAD_REQUEST) && unknown()
    }

    /// Returns the registry's `Retry-After`, not capped.
    pub fn retry_after(&self) -> Option<Duration> {
        match &*self.fault {
            Fault::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Returns whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        match &*self.fault {
            Fault::Status { status, .. } => is_retryable_status(*status),
            Fault::UnknownHost(_) | Fault::Connect(_) | Fault::Interrupted(_) | Fault::Timeout { .. } => true,
            _ => false,
        }
    }

    /// Returns the class of the failure.
    pub fn kind(&self) -> ErrorKind {
        match &*self.fault {
            Fault::Status { status, .. } => status_kind(*status),
            Fault::NotARegistry { .. } => ErrorKind::NotARegistry,
            Fault::UnknownHost(_) => ErrorKind::UnknownHost,
            Fault::Connect(_) => ErrorKind::Connect,
            Fault::Tls(_) | Fault::ClientCertificate(_) => ErrorKind::Tls,
            Fault::Interrupted(_) => ErrorKind::Interrupted,
            Fault::Timeout { .. } => ErrorKind::Timeout,
            Fault::TooLarge { .. } => ErrorKind::TooLarge,
            Fault::Digest { .. } | Fault::TagMoved { .. } | Fault::Size { .. } | Fault::Manifest(_) => {
                ErrorKind::Mismatch
            }
            Fault::Protocol(_) => ErrorKind::Protocol,
            Fault::Refused { .. } | Fault::NotLent { .. } => ErrorKind::Unsafe,
            Fault::Credentials(_) | Fault::Source(_) | Fault::Setup { .. } => ErrorKind::Local,
        }
    }
}

fn status_kind(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        401 => ErrorKind::Unauthorized,
        403 => ErrorKind::Denied,
        404 | 410 => ErrorKind::NotFound,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        408 | 500..600 => ErrorKind::Unavailable,
        _ => ErrorKind::Rejected,
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.site.request {
            Some((method, url)) => write!(f, "{method} {url}"),
            None => write!(f, "use registry {}", self.site.host),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.fault)
    }
}

/// Sorts a transport error by what the chain of causes holds, never by its text.
pub(crate) fn transport_fault(error: reqwest::Error) -> Fault {
    let error = error.without_url();
    if let Some(refused) = find::<super::address::Forbidden>(&error) {
        return Fault::Refused { target: refused.host.clone(), reason: refused.reason };
    }
    if find::<super::address::Unresolved>(&error).is_some() {
        return Fault::UnknownHost(error);
    }
    let wants = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
    if find::<rustls::Error>(&error) == Some(&wants) {
        return Fault::ClientCertificate(error);
    }
    // An alert after the handshake (TLS 1.3: a missing client certificate) comes as invalid data
    // without its type; a socket has no such error.
    let invalid = |error: &std::io::Error| error.kind() == std::io::ErrorKind::InvalidData;
    if find::<rustls::Error>(&error).is_some() || find::<std::io::Error>(&error).is_some_and(invalid) {
        return Fault::Tls(error);
    }
    if error.is_connect() { Fault::Connect(error) } else { Fault::Interrupted(error) }
}

/// Finds a cause of type `T`, also inside the [`std::io::Error`]s that hide theirs from `source()`.
pub(crate) fn find<'a, T: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::envelope::parse_envelope;
    use super::*;

    fn status(code: u16, body: &[u8]) -> ClientError {
        let status = StatusCode::from_u16(code).unwrap();
        let url = Url::parse("https://u:p@r.example.com/v2/x/manifests/1?sig=2").unwrap();
        let fault = Fault::Status { status, errors: parse_envelope(body), retry_after: None };
        ClientError::on("r.example.com", &Method::GET, &url, fault)
    }

    #[test]
    fn one_layer_each_and_escaped() {
        let body = br#"{"errors":[{"code":"DENIED","message":"no\n::error::\u001b[2J","detail":{}},{"code":"OWN"}]}"#;
        let error = status(403, body);
        assert_eq!(error.to_string(), "GET https://r.example.com/v2/x/manifests/1?…");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "answered 403 Forbidden: DENIED (no\\u{a}::error::\\u{1b}[2J); OWN");
        assert!(error.has_code(&OciErrorCode::Denied));
    }

    #[test]
    fn only_an_answer_says_that_something_is_not_there() {
        let unknown = br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#;
        for (code, body, want) in [
            (404, &b""[..], true),
            (410, b"", true),
            (400, unknown, true),
            (400, br#"{"errors":[{"code":"DENIED"}]}"#, false),
            (400, b"", false),
            (401, unknown, false),
            (403, unknown, false),
            (429, unknown, false),
            (503, unknown, false),
        ] {
            assert_eq!(status(code, body).is_unknown(), want, "{code}");
        }
    }

    #[test]
    fn kinds_and_retries_follow_the_status() {
        for (code, kind, retryable) in [
            (400, ErrorKind::Rejected, false),
            (401, ErrorKind::Unauthorized, false),
            (403, ErrorKind::Denied, false),
            (404, ErrorKind::NotFound, false),
            (413, ErrorKind::TooLarge, false),
            (429, ErrorKind::RateLimited, true),
            (500, ErrorKind::Unavailable, true),
            (501, ErrorKind::Unavailable, false),
            (503, ErrorKind::Unavailable, true),
        ] {
            let error = status(code, b"");
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{code}");
        }
    }
}
