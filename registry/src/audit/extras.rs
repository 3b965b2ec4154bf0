//! Reading what rules look at besides manifests and configurations.
//!
//! Owns: what is asked of one repository beyond the walk of its images, each question at most once, and only those that the
//! scope or the policy needs. Never: judges.

use futures::stream::{StreamExt as _, iter};

use super::collect::{Collector, in_full};
use super::facts::{BlobFacts, ImageFacts, Node};
use super::finding::Unchecked;
use super::policy::Expectations;
use super::referrers::{self, Discovery, Local, Place};
use super::run::Scope;
use crate::client::once::OnceMap;
use crate::client::{Registry, TagList};
use crate::oci::{Descriptor, Digest, Reference, media_type};
use crate::transfer::copier::is_about_digest;
use crate::verify::SourceError;

/// Questions about one image asked at once. Requests in flight are bounded by the client.
const PARALLEL: usize = 16;

/// What is read of one repository or layout besides its images.
pub(super) struct Extras {
    scope: Scope,
    registry: Option<(Registry, Reference)>,
    local: Local,
    discovery: Discovery,
    blobs: OnceMap<Digest, Result<BlobFacts, String>>,
}

impl Extras {
    /// Of a layout or store, which may say what refers to what.
    pub(super) fn of_layout(scope: Scope, local: Local) -> Self {
        Self { scope, registry: None, local, discovery: Discovery::default(), blobs: OnceMap::default() }
    }

    /// Of the repository of a reference; `tags` are all it has, if they were listed.
    pub(super) fn of_repository(
        scope: Scope,
        registry: &Registry,
        repository: &Reference,
        tags: Option<&TagList>,
    ) -> Self {
        let about = |list: &TagList| list.tags.iter().filter(|tag| is_about_digest(tag)).cloned().collect();
        let discovery = tags.filter(|list| !list.truncated).map(|list| Discovery::with_tags(about(list)));
        Self {
            registry: Some((registry.clone(), repository.clone())),
            discovery: discovery.unwrap_or_default(),
            ..Self::of_layout(scope, Local::default())
        }
    }

    /// Adds to an image's facts what the scope or the policy asks for.
    pub(super) async fn fill(&self, collector: &Collector, facts: &mut ImageFacts, wanted: &Expectations) {
        if self.scope.blobs {
            self.look_for_blobs(collector, facts).await;
        }
        let is_required = wanted.require_signature || wanted.require_sbom || wanted.require_provenance;
        if facts.is_image() && (self.scope.referrers || is_required) {
            let place = match &self.registry {
                None => Place::Layout(&self.local),
                Some((registry, at)) => Place::Repository { registry, at, discovery: &self.discovery },
            };
            referrers::look(place, collector, facts).await;
        }
    }

    /// Asks for each configuration and layer whether it is there, one time for all images of the repository.
    async fn look_for_blobs(&self, collector: &Collector, facts: &mut ImageFacts) {
        let blobs = blobs_of(facts);
        let asking = blobs.into_iter().map(|blob| async move {
            let Ok(found) = self
                .blobs
                .get_or_try_init(&blob.digest, async {
                    Ok::<_, std::convert::Infallible>(self.blob(collector, &blob).await)
                })
                .await;
            (blob, found)
        });
        let asked: Vec<_> = iter(asking).buffer_unordered(PARALLEL).collect().await;
        let mut known = std::collections::HashMap::new();
        for (blob, found) in asked {
            let found = found.unwrap_or_else(|reason| {
                facts.unchecked.push(Unchecked { what: "blob".to_owned(), digest: Some(blob.digest.clone()), reason });
                BlobFacts::Unchecked
            });
            known.insert(blob.digest, found);
        }
        // The order in which answers come must not show.
        facts.unchecked.sort_by(|a, b| (&a.what, &a.digest).cmp(&(&b.what, &b.digest)));
        facts.blobs = Some(known);
    }

    async fn blob(&self, collector: &Collector, blob: &Descriptor) -> Result<BlobFacts, String> {
        let told = match collector.source().stat(blob).await {
            Ok(Some(size)) => size,
            Ok(None) | Err(SourceError::Missing(_)) => return Ok(BlobFacts::Missing),
            Err(error) => return Err(in_full(&error)),
        };
        let Some((registry, repository)) = self.registry.as_ref().filter(|_| told > 0) else {
            return Ok(BlobFacts::Present(told));
        };
        match registry.first_byte(repository, blob).await {
            Ok(Some(size)) => Ok(BlobFacts::Present(size)),
            Ok(None) => Ok(BlobFacts::Missing),
            Err(error) => Err(in_full(&error)),
        }
    }
}

/// Returns the configurations and layers of an image, each once. Layers that registries do not keep are not asked for.
fn blobs_of(facts: &ImageFacts) -> Vec<Descriptor> {
    let mut seen = std::collections::HashSet::new();
    let mut blobs = Vec::new();
    for entry in facts.entries() {
        let Node::Image(manifest) = &entry.node else { continue };
        for blob in std::iter::once(&manifest.view.config).chain(&manifest.view.layers) {
            if !media_type::is_nondistributable(&blob.media_type) && seen.insert(&blob.digest) {
                blobs.push(blob.clone());
            }
        }
    }
    blobs
}
