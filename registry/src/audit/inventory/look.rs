//! Asking registries about bases: where their tags point now, and how old what is in use is.
//!
//! Owns: one HEAD for each name; two or three small reads for each digest, once in the life of the cache.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::stream::{StreamExt as _, iter};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Base, Inventory, State};
use crate::audit::collect::{Collector, in_full};
use crate::audit::facts::ImageName;
use crate::client::{ErrorKind, Registry};
use crate::oci::{Digest, Manifest, RawManifest, Reference};
use crate::resolve::ManifestCache;
use crate::transfer::RegistrySource;

/// Bases asked about at once. Requests in flight are bounded by the client.
const PARALLEL: usize = 8;

/// Where a tag points.
enum Tag {
    At(Digest),
    Gone,
    Unchecked(String),
}

impl Inventory {
    /// Asks where the tags of the bases point, and when the bases were created.
    pub async fn look(&mut self, registry: &Registry, cache: Option<&ManifestCache>, now: OffsetDateTime) {
        let mut names: BTreeMap<String, Vec<&mut Base>> = BTreeMap::new();
        for base in &mut self.bases {
            names.entry(base.name.clone()).or_default().push(base);
        }
        let work = names.into_iter().map(|(name, bases)| async move {
            // Made from a reference, so it is one; of a layout there is nothing to ask.
            let Ok(reference) = name.parse::<Reference>() else { return };
            let looking = Looking { registry, cache, now };
            looking.name(&reference, bases).await;
        });
        iter(work).buffer_unordered(PARALLEL).collect::<()>().await;
    }
}

struct Looking<'a> {
    registry: &'a Registry,
    cache: Option<&'a ManifestCache>,
    now: OffsetDateTime,
}

impl Looking<'_> {
    async fn name(&self, name: &Reference, bases: Vec<&mut Base>) {
        let tag = match name.tag() {
            Some(_) => Some(self.tag(name).await),
            None => None,
        };
        for base in bases {
            let Some(digest) = base.digest.clone() else {
                if let Some(Tag::Unchecked(reason)) = &tag {
                    base.state = State::Unchecked { reason: reason.clone() };
                }
                continue;
            };
            base.state = match &tag {
                None => State::Unknown,
                Some(Tag::Gone) => State::Gone,
                Some(Tag::Unchecked(reason)) => State::Unchecked { reason: reason.clone() },
                Some(Tag::At(current)) if *current == digest => State::Current,
                Some(Tag::At(current)) => self.within(name, current, &digest).await,
            };
            base.created = self.created(name, &digest, base.platforms.first().map(String::as_str)).await;
            let created = base.created.as_deref().and_then(|created| OffsetDateTime::parse(created, &Rfc3339).ok());
            base.age_days = created.map(|created| (self.now - created).whole_days().max(0));
        }
    }

    async fn tag(&self, name: &Reference) -> Tag {
        match self.registry.head_manifest(name).await {
            Ok(Some(head)) => match head.digest {
                Some(digest) => Tag::At(digest),
                None => Tag::Unchecked("the registry does not say where the tag points".to_owned()),
            },
            Ok(None) => Tag::Gone,
            Err(error) if error.kind() == ErrorKind::NotFound => Tag::Gone,
            Err(error) => Tag::Unchecked(in_full(&error)),
        }
    }

    /// What is in use may be the image of one platform in the index that the tag points at.
    async fn within(&self, name: &Reference, current: &Digest, digest: &Digest) -> State {
        match self.manifest(name, current).await {
            Ok(manifest) => match manifest.view() {
                Ok(Manifest::Index(index)) if index.manifests.iter().any(|child| child.digest == *digest) => {
                    State::Current
                }
                _ => State::Behind { current: current.clone() },
            },
            Err(reason) => State::Unchecked { reason },
        }
    }

    async fn manifest(&self, name: &Reference, digest: &Digest) -> Result<RawManifest, String> {
        if let Some(cache) = self.cache
            && let Some((media_type, bytes)) = cache.object(digest).await
        {
            return Ok(RawManifest::new(media_type, bytes));
        }
        let manifest = self.registry.get_manifest(&name.with_digest(digest.clone())).await;
        let manifest = manifest.map_err(|error| in_full(&error))?;
        if let Some(cache) = self.cache {
            cache.put(digest, manifest.media_type(), manifest.bytes()).await;
        }
        Ok(manifest)
    }

    /// When it was created, as its configuration says; that it cannot be told is no fault of the images upon it.
    async fn created(&self, name: &Reference, digest: &Digest, platform: Option<&str>) -> Option<String> {
        let mut manifest = self.manifest(name, digest).await.ok()?;
        if let Ok(Manifest::Index(index)) = manifest.view() {
            let named = |child: &&crate::oci::Descriptor| {
                child.platform.as_ref().is_some_and(|own| platform.is_none_or(|want| own.to_string() == want))
            };
            let child = index.manifests.iter().find(named).or_else(|| index.manifests.first())?;
            manifest = self.manifest(name, &child.digest).await.ok()?;
        }
        let source = RegistrySource { registry: self.registry.clone(), repository: name.clone() };
        let collector = Collector::new(Arc::new(source), self.cache.cloned());
        let image = ImageName { repository: name.name(), tag: None, digest: manifest.digest().clone() };
        let facts = collector.image(image, manifest).await;
        let created = facts.platforms().first().and_then(|image| image.config?.view.created.clone())?;
        // Zero is no time at all but what reproducible builds write.
        let time = OffsetDateTime::parse(&created, &Rfc3339).ok()?;
        (time.year() > 1980).then_some(created)
    }
}
