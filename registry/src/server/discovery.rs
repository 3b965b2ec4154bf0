//! Lists: tags, referrers, repositories (distribution-spec, "Content Discovery").

use axum::body::Body;
use http::header::LINK;
use http::{Response, StatusCode};
use serde_json::json;
use url::form_urlencoded;

use super::Registry;
use super::disk::ReferrersPage;
use super::error::ApiError;
use super::name::{RepoName, parse_digest};
use super::query::Query;
use super::respond::{OCI_FILTERS_APPLIED, Reply};
use crate::oci::{Digest, media_type};

const JSON: &str = "application/json";
/// Most bytes of descriptors in one referrers answer: clients take manifests up to 4 MiB.
const REFERRERS_BUDGET: usize = 3 * 1024 * 1024;

/// `GET /v2/<name>/tags/list`.
pub async fn tags(registry: &Registry, name: RepoName, query: &Query) -> Result<Response<Body>, ApiError> {
    let page = query.page()?;
    let repo = name.clone();
    let tags = registry.meta(move |disk| disk.tags(&repo)).await?.ok_or_else(|| ApiError::name_unknown(&name))?;
    let slice = page.cut(&format!("/v2/{name}/tags/list"), tags);
    let reply = Reply::new(StatusCode::OK).json(JSON, &json!({ "name": name.as_str(), "tags": slice.items }));
    Ok(with_next(reply, slice.next).done())
}

/// `GET /v2/_catalog`: not in the spec, but what every client that lists repositories asks for.
pub async fn catalog(registry: &Registry, query: &Query) -> Result<Response<Body>, ApiError> {
    let page = query.page()?;
    let repositories = registry.meta(|disk| disk.repositories()).await?;
    let slice = page.cut("/v2/_catalog", repositories);
    let reply = Reply::new(StatusCode::OK).json(JSON, &json!({ "repositories": slice.items }));
    Ok(with_next(reply, slice.next).done())
}

/// `GET /v2/<name>/referrers/<digest>`: an index, empty where nothing refers to the digest.
pub async fn referrers(
    registry: &Registry,
    name: RepoName,
    subject: Digest,
    query: &Query,
) -> Result<Response<Body>, ApiError> {
    let artifact_type = query.get("artifactType").map(str::to_owned);
    let last = match query.get("last") {
        Some(text) => Some(parse_digest(text).ok_or_else(|| ApiError::digest_invalid("`last` is not a digest"))?),
        None => None,
    };
    let limit = query.page()?.n;
    let path = format!("/v2/{name}/referrers/{subject}");
    let filter = artifact_type.clone();
    let found = registry.meta(move |disk| {
        let (artifact_type, last) = (filter.as_deref(), last.as_ref());
        let page = ReferrersPage { artifact_type, last, limit, budget: REFERRERS_BUDGET };
        disk.referrers(&name, &subject, page)
    });
    let found = found.await?;
    let next = found.entries.last().filter(|_| found.more).map(|last| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("last", &last.digest.to_string());
        if let Some(n) = limit {
            query.append_pair("n", &n.to_string());
        }
        if let Some(artifact_type) = &artifact_type {
            query.append_pair("artifactType", artifact_type);
        }
        format!("{path}?{}", query.finish())
    });
    let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": found.entries });
    let reply = with_next(Reply::new(StatusCode::OK).json(media_type::OCI_INDEX, &index), next);
    Ok(match artifact_type {
        Some(_) => reply.header(OCI_FILTERS_APPLIED, "artifactType").done(),
        None => reply.done(),
    })
}

fn with_next(reply: Reply, next: Option<String>) -> Reply {
    match next {
        Some(path) => reply.header(LINK, format!("<{path}>; rel=\"next\"")),
        None => reply,
    }
}
