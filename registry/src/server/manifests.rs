//! Manifests: read, push, delete (distribution-spec, "Pulling manifests", "Pushing Manifests").
//!
//! The bytes are kept as they came. What a manifest references must be in the repository first, with
//! the size it says, except layers that are not distributable and a subject.

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, LOCATION};
use http::{HeaderMap, Response, StatusCode};
use serde::Deserialize;

use super::body::RequestBody;
use super::disk::{Condition, NewManifest, Record, Referrer};
use super::error::{ApiError, Code};
use super::name::{ManifestRef, RepoName, Tag, parse_digest};
use super::query::Query;
use super::respond::{DOCKER_CONTENT_DIGEST, OCI_SUBJECT, OCI_TAG, Reply};
use super::{Registry, blobs};
use crate::oci::{Descriptor, Digest, Manifest, media_type};
use crate::store::Expect;

/// Largest manifest in bytes (distribution-spec: a registry should take at least 4 MiB).
pub const MANIFEST_LIMIT: usize = 4 * 1024 * 1024;
/// Most tags that one push by digest may set.
const TAG_PARAM_LIMIT: usize = 100;

/// `GET` and `HEAD` of a manifest. It is never converted, whatever `Accept` says.
pub async fn read(registry: &Registry, name: RepoName, reference: ManifestRef) -> Result<Response<Body>, ApiError> {
    let unknown = ApiError::manifest_unknown(&reference);
    let Some((digest, record)) = find(registry, name, reference).await? else { return Err(unknown) };
    let body = blobs::stream(registry, &digest, 0, record.size).await?;
    let reply = Reply::new(StatusCode::OK).header(DOCKER_CONTENT_DIGEST, &digest).header(ETAG, format!("\"{digest}\""));
    Ok(reply.body(&record.media_type, record.size, body).done())
}

async fn find(
    registry: &Registry,
    name: RepoName,
    reference: ManifestRef,
) -> Result<Option<(Digest, Record)>, ApiError> {
    let found = registry.meta(move |disk| {
        let digest = match reference {
            ManifestRef::Digest(digest) => Some(digest),
            ManifestRef::Tag(tag) => disk.resolve(&name, &tag)?,
        };
        let Some(digest) = digest else { return Ok(None) };
        Ok(disk.manifest(&name, &digest)?.map(|record| (digest, record)))
    });
    Ok(found.await?)
}

/// A push, as far as the request says.
pub struct Push<'a> {
    /// The repository.
    pub name: RepoName,
    /// Tag or digest in the path.
    pub reference: ManifestRef,
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The request's parameters: `tag`, repeated, beside a digest in the path; `digest` beside a tag.
    pub query: &'a Query,
}

/// `PUT` of a manifest.
pub async fn put(registry: &Registry, push: Push<'_>, body: &mut RequestBody) -> Result<Response<Body>, ApiError> {
    let bytes = body.collect(MANIFEST_LIMIT).await?;
    let media_type = media_type_of(push.headers, &bytes)?;
    let manifest = Manifest::parse(&media_type, &bytes)?;
    let digest = checked_digest(&push, &bytes)?;
    let tags = tags_of(&push)?;
    let condition = condition_of(push.headers)?.filter(|_| matches!(push.reference, ManifestRef::Tag(_)));
    let references: Vec<_> = required(&manifest).map(|descriptor| descriptor.digest.clone()).collect();
    let (name, wanted) = (push.name.clone(), references.clone());
    // Checked again when it is recorded; here, so that a refused manifest leaves no bytes behind.
    registry.meta(move |disk| disk.require(&name, &wanted)).await?;
    check_sizes(registry, &push.name, &manifest).await?;
    let size = bytes.len() as u64;
    let referrer = referrer_of(&manifest, Descriptor::new(media_type.clone(), digest.clone(), size))?;
    let subject = referrer.as_ref().map(|referrer| referrer.subject.clone());
    let naming = registry.naming().await;
    store_bytes(registry, &digest, bytes).await?;
    let new =
        NewManifest { digest: digest.clone(), media_type, size, references, referrer, tags: tags.clone(), condition };
    let name = push.name.clone();
    registry.name(naming, move |disk| disk.put_manifest(&name, &new)).await?;
    Ok(created(&push, &digest, subject, &tags))
}

/// Lets a client change a tag only as it knows it: two that add to one index must not lose each other's entry.
fn condition_of(headers: &HeaderMap) -> Result<Option<Condition>, ApiError> {
    let read = |name: http::HeaderName| -> Result<Option<Vec<Digest>>, ApiError> {
        let Some(value) = headers.get(&name) else { return Ok(None) };
        let bad = || ApiError::manifest_invalid(format!("{name} is not a list of entity tags"));
        let text = value.to_str().map_err(|_| bad())?.trim();
        if text == "*" {
            return Ok(Some(Vec::new()));
        }
        let tag = |tag: &str| parse_digest(tag.trim().strip_prefix('"')?.strip_suffix('"')?);
        text.split(',').map(tag).collect::<Option<Vec<_>>>().map(Some).ok_or_else(bad)
    };
    let condition = read(IF_MATCH)?.map(Condition::Match);
    Ok(match condition {
        None => read(IF_NONE_MATCH)?.map(Condition::NoMatch),
        some => some,
    })
}

fn created(push: &Push<'_>, digest: &Digest, subject: Option<Digest>, tags: &[Tag]) -> Response<Body> {
    let mut reply = Reply::new(StatusCode::CREATED)
        .header(LOCATION, format!("/v2/{}/manifests/{digest}", push.name))
        .header(DOCKER_CONTENT_DIGEST, digest);
    if let Some(subject) = subject {
        reply = reply.header(OCI_SUBJECT, subject);
    }
    if matches!(push.reference, ManifestRef::Digest(_)) {
        reply = tags.iter().fold(reply, |reply, tag| reply.header(OCI_TAG, tag));
    }
    reply.done()
}

/// The Content-Type without parameters; a client that sends none must say it in the body.
fn media_type_of(headers: &HeaderMap, bytes: &[u8]) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "mediaType")]
        media_type: Option<String>,
    }
    let header = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = header.split(';').next().unwrap_or_default().trim();
    if !essence.is_empty() {
        return Ok(essence.to_owned());
    }
    let body = serde_json::from_slice::<Body>(bytes).ok().and_then(|body| body.media_type);
    body.ok_or_else(|| ApiError::manifest_invalid("neither Content-Type nor the body names a media type"))
}

/// Computes the digest in the algorithm the client uses for this manifest, and compares.
fn checked_digest(push: &Push<'_>, bytes: &[u8]) -> Result<Digest, ApiError> {
    let want = match (&push.reference, push.query.get("digest")) {
        (ManifestRef::Digest(digest), _) => digest.clone(),
        (ManifestRef::Tag(_), None) => return Ok(Digest::sha256(bytes)),
        (ManifestRef::Tag(_), Some(text)) => {
            parse_digest(text).ok_or_else(|| ApiError::digest_invalid("digest is malformed"))?
        }
    };
    let mut hasher = want.hasher().map_err(|error| ApiError::digest_invalid(error.to_string()))?;
    hasher.update(bytes);
    let got = hasher.finish();
    match got == want {
        true => Ok(want),
        false => Err(ApiError::digest_invalid(format!("manifest has digest {got}, expected {want}"))),
    }
}

fn tags_of(push: &Push<'_>) -> Result<Vec<Tag>, ApiError> {
    if let ManifestRef::Tag(tag) = &push.reference {
        return Ok(vec![tag.clone()]);
    }
    let tags: Option<Vec<_>> = push.query.all("tag").map(Tag::parse).collect();
    match tags {
        None => Err(ApiError::manifest_invalid("invalid tag")),
        Some(tags) if tags.len() > TAG_PARAM_LIMIT => {
            Err(ApiError::manifest_invalid(format!("more than {TAG_PARAM_LIMIT} tags at once")))
        }
        Some(tags) => Ok(tags),
    }
}

/// What must be in the repository. A layer that may not be distributed, or that lives elsewhere, need not.
fn required(manifest: &Manifest) -> impl Iterator<Item = &Descriptor> {
    let elsewhere = |descriptor: &&Descriptor| {
        !media_type::is_nondistributable(&descriptor.media_type) && descriptor.urls.is_empty()
    };
    manifest.references().into_iter().filter(elsewhere)
}

/// Compares the sizes a manifest states with what is stored: a client trusts them before it has the bytes.
async fn check_sizes(registry: &Registry, name: &RepoName, manifest: &Manifest) -> Result<(), ApiError> {
    for descriptor in required(manifest) {
        let Some(size) = registry.store().stat(&descriptor.digest).await? else { continue };
        if size != descriptor.size {
            tracing::debug!(%name, digest = %descriptor.digest, "manifest states a wrong size");
            let message = format!("{} has {size} bytes, the manifest says {}", descriptor.digest, descriptor.size);
            return Err(ApiError::new(StatusCode::BAD_REQUEST, Code::SizeInvalid, message));
        }
    }
    Ok(())
}

async fn store_bytes(registry: &Registry, digest: &Digest, bytes: Bytes) -> Result<(), ApiError> {
    let size = bytes.len() as u64;
    if registry.store().stat(digest).await? == Some(size) {
        return Ok(());
    }
    let mut writer = registry.store().writer(Expect { digest: Some(digest.clone()), size: Some(size) }).await?;
    writer.write(bytes).await?;
    writer.commit().await?;
    Ok(())
}

/// The entry for the referrers list (distribution-spec, "Listing Referrers").
fn referrer_of(manifest: &Manifest, mut entry: Descriptor) -> Result<Option<Referrer>, ApiError> {
    let Some(subject) = manifest.subject() else { return Ok(None) };
    let subject = parse_digest(&subject.digest.to_string())
        .ok_or_else(|| ApiError::manifest_invalid("digest of the subject is too long"))?;
    let (artifact_type, annotations) = match manifest {
        Manifest::Image(image) => {
            let given = image.artifact_type.clone().filter(|given| !given.is_empty());
            (Some(given.unwrap_or_else(|| image.config.media_type.clone())), &image.annotations)
        }
        Manifest::Index(index) => (index.artifact_type.clone(), &index.annotations),
    };
    entry.artifact_type = artifact_type;
    entry.annotations = annotations.clone();
    Ok(Some(Referrer { subject, entry }))
}

/// `DELETE` of a tag, or of a manifest with every tag that points at it.
pub async fn delete(registry: &Registry, name: RepoName, reference: ManifestRef) -> Result<Response<Body>, ApiError> {
    registry.may_delete("GET, HEAD, PUT")?;
    let unknown = ApiError::manifest_unknown(&reference);
    let deleted = registry.meta(move |disk| match reference {
        ManifestRef::Tag(tag) => disk.delete_tag(&name, &tag),
        ManifestRef::Digest(digest) => disk.delete_manifest(&name, &digest),
    });
    match deleted.await? {
        true => Ok(Reply::new(StatusCode::ACCEPTED).done()),
        false => Err(unknown),
    }
}
