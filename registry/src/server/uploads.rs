//! Blob uploads: start, mount, chunks, close, cancel (distribution-spec, "Pushing blobs").

use axum::body::Body;
use http::header::{CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderMap, Response, StatusCode};

use super::Registry;
use super::body::RequestBody;
use super::error::{ApiError, Code};
use super::name::{RepoName, UploadId, parse_digest};
use super::query::Query;
use super::range::ChunkRange;
use super::registry::Naming;
use super::respond::{DOCKER_UPLOAD_UUID, Reply, blob_created, upload_location, upload_range};
use super::sessions::{Lease, SessionError};
use crate::oci::Digest;
use crate::store::Expect;

/// Which upload a request is about.
pub struct Target {
    /// The repository.
    pub name: RepoName,
    /// The session.
    pub id: UploadId,
}

/// `POST`: mount, upload in one request, or open a session.
pub async fn start(
    registry: &Registry,
    name: RepoName,
    query: &Query,
    body: &mut RequestBody,
) -> Result<Response<Body>, ApiError> {
    if let Some(mount) = query.get("mount") {
        let digest = digest_param(mount)?;
        if mount_blob(registry, &name, query.get("from"), &digest).await? {
            return Ok(blob_created(&name, &digest));
        }
    } else if let Some(digest) = query.get("digest") {
        return at_once(registry, &name, digest_param(digest)?, body).await;
    }
    let id = registry.sessions().start(name.clone())?;
    Ok(progress(StatusCode::ACCEPTED, &Target { name, id }, 0).done())
}

/// Links a blob that another repository holds, or any where none is named: whoever may push may read them all.
/// Returns whether there is one.
async fn mount_blob(
    registry: &Registry,
    name: &RepoName,
    from: Option<&str>,
    digest: &Digest,
) -> Result<bool, ApiError> {
    let from = match from.map(RepoName::parse) {
        Some(None) => return Ok(false),
        Some(from) => from,
        None => None,
    };
    let naming = registry.naming().await;
    if from.is_none() && registry.store().stat(digest).await?.is_none() {
        return Ok(false);
    }
    let (name, digest) = (name.clone(), digest.clone());
    let mounted = registry.name(naming, move |disk| {
        let held = from.is_none_or(|from| disk.has_blob(&from, &digest));
        if held { disk.link_blob(&name, &digest).map(|()| true) } else { Ok(false) }
    });
    Ok(mounted.await?)
}

/// The whole blob in the `POST` (distribution-spec, "Single POST").
async fn at_once(
    registry: &Registry,
    name: &RepoName,
    digest: Digest,
    body: &mut RequestBody,
) -> Result<Response<Body>, ApiError> {
    registry.admit_size(body.exact_len().unwrap_or(0))?;
    let expect = Expect { digest: Some(digest.clone()), size: body.exact_len() };
    let mut writer = registry.store().writer(expect).await?;
    while let Some(bytes) = body.next().await? {
        registry.admit_size(writer.written().saturating_add(bytes.len() as u64))?;
        writer.write(bytes).await?;
    }
    let naming = registry.naming().await;
    writer.commit().await?;
    link(registry, naming, name, &digest).await
}

/// `GET` of a session: how far it got.
pub fn status(registry: &Registry, target: &Target) -> Result<Response<Body>, ApiError> {
    let received = registry.sessions().received(&target.name, &target.id)?;
    Ok(progress(StatusCode::NO_CONTENT, target, received).done())
}

/// `DELETE` of a session.
pub fn cancel(registry: &Registry, target: &Target) -> Result<Response<Body>, ApiError> {
    registry.sessions().cancel(&target.name, &target.id)?;
    Ok(Reply::new(StatusCode::NO_CONTENT).done())
}

/// `PATCH`: a chunk, or the whole blob as a stream.
pub async fn append(
    registry: &Registry,
    target: &Target,
    headers: &HeaderMap,
    body: &mut RequestBody,
) -> Result<Response<Body>, ApiError> {
    let mut lease = registry.sessions().lease(&target.name, &target.id)?;
    check_place(target, &lease, headers, body)?;
    registry.admit_size(lease.received().saturating_add(body.exact_len().unwrap_or(0)))?;
    receive(registry, &mut lease, body).await?;
    Ok(progress(StatusCode::ACCEPTED, target, lease.received()).done())
}

/// `PUT ?digest=`: the last chunk, or none; then the verdict.
pub async fn finish(
    registry: &Registry,
    target: &Target,
    request: (&HeaderMap, &Query),
    body: &mut RequestBody,
) -> Result<Response<Body>, ApiError> {
    let (headers, query) = request;
    let digest = digest_param(query.get("digest").ok_or_else(|| ApiError::digest_invalid("`digest` is missing"))?)?;
    let mut lease = registry.sessions().lease(&target.name, &target.id)?;
    check_place(target, &lease, headers, body)?;
    registry.admit_size(lease.received().saturating_add(body.exact_len().unwrap_or(0)))?;
    if lease.is_empty() {
        lease.put(registry.store().writer(Expect { digest: Some(digest.clone()), size: None }).await?);
    }
    receive(registry, &mut lease, body).await?;
    let Some(mut writer) = lease.finish() else { return Err(ApiError::upload_unknown()) };
    writer.promise(digest.clone()).await?;
    let naming = registry.naming().await;
    writer.commit().await?;
    link(registry, naming, &target.name, &digest).await
}

/// Names bytes that are in the store; `naming` has kept gc away since before they were.
async fn link(
    registry: &Registry,
    naming: Naming,
    name: &RepoName,
    digest: &Digest,
) -> Result<Response<Body>, ApiError> {
    let created = blob_created(name, digest);
    let (name, digest) = (name.clone(), digest.clone());
    registry.name(naming, move |disk| disk.link_blob(&name, &digest)).await?;
    Ok(created)
}

/// Moves a body into a session.
async fn receive(registry: &Registry, lease: &mut Lease, body: &mut RequestBody) -> Result<(), ApiError> {
    while let Some(bytes) = body.next().await? {
        registry.admit_size(lease.received().saturating_add(bytes.len() as u64))?;
        if lease.is_empty() {
            lease.put(registry.store().writer(Expect::default()).await?);
        }
        lease.write(bytes).await?;
    }
    Ok(())
}

/// Checks that a chunk starts where the session ends. A request without `Content-Range` continues there.
fn check_place(target: &Target, lease: &Lease, headers: &HeaderMap, body: &RequestBody) -> Result<(), ApiError> {
    let Some(header) = headers.get(CONTENT_RANGE) else { return Ok(()) };
    let range = header.to_str().ok().and_then(ChunkRange::parse);
    let range = range.ok_or_else(|| ApiError::upload_invalid("Content-Range is not `<start>-<end>`"))?;
    if range.start != lease.received() {
        return Err(ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid, "chunk is out of order")
            .header(LOCATION, &upload_location(&target.name, &target.id))
            .header(RANGE, &upload_range(lease.received())));
    }
    if body.exact_len().is_some_and(|len| Some(len) != range.len()) {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            Code::SizeInvalid,
            "Content-Range and Content-Length do not agree",
        ));
    }
    Ok(())
}

fn progress(status: StatusCode, target: &Target, received: u64) -> Reply {
    Reply::new(status)
        .header(LOCATION, upload_location(&target.name, &target.id))
        .header(RANGE, upload_range(received))
        .header(DOCKER_UPLOAD_UUID, &target.id)
}

fn digest_param(text: &str) -> Result<Digest, ApiError> {
    let digest = parse_digest(text).ok_or_else(|| ApiError::digest_invalid("digest is malformed"))?;
    // Refused now, so that nobody uploads what cannot be verified.
    digest.hasher().map_err(|error| ApiError::digest_invalid(error.to_string()))?;
    Ok(digest)
}

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Unknown => Self::upload_unknown(),
            SessionError::Busy | SessionError::Full => Self::busy(&error.to_string()),
        }
    }
}
