//! Blobs: read, whole or in part, and delete (distribution-spec, "Pulling blobs", "Deleting Blobs").

use axum::body::Body;
use http::header::{ACCEPT_RANGES, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use http::{HeaderMap, Response, StatusCode};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use super::Registry;
use super::error::{ApiError, Code};
use super::name::RepoName;
use super::range::{Wanted, parse_range};
use super::respond::{DOCKER_CONTENT_DIGEST, Reply};
use crate::oci::Digest;

/// Bytes handed to the connection at once.
const SEND_CHUNK: usize = 256 * 1024;

/// `GET` and `HEAD` of a blob.
pub async fn read(
    registry: &Registry,
    name: RepoName,
    digest: &Digest,
    headers: &HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let wanted = digest.clone();
    if !registry.meta(move |disk| Ok(disk.has_blob(&name, &wanted))).await? {
        return Err(ApiError::blob_unknown(digest));
    }
    let size = registry.store().stat(digest).await?.ok_or_else(|| ApiError::blob_unknown(digest))?;
    let (status, start, len) = match wanted_part(headers, digest, size) {
        Wanted::All => (StatusCode::OK, 0, size),
        Wanted::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end - start + 1),
        Wanted::Unsatisfiable => {
            let message = "range is outside the blob";
            return Err(ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::SizeInvalid, message)
                .header(CONTENT_RANGE, &format!("bytes */{size}")));
        }
    };
    let body = stream(registry, digest, start, len).await?;
    let reply = Reply::new(status)
        .header(DOCKER_CONTENT_DIGEST, digest)
        .header(ETAG, format!("\"{digest}\""))
        .header(ACCEPT_RANGES, "bytes");
    let reply = match status {
        StatusCode::PARTIAL_CONTENT => reply.header(CONTENT_RANGE, format!("bytes {start}-{}/{size}", start + len - 1)),
        _ => reply,
    };
    Ok(reply.body("application/octet-stream", len, body).done())
}

/// `If-Range` with another entity tag, or with a date, asks for everything (RFC 9110, section 13.1.5).
fn wanted_part(headers: &HeaderMap, digest: &Digest, size: u64) -> Wanted {
    let same = headers.get(IF_RANGE).is_none_or(|tag| tag.as_bytes() == format!("\"{digest}\"").as_bytes());
    let range = headers.get(RANGE).filter(|_| same).and_then(|range| range.to_str().ok());
    range.map_or(Wanted::All, |range| parse_range(range, size))
}

/// Streams part of a blob in constant memory.
pub async fn stream(registry: &Registry, digest: &Digest, start: u64, len: u64) -> Result<Body, ApiError> {
    if len == 0 {
        return Ok(Body::empty());
    }
    let reader = registry.store().open(digest, start).await?.take(len);
    Ok(Body::from_stream(ReaderStream::with_capacity(reader, SEND_CHUNK)))
}

/// `DELETE` of a blob. The bytes stay for other repositories that hold them.
pub async fn delete(registry: &Registry, name: RepoName, digest: Digest) -> Result<Response<Body>, ApiError> {
    registry.may_delete("GET, HEAD")?;
    let wanted = digest.clone();
    match registry.meta(move |disk| disk.unlink_blob(&name, &wanted)).await? {
        true => Ok(Reply::new(StatusCode::ACCEPTED).done()),
        false => Err(ApiError::blob_unknown(&digest)),
    }
}
