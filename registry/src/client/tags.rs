//! Listing tags and repositories (distribution-spec, "Content Discovery"; the catalog is distribution's).
//!
//! Owns: what is kept of the pages. Never: keeps a name that could not be asked for.

use std::collections::BTreeSet;

use http::Method;
use serde::Deserialize;

use super::Registry;
use super::auth::Access;
use super::call::Call;
use super::error::ClientError;
use super::pages::Pages;
use crate::oci::Reference;
use crate::oci::reference::{is_repository, is_tag};

/// The tags of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagList {
    /// Valid tags, sorted.
    pub tags: BTreeSet<String>,
    /// There were more pages or tags than the limits allow.
    pub truncated: bool,
}

/// The repositories of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryList {
    /// Valid names, sorted.
    pub repositories: BTreeSet<String>,
    /// There were more pages or names than the limits allow.
    pub truncated: bool,
}

#[derive(Deserialize)]
struct Names {
    /// `null` where a registry has none.
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    repositories: Option<Vec<String>>,
}

impl Registry {
    /// Lists the tags of the reference's repository.
    ///
    /// # Errors
    /// [`super::ErrorKind::Unsafe`] for a next page elsewhere, [`super::ErrorKind::Protocol`] for pages in a circle, and others.
    pub async fn tags(&self, reference: &Reference) -> Result<TagList, ClientError> {
        let call = Call::new(reference, Access::Pull, Method::GET, "tags/list");
        let (tags, truncated) = self.names(call, "tag list", |names| names.tags, is_tag).await?;
        Ok(TagList { tags, truncated })
    }

    /// Lists the repositories of a host, where it tells them: not every registry does, and few to everyone.
    ///
    /// # Errors
    /// As [`Registry::tags`].
    pub async fn repositories(&self, host: &str) -> Result<RepositoryList, ClientError> {
        let call = Call::of_host(host, Access::Catalog, "v2/_catalog");
        let (repositories, truncated) =
            self.names(call, "repository list", |names| names.repositories, is_repository).await?;
        Ok(RepositoryList { repositories, truncated })
    }

    async fn names(
        &self,
        call: Call<'_>,
        what: &'static str,
        pick: fn(Names) -> Option<Vec<String>>,
        is_name: fn(&str) -> bool,
    ) -> Result<(BTreeSet<String>, bool), ClientError> {
        let most = self.inner.config.limits.tags;
        let mut names = BTreeSet::new();
        let mut pages = Pages::new(self, call, what);
        while let Some(page) = pages.next::<Names>().await? {
            // Anything else could not be asked for, and may be an attack on a terminal.
            names.extend(pick(page.body).unwrap_or_default().into_iter().filter(|name| is_name(name)));
            if names.len() > most {
                while names.len() > most {
                    names.pop_last();
                }
                return Ok((names, true));
            }
        }
        Ok((names, pages.is_cut()))
    }
}
