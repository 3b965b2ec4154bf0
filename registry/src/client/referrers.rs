//! What refers to a manifest: signatures, SBOMs, attestations (distribution-spec, "Listing Referrers", "Referrers Tag
//! Schema").
//!
//! Owns: the API and the tag that stands in for it, both ways. Entries of the tag are added without losing another
//! client's. Never: writes over a tag that is not an index, or believes an entry's claim about its subject.

use bytes::Bytes;
use futures::future::FutureExt as _;
use futures::stream::{StreamExt as _, TryStreamExt as _};
use http::{HeaderName, HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::Registry;
use super::auth::Access;
use super::call::Call;
use super::error::{ClientError, ErrorKind, Fault};
use super::pages::Pages;
use super::payload::Payload;
use super::retry::Attempt;
use crate::oci::{Descriptor, Digest, Manifest, RawManifest, Reference, media_type};

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// Manifests read at once to verify a list.
const PARALLEL: usize = 4;
/// Largest algorithm and encoded part in a referrers tag (distribution-spec, "Referrers Tag Schema").
const TAG_PARTS: (usize, usize) = (32, 64);

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

/// Returns the tag that lists what refers to a digest where the API is missing.
pub fn fallback_tag(subject: &Digest) -> String {
    let clean = |text: &str, most: usize| -> String {
        let valid = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '-' };
        text.chars().take(most).map(valid).collect()
    };
    let algorithm = clean(subject.algorithm().as_str(), TAG_PARTS.0);
    format!("{algorithm}-{}", clean(subject.encoded(), TAG_PARTS.1))
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
            own.add_to_fallback(reference, &subject, entry_of(manifest, &view)).await?;
        }
        Ok(pushed)
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

    /// Adds an entry to the referrers tag. Another client may do the same at this moment: the write is conditional
    /// where the registry can do that, and is read back and repeated until the entry is there.
    async fn add_to_fallback(
        &self,
        reference: &Reference,
        subject: &Digest,
        entry: Descriptor,
    ) -> Result<(), ClientError> {
        let config = &self.inner.config;
        let (start, mut number) = (Instant::now(), 1);
        loop {
            let before = self.fallback_index(reference, subject).await?;
            if before.lists(&entry.digest) && number > 1 {
                return Ok(());
            }
            if !before.lists(&entry.digest) {
                self.write_fallback(reference, subject, (&before, &entry)).await?;
            }
            // Read again after a moment: one who read before this write would write over it.
            let attempt = Attempt { number, elapsed: start.elapsed(), retry_after: None, jitter: (config.jitter)() };
            let Some(delay) = self.retry().delay(attempt) else {
                let reason = format!("the referrers tag {} keeps losing its entry", fallback_tag(subject));
                return Err(ClientError::at(reference.host(), Fault::Protocol(reason)));
            };
            tokio::time::sleep(delay).await;
            number += 1;
        }
    }

    /// Writes the index with one more entry; that somebody was faster is no error.
    async fn write_fallback(
        &self,
        reference: &Reference,
        subject: &Digest,
        (before, entry): (&Fallback, &Descriptor),
    ) -> Result<(), ClientError> {
        let tag = fallback_tag(subject);
        let failed = |reason| ClientError::at(reference.host(), Fault::Protocol(reason));
        let (bytes, condition) = match before {
            Fallback::Other(what) => {
                return Err(failed(format!("the referrers tag {tag} is {what}, which is not written over")));
            }
            Fallback::Absent => (index_with(None, entry), Some((header::IF_NONE_MATCH, "*".to_owned()))),
            Fallback::Index { manifest, etag } => {
                (index_with(Some(manifest.bytes()), entry), etag.clone().map(|etag| (header::IF_MATCH, etag)))
            }
        };
        let bytes = bytes.ok_or_else(|| failed(format!("the referrers tag {tag} cannot be read")))?;
        let mut call = Call::new(reference, Access::Push, Method::PUT, &format!("manifests/{tag}"))
            .header(header::CONTENT_TYPE, HeaderValue::from_static(media_type::OCI_INDEX))
            .payload(Payload::Bytes(bytes));
        if let Some((name, value)) = condition
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            call = call.header(name, value);
        }
        match self.call(&call).await {
            Err(error) if matches!(error.status().map(|status| status.as_u16()), Some(409 | 412)) => Ok(()),
            done => done.map(drop),
        }
    }

    /// Reads the referrers tag.
    async fn fallback_index(&self, reference: &Reference, subject: &Digest) -> Result<Fallback, ClientError> {
        let at = reference.with_tag(&fallback_tag(subject));
        let read = self.get_manifest_and_etag(&at).await;
        let (manifest, etag) = match read {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Fallback::Absent),
            Err(error) if matches!(error.fault(), Fault::Manifest(_)) => return Ok(Fallback::Other("no manifest")),
            Err(error) => return Err(error),
        };
        // GitLab resolves the tag to the subject itself (oras-go#1396).
        if manifest.digest() == subject {
            return Ok(Fallback::Other("the subject itself"));
        }
        match manifest.view() {
            Ok(Manifest::Index(_)) if manifest.media_type() == media_type::OCI_INDEX => {
                Ok(Fallback::Index { manifest, etag })
            }
            _ => Ok(Fallback::Other("no index")),
        }
    }
}

/// What the referrers tag points at.
enum Fallback {
    Absent,
    Index {
        manifest: RawManifest,
        etag: Option<String>,
    },
    /// Something that is not ours to write over.
    Other(&'static str),
}

impl Fallback {
    fn lists(&self, digest: &Digest) -> bool {
        match self {
            Self::Index { manifest, .. } => match manifest.view() {
                Ok(Manifest::Index(index)) => index.manifests.iter().any(|entry| entry.digest == *digest),
                _ => false,
            },
            _ => false,
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

/// Returns the index with one more entry. What is there stays as it was written, unknown fields included.
fn index_with(before: Option<&[u8]>, entry: &Descriptor) -> Option<Bytes> {
    type Fields = indexmap::IndexMap<String, Box<RawValue>>;
    let mut fields: Fields = match before {
        Some(bytes) => serde_json::from_slice(bytes).ok()?,
        None => {
            let empty = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, media_type::OCI_INDEX);
            serde_json::from_str(&empty).ok()?
        }
    };
    let mut entries: Vec<Box<RawValue>> = match fields.get("manifests").map(|raw| raw.get()) {
        None | Some("null") => Vec::new(),
        Some(raw) => serde_json::from_str(raw).ok()?,
    };
    entries.push(serde_json::value::to_raw_value(entry).ok()?);
    fields.insert("manifests".to_owned(), serde_json::value::to_raw_value(&entries).ok()?);
    serde_json::to_vec(&fields).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_cut_and_cleaned() {
        let hex = "a".repeat(64);
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        assert_eq!(fallback_tag(&digest), format!("sha256-{hex}"));
        let long: Digest = format!("sha512:{}", "b".repeat(128)).parse().unwrap();
        assert_eq!(fallback_tag(&long), format!("sha512-{}", "b".repeat(64)));
        let odd: Digest = format!("x+y.z:{}=", "C".repeat(9)).parse().unwrap();
        assert_eq!(fallback_tag(&odd), format!("x-y.z-{}-", "C".repeat(9)));
    }

    #[test]
    fn an_index_keeps_what_it_had() {
        let entry = Descriptor::new("m", Digest::sha256("x"), 1);
        let fresh = index_with(None, &entry).unwrap();
        let again = index_with(Some(&fresh), &Descriptor::new("n", Digest::sha256("y"), 2)).unwrap();
        let Ok(Manifest::Index(index)) = Manifest::parse(media_type::OCI_INDEX, &again) else { panic!("{again:?}") };
        assert_eq!(index.manifests.len(), 2);
        let odd = br#"{"x":{"b":1,  "a":2},"manifests":[{"mediaType":"m","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"own":7}]}"#;
        let text = String::from_utf8(index_with(Some(odd), &entry).unwrap().to_vec()).unwrap();
        assert!(text.starts_with(r#"{"x":{"b":1,  "a":2},"manifests":[{"#) && text.contains(r#""own":7"#), "{text}");
        assert_eq!(index_with(Some(b"[]"), &entry), None);
    }
}
