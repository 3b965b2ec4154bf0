//! Lists that come in pages (RFC 8288; distribution-spec, "Content Discovery").
//!
//! Owns: following `Link` within bounds and within the registry's origin. Never: guesses the next page.

use std::collections::HashSet;

use http::header::HeaderName;
use http::{Method, header};
use serde::de::DeserializeOwned;
use url::Url;

use super::Registry;
use super::call::{Answered, Call};
use super::endpoint::{refused, resolve};
use super::error::{ClientError, Fault};
use super::pool::same_origin;

/// A list being read. The first request is `call`; the others go where the registry says.
pub(super) struct Pages<'a> {
    registry: &'a Registry,
    call: Option<Call<'a>>,
    what: &'static str,
    seen: HashSet<Url>,
    left: usize,
}

/// One page and what came with it.
pub(super) struct Page<T> {
    pub(super) body: T,
    pub(super) answered: Answered,
}

impl<'a> Pages<'a> {
    pub(super) fn new(registry: &'a Registry, call: Call<'a>, what: &'static str) -> Self {
        let left = registry.inner.config.limits.pages;
        Self { registry, call: Some(call), what, seen: HashSet::new(), left }
    }

    /// Returns whether there is a next page that was not read because there were too many.
    pub(super) fn is_cut(&self) -> bool {
        self.call.is_some() && self.left == 0
    }

    /// Returns the next page, `None` after the last one or the last allowed one.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<Page<T>>, ClientError> {
        if self.left == 0 {
            return Ok(None);
        }
        let Some(call) = self.call.take() else { return Ok(None) };
        self.left -= 1;
        let (body, link, answered) = self.read(&call).await?;
        if let Some(link) = link {
            if link == answered.url || !self.seen.insert(link.clone()) {
                let fault = Fault::Protocol(format!("the pages of the {} form a circle", self.what));
                return Err(ClientError::on(call.host, &Method::GET, &answered.url, fault));
            }
            self.call = Some(call.at(link));
        }
        Ok(Some(Page { body, answered }))
    }

    async fn read<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<(T, Option<Url>, Answered), ClientError> {
        self.registry
            .retrying(|| async {
                let mut answered = self.registry.attempt(call).await?;
                let link = answered.reply.header(header::LINK).and_then(next_link).map(str::to_owned);
                let body = answered.reply.bytes(self.what, self.registry.inner.config.limits.page_bytes).await;
                let read = body.and_then(|body| {
                    let page = serde_json::from_slice(&body);
                    let page = page.map_err(|_| Fault::Protocol(format!("the {} is not its JSON", self.what)))?;
                    let link = link.map(|link| follow(&answered.base, &answered.url, &link)).transpose()?;
                    Ok((page, link))
                });
                match read {
                    Ok((page, link)) => Ok((page, link, answered)),
                    Err(fault) => Err(ClientError::on(call.host, &Method::GET, &answered.url, fault)),
                }
            })
            .await
    }
}

impl<T> Page<T> {
    pub(super) fn header(&self, name: HeaderName) -> Option<&str> {
        self.answered.reply.header(name)
    }
}

fn follow(base: &Url, at: &Url, link: &str) -> Result<Url, Fault> {
    let url = resolve(at, link)?;
    if same_origin(base, &url) { Ok(url) } else { Err(refused(&url, "the next page is on another host")) }
}

/// Returns the target of the link whose relation is `next` (RFC 8288).
pub fn next_link(value: &str) -> Option<&str> {
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
