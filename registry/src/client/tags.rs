//! Listing tags (distribution-spec, "Content Discovery").
//!
//! Owns: paging by `Link` (RFC 8288) within bounds and within the registry's origin.
//! Never: guesses the next page.

use std::collections::{BTreeSet, HashSet};

use http::{Method, header};
use serde::Deserialize;
use url::Url;

use super::Registry;
use super::auth::Access;
use super::call::Call;
use super::endpoint::{refused, resolve};
use super::error::{ClientError, Fault};
use super::pool::same_origin;
use crate::oci::Reference;
use crate::oci::reference::is_tag;

/// The tags of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagList {
    /// Valid tags, sorted.
    pub tags: BTreeSet<String>,
    /// There were more pages or tags than the limits allow.
    pub truncated: bool,
}

#[derive(Deserialize)]
struct Page {
    /// `null` where a registry has none.
    #[serde(default)]
    tags: Option<Vec<String>>,
}

impl Registry {
    /// Lists the tags of the reference's repository.
    ///
    /// # Errors
    /// [`super::ErrorKind::Unsafe`] for a next page elsewhere, [`super::ErrorKind::Protocol`] for pages in a circle, and others.
    pub async fn tags(&self, reference: &Reference) -> Result<TagList, ClientError> {
        let limits = &self.inner.config.limits;
        let mut list = TagList { tags: BTreeSet::new(), truncated: false };
        let mut seen = HashSet::new();
        let mut next: Option<Url> = None;
        for _ in 0..limits.pages {
            let call = Call::new(reference, Access::Pull, Method::GET, "tags/list");
            let call = match next.take() {
                Some(url) => call.at(url),
                None => call,
            };
            let (page, link, at) = self.page(reference, &call).await?;
            // Anything else could not be asked for, and may be an attack on a terminal.
            list.tags.extend(page.tags.unwrap_or_default().into_iter().filter(|tag| is_tag(tag)));
            if list.tags.len() > limits.tags {
                break;
            }
            let Some(link) = link else { return Ok(list) };
            if !seen.insert(link.clone()) || link == at {
                let fault = Fault::Protocol("the pages of the tag list form a circle".to_owned());
                return Err(ClientError::on(reference.host(), &Method::GET, &at, fault));
            }
            next = Some(link);
        }
        while list.tags.len() > limits.tags {
            list.tags.pop_last();
        }
        list.truncated = true;
        Ok(list)
    }

    async fn page(&self, reference: &Reference, call: &Call<'_>) -> Result<(Page, Option<Url>, Url), ClientError> {
        self.retrying(|| async {
            let mut answered = self.attempt(call).await?;
            let link = answered.reply.header(header::LINK).and_then(next_link).map(str::to_owned);
            let body = answered.reply.bytes("tag list", self.inner.config.limits.page_bytes).await;
            let read = body.and_then(|body| {
                let page = serde_json::from_slice(&body);
                let page = page.map_err(|_| Fault::Protocol("the tag list is not its JSON".to_owned()))?;
                let link = link.map(|link| follow(&answered.base, &answered.url, &link)).transpose()?;
                Ok((page, link, answered.url.clone()))
            });
            read.map_err(|fault| answered.fault(reference, &Method::GET, fault))
        })
        .await
    }
}

fn follow(base: &Url, at: &Url, link: &str) -> Result<Url, Fault> {
    let url = resolve(at, link)?;
    if same_origin(base, &url) { Ok(url) } else { Err(refused(&url, "the next page is on another host")) }
}

/// Returns the target of the link whose relation is `next`.
fn next_link(value: &str) -> Option<&str> {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, params) = after.split_once('>')?;
        let own = params.split_once('<').map_or(params, |(own, _)| own);
        let is_next = own.split([';', ',']).map(str::trim).any(|param| {
            let (name, value) = param.split_once('=').unwrap_or_default();
            let relations = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel") && relations.split(' ').any(|r| r.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target);
        }
        rest = params;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_the_next_link() {
        for (value, want) in [
            ("</v2/x/tags/list?last=b&n=2>; rel=\"next\"", Some("/v2/x/tags/list?last=b&n=2")),
            ("</a>; rel=prev, </b>; rel=next", Some("/b")),
            ("</a>; title=\"x\"; REL=\"prev next\"", Some("/a")),
            ("</a>; rel=\"nextish\"", None),
            ("</a>", None),
            ("/a; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next_link(value), want, "{value}");
        }
    }

    proptest! {
        #[test]
        fn links_never_panic(text in "[<>;=\", a-z]{0,60}") {
            let _ = next_link(&text);
        }
    }
}
