//! Reading what rules look at besides manifests and configurations.
//!
//! Owns: what is asked of one repository beyond the walk of its images, each question at most once, and only those that the
//! scope or the policy needs. Never: judges.

use std::sync::Arc;

use futures::stream::{StreamExt as _, iter};

use super::bases::Bases;
use super::collect::{Collector, in_full};
use super::facts::{BlobFacts, ImageFacts, Node, RepositoryFacts};
use super::finding::Unchecked;
use super::mirror;
use super::policy::Expectations;
use super::referrers::{self, Discovery, Local, Place};
use super::repository::{self, Noted};
use super::run::{Beyond, Scope};
use crate::client::once::OnceMap;
use crate::client::{ErrorKind, Registry, TagList};
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
    noted: Noted,
    bases: Option<Arc<Bases>>,
    blobs: OnceMap<Digest, Result<BlobFacts, String>>,
}

impl Extras {
    /// Of a layout or store, which may say what refers to what.
    pub(super) fn of_layout(scope: Scope, local: Local) -> Self {
        Self {
            scope,
            registry: None,
            local,
            discovery: Discovery::default(),
            noted: Noted::default(),
            bases: None,
            blobs: OnceMap::default(),
        }
    }

    /// Of the repository of a reference; `tags` are all it has, if they were listed, and `images` those that
    /// are audited.
    pub(super) fn of_repository(
        scope: Scope,
        registry: &Registry,
        repository: &Reference,
        tags: Option<&TagList>,
        images: usize,
    ) -> Self {
        let about = |list: &TagList| list.tags.iter().filter(|tag| is_about_digest(tag)).cloned().collect();
        let discovery = tags.filter(|list| !list.truncated).map(|list| Discovery::with_tags(about(list)));
        Self {
            registry: Some((registry.clone(), repository.clone())),
            discovery: discovery.unwrap_or_else(|| Discovery::of(images)),
            ..Self::of_layout(scope, Local::default())
        }
    }

    /// Adds to an image's facts what the scope or the policy asks for. Each part has its place on the heap: together they would
    /// be too large for a thread's stack.
    pub(super) async fn fill(&self, collector: &Collector, facts: &mut ImageFacts, wanted: &Expectations) {
        if self.scope.blobs {
            Box::pin(self.look_for_blobs(collector, facts)).await;
        }
        let is_required = wanted.require_signature || wanted.require_sbom || wanted.require_provenance;
        if facts.is_image() && (self.scope.referrers || is_required) {
            let place = match &self.registry {
                None => Place::Layout(&self.local),
                Some((registry, at)) => Place::Repository { registry, at, discovery: &self.discovery },
            };
            Box::pin(referrers::look(place, collector, facts)).await;
        }
        if let Some(bases) = &self.bases {
            Box::pin(bases.look(facts)).await;
        }
        self.noted.image(facts, self.scope.referrers);
    }

    /// Asks for bases, too.
    pub(super) fn with_bases(self, bases: Option<Arc<Bases>>) -> Self {
        Self { bases, ..self }
    }

    /// Returns what is known of the repository after all its images; `list` is that of its tags, if they were listed.
    pub(super) async fn repository(self, list: Option<TagList>, beyond: &Beyond) -> RepositoryFacts {
        let Some((registry, at)) = &self.registry else { return RepositoryFacts::default() };
        let is_listed = list.is_some();
        let mut facts = self.noted.into_facts(at, list);
        repository::compare(&beyond.earlier, is_listed, &mut facts);
        if self.scope.referrers {
            Box::pin(repository::look_for_subjects(registry, at, &mut facts)).await;
        }
        if let Some(source) = &beyond.mirror_of {
            let pair = mirror::Pair { registry, mirror: at, source, referrers: self.scope.referrers };
            Box::pin(pair.compare(is_listed, &mut facts)).await;
        }
        if beyond.recheck {
            Box::pin(repository::look_again(registry, at, &mut facts)).await;
        }
        facts
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
        let blob = Descriptor { size: told, ..blob.clone() };
        match Box::pin(registry.first_byte(repository, &blob)).await {
            Ok(Some(size)) => Ok(BlobFacts::Present(size)),
            Ok(None) => Ok(BlobFacts::Missing),
            // One that takes no ranges has said all that it will.
            Err(error) if error.kind() == ErrorKind::Rejected => Ok(BlobFacts::Present(told)),
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
