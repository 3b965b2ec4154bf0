//! What refers to a manifest: signatures, SBOMs, attestations (distribution-spec, "Listing Referrers", "Referrers Tag
//! Schema").
//!
//! Owns: the API, and when the tag that stands in for it (`fallback`) is read and written instead. Never: believes an
//! entry's claim about its subject.

use futures::future::FutureExt as _;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use http::{HeaderName, HeaderValue, Method, header};
use serde::Deserialize;

use super::Registry;
use super::auth::Access;
use super::call::Call;
use super::error::{ClientError, ErrorKind, Fault};
use super::fallback::{Change, Fallback};
use super::pages::Pages;
use crate::oci::{Descriptor, Digest, Manifest, RawManifest, Reference, media_type};

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// Manifests read at once to verify a list.
const PARALLEL: usize = 4;

/// What refers to a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Referrers {
    /// Descriptors, each digest once, in the registry's order.
    pub entries: Vec<Descriptor>,
    /// Whether the registry keeps the list by itself; otherwise it is a tag.
    pub by_api: bool,
    /// There were more pages or entries than the limits allow.
    pub truncated: bool,
    /// Entries that were left out because their manifest is about something else, or is no manifest.
    pub dropped: Vec<Digest>,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default, deserialize_with = "crate::oci::null_as_default")]
    manifests: Vec<Descriptor>,
}

impl Registry {
    /// Lists what claims to refer to a digest, by the API or else by the tag.
    ///
    /// # Errors
    /// [`ErrorKind::Unsafe`] for a next page elsewhere, [`ErrorKind::Protocol`] for pages in a circle, and others. That
    /// there is no list is no error.
    pub async fn referrers(
        &self,
        reference: &Reference,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Referrers, ClientError> {
        let mut found = match self.referrers_by_api(reference, subject, artifact_type).await? {
            Some(found) => found,
            None => self.referrers_by_tag(reference, subject).await?,
        };
        // Also where the registry says that it has filtered: its word costs nothing to check.
        if let Some(want) = artifact_type {
            found.entries.retain(|entry| entry.artifact_type.as_deref() == Some(want));
        }
        let mut seen = std::collections::HashSet::new();
        found.entries.retain(|entry| seen.insert(entry.digest.clone()));
        Ok(found)
    }

    /// [`Registry::referrers`] with each manifest read: those about another subject are dropped.
    ///
    /// # Errors
    /// As [`Registry::referrers`].
    pub async fn verified_referrers(
        &self,
        reference: &Reference,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<(Referrers, Vec<RawManifest>), ClientError> {
        let mut found = self.referrers(reference, subject, artifact_type).await?;
        // Boxed, so that the whole is a future that may change threads.
        let mut reading = Vec::new();
        for entry in &found.entries {
            reading.push(self.read_referrer(reference, entry, subject).boxed());
        }
        let read: Vec<Option<RawManifest>> = futures::stream::iter(reading).buffered(PARALLEL).try_collect().await?;
        let (mut kept, mut manifests) = (Vec::new(), Vec::new());
        for (entry, manifest) in std::mem::take(&mut found.entries).into_iter().zip(read) {
            match manifest {
                Some(manifest) => {
                    kept.push(entry);
                    manifests.push(manifest);
                }
                None => found.dropped.push(entry.digest),
            }
        }
        found.entries = kept;
        Ok((found, manifests))
    }

    /// Returns the manifest if it is there, is what its descriptor says, and is about `subject`.
    async fn read_referrer(
        &self,
        reference: &Reference,
        entry: &Descriptor,
        subject: &Digest,
    ) -> Result<Option<RawManifest>, ClientError> {
        let manifest = match self.get_manifest(&reference.with_digest(entry.digest.clone())).await {
            Ok(manifest) => manifest,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Mismatch | ErrorKind::TooLarge) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let about = manifest.view().ok().and_then(|view| view.subject().map(|subject| subject.digest.clone()));
        let size_is_right = manifest.bytes().len() as u64 == entry.size;
        Ok((about.as_ref() == Some(subject) && size_is_right).then_some(manifest))
    }

    /// `None` where the registry has no such API: 404, and 405 or 501 of those that route it elsewhere.
    pub(crate) async fn referrers_by_api(
        &self,
        reference: &Reference,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Referrers>, ClientError> {
        let query = artifact_type.map(|want| {
            let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("artifactType", want).finish();
            format!("?{query}")
        });
        let path = format!("referrers/{subject}{}", query.unwrap_or_default());
        let accept = HeaderValue::from_static(media_type::OCI_INDEX);
        let call = Call::new(reference, Access::Pull, Method::GET, &path).header(header::ACCEPT, accept);
        let mut pages = Pages::new(self, call, "referrers list");
        let mut found = Referrers { by_api: true, ..Referrers::default() };
        loop {
            let page = match pages.next::<Page>().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(error) if found.entries.is_empty() && is_missing(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
            let named = page.answered.reply.media_type();
            if named.is_some_and(|named| named != media_type::OCI_INDEX && named != "application/json") {
                // Something else answers to every path.
                return Ok(None);
            }
            tracing::trace!(filters = page.header(FILTERS_APPLIED), entries = page.body.manifests.len(), "referrers");
            found.entries.extend(page.body.manifests);
            if found.entries.len() > self.inner.config.limits.referrers {
                found.entries.truncate(self.inner.config.limits.referrers);
                found.truncated = true;
                return Ok(Some(found));
            }
        }
        found.truncated = pages.is_cut();
        Ok(Some(found))
    }

    async fn referrers_by_tag(&self, reference: &Reference, subject: &Digest) -> Result<Referrers, ClientError> {
        let entries = match self.fallback_index(reference, subject).await? {
            Fallback::Index { manifest, .. } => match manifest.view() {
                Ok(Manifest::Index(index)) => index.manifests,
                _ => Vec::new(),
            },
            Fallback::Absent | Fallback::Other(_) => Vec::new(),
        };
        Ok(Referrers { entries, ..Referrers::default() })
    }

    /// Writes a manifest; where it has a subject and the registry does not keep the list of referrers by itself, the
    /// tag that stands in for it is brought up to date.
    ///
    /// # Errors
    /// As [`Registry::put_manifest`]; [`ErrorKind::Protocol`] where the tag is taken by something that is no index.
    pub async fn put_referrer(
        &self,
        reference: &Reference,
        manifest: &RawManifest,
    ) -> Result<super::Pushed, ClientError> {
        let own = self.without_mirrors();
        let pushed = own.put_manifest(reference, manifest).await?;
        let view = manifest.view().map_err(|error| ClientError::at(reference.host(), Fault::Manifest(error)))?;
        let Some(subject) = view.subject().map(|subject| subject.digest.clone()) else { return Ok(pushed) };
        let keeps_list = pushed.subject.is_some() && own.has_referrers_api(reference, &subject).await;
        if !keeps_list {
            own.change_fallback(reference, &subject, &Change::Add(Box::new(entry_of(manifest, &view)))).await?;
        }
        Ok(pushed)
    }

    /// Sees to it that a manifest, which is there already, is in its subject's list of referrers: who wrote it may not
    /// have got that far. One without a subject is in none.
    ///
    /// # Errors
    /// As [`Registry::put_referrer`].
    pub async fn ensure_listed(&self, reference: &Reference, manifest: &RawManifest) -> Result<(), ClientError> {
        let own = self.without_mirrors();
        let view = manifest.view().map_err(|error| ClientError::at(reference.host(), Fault::Manifest(error)))?;
        let Some(subject) = view.subject().map(|subject| subject.digest.clone()) else { return Ok(()) };
        let listed = own.referrers(reference, &subject, None).await?;
        if listed.entries.iter().any(|entry| entry.digest == *manifest.digest()) {
            return Ok(());
        }
        own.put_referrer(&reference.with_digest(manifest.digest().clone()), manifest).await.map(drop)
    }

    /// Deletes a manifest by digest, and where the registry does not keep the list of referrers by itself, its entry in
    /// the tag that stands in for it. Absent is not an error.
    ///
    /// # Errors
    /// As [`Registry::delete_manifest`]; [`ErrorKind::Protocol`] where the manifest is gone but its entry stays.
    pub async fn delete_referrer(&self, reference: &Reference, manifest: &RawManifest) -> Result<(), ClientError> {
        let own = self.without_mirrors();
        let digest = manifest.digest().clone();
        own.delete_manifest(&reference.with_digest(digest.clone())).await?;
        let subject = manifest.view().ok().and_then(|view| view.subject().map(|subject| subject.digest.clone()));
        let Some(subject) = subject else { return Ok(()) };
        // Registries with the API may hold a tag from before they had it: it is shortened, too, if it is there.
        own.change_fallback(reference, &subject, &Change::Remove(digest)).await
    }

    /// Some registries echo the subject without having the API. One that has it, but does not let us look, is believed.
    async fn has_referrers_api(&self, reference: &Reference, subject: &Digest) -> bool {
        match self.referrers_by_api(reference, subject, None).await {
            Ok(found) => found.is_some(),
            Err(error) => {
                tracing::debug!(%error, fault = %error.fault(), "cannot look at the referrers");
                true
            }
        }
    }
}

fn is_missing(error: &ClientError) -> bool {
    matches!(error.status().map(|status| status.as_u16()), Some(404 | 405 | 501))
}

/// The entry of a list: type or the config's type, and annotations (distribution-spec, "Listing Referrers").
fn entry_of(manifest: &RawManifest, view: &Manifest) -> Descriptor {
    let mut entry = manifest.descriptor();
    let (artifact_type, annotations) = match view {
        Manifest::Image(image) => {
            let given = image.artifact_type.clone().filter(|given| !given.is_empty());
            (given.or_else(|| Some(image.config.media_type.clone())), &image.annotations)
        }
        Manifest::Index(index) => (index.artifact_type.clone(), &index.annotations),
    };
    entry.artifact_type = artifact_type;
    entry.annotations = annotations.clone();
    entry
}
