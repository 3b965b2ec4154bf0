//! Which operation a request asks for.
//!
//! Owns: method and path → [`Route`] (distribution-spec, "Endpoints"). Repository names contain
//! slashes and may contain every keyword, so paths are taken apart from the right.
//! Never: does anything about it.

use http::Method;
use percent_encoding::percent_decode_str;

use super::name::{ManifestRef, RepoName, Tag, UploadId, parse_digest};
use crate::oci::Digest;

/// One operation of the distribution API. `HEAD` is `GET` here; the caller leaves the body out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `GET /v2/` (end-1).
    Version,
    /// `GET /v2/_catalog`.
    Catalog,
    /// `GET /v2/<name>/tags/list` (end-8).
    ListTags(RepoName),
    /// `GET /v2/<name>/referrers/<digest>` (end-12).
    Referrers(RepoName, Digest),
    /// `GET /v2/<name>/manifests/<reference>` (end-3).
    ReadManifest(RepoName, ManifestRef),
    /// `PUT /v2/<name>/manifests/<reference>` (end-7).
    PutManifest(RepoName, ManifestRef),
    /// `DELETE /v2/<name>/manifests/<reference>` (end-9).
    DeleteManifest(RepoName, ManifestRef),
    /// `GET /v2/<name>/blobs/<digest>` (end-2).
    ReadBlob(RepoName, Digest),
    /// `DELETE /v2/<name>/blobs/<digest>` (end-10).
    DeleteBlob(RepoName, Digest),
    /// `POST /v2/<name>/blobs/uploads/` (end-4, end-11).
    StartUpload(RepoName),
    /// `GET <location>` (end-13).
    UploadStatus(RepoName, UploadId),
    /// `PATCH <location>` (end-5).
    AppendUpload(RepoName, UploadId),
    /// `PUT <location>?digest=` (end-6).
    FinishUpload(RepoName, UploadId),
    /// `DELETE <location>` (end-14).
    CancelUpload(RepoName, UploadId),
}

/// Why a request names no operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// The path belongs to no endpoint.
    #[error("no such endpoint")]
    NoEndpoint,
    /// The endpoint exists, the method does not.
    #[error("method not allowed here, only {allow}")]
    Method {
        /// Value of the `Allow` header.
        allow: &'static str,
    },
    /// The repository name is outside the grammar.
    #[error("invalid repository name")]
    Name,
    /// The digest is malformed.
    #[error("invalid digest")]
    Digest,
    /// The tag is outside the grammar; for reads that is the same as a tag that is not there.
    #[error("invalid tag")]
    Tag {
        /// Whether the request would have written the tag.
        write: bool,
    },
    /// No upload has such an id.
    #[error("unknown upload")]
    Upload,
}

/// A path taken apart, before the method is looked at.
enum Endpoint<'a> {
    Version,
    Catalog,
    Tags(&'a str),
    Referrers(&'a str, &'a str),
    Manifest(&'a str, &'a str),
    Blob(&'a str, &'a str),
    Uploads(&'a str),
    Upload(&'a str, &'a str),
}

impl Route {
    /// Finds the operation for a method and the raw (percent-encoded) path of a request.
    ///
    /// # Errors
    /// [`RouteError`] when there is none.
    pub fn parse(method: &Method, path: &str) -> Result<Self, RouteError> {
        let decoded = percent_decode_str(path).decode_utf8().map_err(|_| RouteError::NoEndpoint)?;
        let endpoint = Endpoint::parse(&decoded).ok_or(RouteError::NoEndpoint)?;
        endpoint.with_method(if method == Method::HEAD { &Method::GET } else { method })
    }
}

impl<'a> Endpoint<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let rest = match path.strip_prefix("/v2")? {
            "" | "/" => return Some(Self::Version),
            "/_catalog" => return Some(Self::Catalog),
            rest => rest.strip_prefix('/')?,
        };
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Some(Self::Tags(name));
        }
        if let Some(name) = rest.strip_suffix('/').unwrap_or(rest).strip_suffix("/blobs/uploads") {
            return Some(Self::Uploads(name));
        }
        let (head, last) = rest.rsplit_once('/')?;
        if let Some(name) = head.strip_suffix("/blobs/uploads") {
            return Some(Self::Upload(name, last));
        }
        let (name, keyword) = head.rsplit_once('/')?;
        match keyword {
            "manifests" => Some(Self::Manifest(name, last)),
            "blobs" => Some(Self::Blob(name, last)),
            "referrers" => Some(Self::Referrers(name, last)),
            _ => None,
        }
    }

    fn with_method(self, method: &Method) -> Result<Route, RouteError> {
        match self {
            Self::Version => read_only(method).map(|()| Route::Version),
            Self::Catalog => read_only(method).map(|()| Route::Catalog),
            Self::Tags(name) => read_only(method).and_then(|()| Ok(Route::ListTags(repo(name)?))),
            Self::Referrers(name, text) => {
                read_only(method).and_then(|()| Ok(Route::Referrers(repo(name)?, digest(text)?)))
            }
            Self::Manifest(name, text) => manifest(method, repo(name)?, text),
            Self::Blob(name, text) => blob(method, repo(name)?, text),
            Self::Uploads(name) if method == Method::POST => Ok(Route::StartUpload(repo(name)?)),
            Self::Uploads(_) => Err(RouteError::Method { allow: "POST" }),
            Self::Upload(name, text) => upload(method, repo(name)?, text),
        }
    }
}

fn read_only(method: &Method) -> Result<(), RouteError> {
    if method == Method::GET { Ok(()) } else { Err(RouteError::Method { allow: "GET, HEAD" }) }
}

fn repo(text: &str) -> Result<RepoName, RouteError> {
    RepoName::parse(text).ok_or(RouteError::Name)
}

fn digest(text: &str) -> Result<Digest, RouteError> {
    parse_digest(text).ok_or(RouteError::Digest)
}

fn manifest(method: &Method, name: RepoName, text: &str) -> Result<Route, RouteError> {
    let write = method == Method::PUT;
    let reference = if text.contains(':') {
        ManifestRef::Digest(digest(text)?)
    } else {
        ManifestRef::Tag(Tag::parse(text).ok_or(RouteError::Tag { write })?)
    };
    match *method {
        Method::GET => Ok(Route::ReadManifest(name, reference)),
        Method::PUT => Ok(Route::PutManifest(name, reference)),
        Method::DELETE => Ok(Route::DeleteManifest(name, reference)),
        _ => Err(RouteError::Method { allow: "GET, HEAD, PUT, DELETE" }),
    }
}

fn blob(method: &Method, name: RepoName, text: &str) -> Result<Route, RouteError> {
    let digest = digest(text)?;
    match *method {
        Method::GET => Ok(Route::ReadBlob(name, digest)),
        Method::DELETE => Ok(Route::DeleteBlob(name, digest)),
        _ => Err(RouteError::Method { allow: "GET, HEAD, DELETE" }),
    }
}

fn upload(method: &Method, name: RepoName, text: &str) -> Result<Route, RouteError> {
    let id = UploadId::parse(text).ok_or(RouteError::Upload)?;
    match *method {
        Method::GET => Ok(Route::UploadStatus(name, id)),
        Method::PATCH => Ok(Route::AppendUpload(name, id)),
        Method::PUT => Ok(Route::FinishUpload(name, id)),
        Method::DELETE => Ok(Route::CancelUpload(name, id)),
        _ => Err(RouteError::Method { allow: "GET, HEAD, PATCH, PUT, DELETE" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ID: &str = "0123456789abcdef0123456789abcdef";

    fn get(path: &str) -> Result<Route, RouteError> {
        Route::parse(&Method::GET, path)
    }

    fn name(text: &str) -> RepoName {
        RepoName::parse(text).unwrap()
    }

    fn tag(text: &str) -> ManifestRef {
        ManifestRef::Tag(Tag::parse(text).unwrap())
    }

    #[test]
    fn finds_every_endpoint() {
        let digest = Digest::sha256(b"");
        let id = UploadId::parse(ID).unwrap();
        let (blob, up) = (format!("/v2/a/b/blobs/sha256:{HEX}"), format!("/v2/a/b/blobs/uploads/{ID}"));
        let by_digest = format!("/v2/a/b/manifests/sha256:{HEX}");
        let n = || name("a/b");
        for (method, path, want) in [
            ("GET", "/v2/", Route::Version),
            ("HEAD", "/v2", Route::Version),
            ("GET", "/v2/_catalog", Route::Catalog),
            ("GET", "/v2/a/b/tags/list", Route::ListTags(n())),
            ("GET", &format!("/v2/a/b/referrers/sha256:{HEX}"), Route::Referrers(n(), digest.clone())),
            ("HEAD", "/v2/a/b/manifests/v1", Route::ReadManifest(n(), tag("v1"))),
            ("PUT", "/v2/a/b/manifests/v1", Route::PutManifest(n(), tag("v1"))),
            ("DELETE", &by_digest, Route::DeleteManifest(n(), ManifestRef::Digest(digest.clone()))),
            ("GET", &blob, Route::ReadBlob(n(), digest.clone())),
            ("DELETE", &blob, Route::DeleteBlob(n(), digest.clone())),
            ("POST", "/v2/a/b/blobs/uploads/", Route::StartUpload(n())),
            ("POST", "/v2/a/b/blobs/uploads", Route::StartUpload(n())),
            ("GET", &up, Route::UploadStatus(n(), id.clone())),
            ("PATCH", &up, Route::AppendUpload(n(), id.clone())),
            ("PUT", &up, Route::FinishUpload(n(), id.clone())),
            ("DELETE", &up, Route::CancelUpload(n(), id.clone())),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(Route::parse(&method, path), Ok(want), "{method} {path}");
        }
    }

    #[test]
    fn takes_keywords_in_names_from_the_right() {
        assert_eq!(get("/v2/tags/list/tags/list"), Ok(Route::ListTags(name("tags/list"))));
        assert_eq!(get("/v2/blobs/uploads/manifests/v1"), Ok(Route::ReadManifest(name("blobs/uploads"), tag("v1"))));
        assert_eq!(get("/v2/manifests/manifests/list"), Ok(Route::ReadManifest(name("manifests"), tag("list"))));
        assert_eq!(
            Route::parse(&Method::POST, "/v2/blobs/uploads/blobs/uploads/"),
            Ok(Route::StartUpload(name("blobs/uploads")))
        );
    }

    #[test]
    fn decodes_before_checking_names() {
        assert_eq!(get("/v2/a%2Fb/tags/list"), Ok(Route::ListTags(name("a/b"))));
        assert_eq!(get(&format!("/v2/a/blobs/sha256%3A{HEX}")), Ok(Route::ReadBlob(name("a"), Digest::sha256(b""))));
        for path in ["/v2/%2e%2e/tags/list", "/v2/a%2F..%2Fb/tags/list", "/v2/a%00/tags/list", "/v2/../a/manifests/v1"]
        {
            assert_eq!(get(path), Err(RouteError::Name), "{path}");
        }
        assert_eq!(get("/v2/%ff/tags/list"), Err(RouteError::NoEndpoint));
    }

    #[test]
    fn refuses_the_rest_by_reason() {
        for (method, path, want) in [
            ("GET", "/", RouteError::NoEndpoint),
            ("GET", "/v1/", RouteError::NoEndpoint),
            ("GET", "/v2x", RouteError::NoEndpoint),
            ("GET", "/v2/a", RouteError::NoEndpoint),
            ("GET", "/v2/a/b/c/d", RouteError::NoEndpoint),
            ("GET", "/v2/manifests/v1", RouteError::NoEndpoint),
            ("GET", "/v2/A/tags/list", RouteError::Name),
            ("GET", "/v2//tags/list", RouteError::Name),
            ("GET", "/v2/a/manifests/.x", RouteError::Tag { write: false }),
            ("PUT", "/v2/a/manifests/.x", RouteError::Tag { write: true }),
            ("GET", "/v2/a/manifests/", RouteError::Tag { write: false }),
            ("GET", "/v2/a/manifests/sha256:00", RouteError::Digest),
            ("GET", "/v2/a/blobs/latest", RouteError::Digest),
            ("GET", "/v2/a/blobs/sha256:../../../etc/passwd", RouteError::NoEndpoint),
            ("GET", "/v2/a/blobs/uploads/../x", RouteError::NoEndpoint),
            ("GET", "/v2/a/blobs/uploads/..", RouteError::Upload),
            ("GET", "/v2/a/blobs/uploads/", RouteError::Method { allow: "POST" }),
            ("POST", "/v2/", RouteError::Method { allow: "GET, HEAD" }),
            ("PATCH", "/v2/a/manifests/v1", RouteError::Method { allow: "GET, HEAD, PUT, DELETE" }),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(Route::parse(&method, path), Err(want), "{method} {path}");
        }
    }
}
