//! The tag that lists what refers to a manifest where the referrers API is missing (distribution-spec, "Referrers Tag
//! Schema").
//!
//! Owns: its name, and changing it without losing another client's entries: writes of this client go one after the
//! other, those of others are told by conditions and by reading again. Never: writes over a tag that is not an index.

use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use serde_json::value::RawValue;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::Registry;
use super::auth::Access;
use super::call::Call;
use super::error::{ClientError, ErrorKind, Fault};
use super::payload::Payload;
use super::retry::Attempt;
use crate::oci::{Descriptor, Digest, Manifest, RawManifest, Reference, media_type};

/// Largest algorithm and encoded part in a referrers tag (distribution-spec, "Referrers Tag Schema").
const TAG_PARTS: (usize, usize) = (32, 64);
/// Locks for tags; two that share one only wait for each other a little.
const STRIPES: usize = 64;

/// Keeps reading and writing one tag together.
pub(super) struct TagLocks {
    locks: [Mutex<()>; STRIPES],
    hasher: RandomState,
}

impl Default for TagLocks {
    fn default() -> Self {
        Self { locks: std::array::from_fn(|_| Mutex::new(())), hasher: RandomState::new() }
    }
}

impl TagLocks {
    async fn lock(&self, tag: &Reference) -> MutexGuard<'_, ()> {
        self.locks[self.hasher.hash_one(tag) as usize % STRIPES].lock().await
    }
}

/// What becomes of the list.
pub(super) enum Change {
    /// It has this entry.
    Add(Box<Descriptor>),
    /// It has none of this digest.
    Remove(Digest),
}

impl Change {
    fn is_done(&self, list: &Fallback) -> bool {
        match self {
            Self::Add(entry) => list.lists(&entry.digest),
            Self::Remove(digest) => !list.lists(digest),
        }
    }

    /// Returns the index with the change. What is there stays as it was written, unknown fields included.
    fn apply(&self, before: Option<&[u8]>) -> Option<Bytes> {
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
        match self {
            Self::Add(entry) => entries.push(serde_json::value::to_raw_value(entry).ok()?),
            Self::Remove(digest) => {
                let is_it = |raw: &RawValue| {
                    serde_json::from_str::<Descriptor>(raw.get()).is_ok_and(|entry| entry.digest == *digest)
                };
                entries.retain(|raw| !is_it(raw));
            }
        }
        fields.insert("manifests".to_owned(), serde_json::value::to_raw_value(&entries).ok()?);
        serde_json::to_vec(&fields).ok().map(Bytes::from)
    }
}

/// What the referrers tag points at.
pub(super) enum Fallback {
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
    /// Changes the referrers tag. Another client may do the same at this moment: the write is conditional where the
    /// registry can do that, and is read back and repeated until the change is there.
    pub(super) async fn change_fallback(
        &self,
        reference: &Reference,
        subject: &Digest,
        change: &Change,
    ) -> Result<(), ClientError> {
        let config = &self.inner.config;
        let (start, mut number) = (Instant::now(), 1);
        loop {
            if self.try_change(reference, subject, change).await? && (number > 1 || matches!(change, Change::Remove(_)))
            {
                return Ok(());
            }
            // Read again after a moment: one who read before this write would write over it.
            let attempt = Attempt { number, elapsed: start.elapsed(), retry_after: None, jitter: (config.jitter)() };
            let Some(delay) = self.retry().delay(attempt) else {
                let what = match change {
                    Change::Add(_) => "keeps losing its entry",
                    Change::Remove(_) => "keeps an entry that is gone",
                };
                let reason = format!("the referrers tag {} {what}", fallback_tag(subject));
                return Err(ClientError::at(reference.host(), Fault::Protocol(reason)));
            };
            tokio::time::sleep(delay).await;
            number += 1;
        }
    }

    /// Returns whether nothing had to be written.
    async fn try_change(&self, reference: &Reference, subject: &Digest, change: &Change) -> Result<bool, ClientError> {
        let at = reference.with_tag(&fallback_tag(subject));
        // Two of our own would else read the same list, and the second would write over the first.
        let _alone = self.inner.fallbacks.lock(&at).await;
        let before = self.fallback_index(reference, subject).await?;
        if change.is_done(&before) {
            return Ok(true);
        }
        self.write_fallback(reference, subject, (&before, change)).await.map(|()| false)
    }

    /// Writes the changed index; that somebody was faster is no error.
    async fn write_fallback(
        &self,
        reference: &Reference,
        subject: &Digest,
        (before, change): (&Fallback, &Change),
    ) -> Result<(), ClientError> {
        let tag = fallback_tag(subject);
        let failed = |reason| ClientError::at(reference.host(), Fault::Protocol(reason));
        let (bytes, condition) = match before {
            Fallback::Other(what) => {
                return Err(failed(format!("the referrers tag {tag} is {what}, which is not written over")));
            }
            Fallback::Absent => (change.apply(None), Some((header::IF_NONE_MATCH, "*".to_owned()))),
            Fallback::Index { manifest, etag } => {
                (change.apply(Some(manifest.bytes())), etag.clone().map(|etag| (header::IF_MATCH, etag)))
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
    pub(super) async fn fallback_index(
        &self,
        reference: &Reference,
        subject: &Digest,
    ) -> Result<Fallback, ClientError> {
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
        let fresh = Change::Add(Box::new(entry.clone())).apply(None).unwrap();
        let again = Change::Add(Box::new(Descriptor::new("n", Digest::sha256("y"), 2))).apply(Some(&fresh)).unwrap();
        let Ok(Manifest::Index(index)) = Manifest::parse(media_type::OCI_INDEX, &again) else { panic!("{again:?}") };
        assert_eq!(index.manifests.len(), 2);
        let odd = br#"{"x":{"b":1,  "a":2},"manifests":[{"mediaType":"m","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"own":7}]}"#;
        let text = String::from_utf8(Change::Add(Box::new(entry.clone())).apply(Some(odd)).unwrap().to_vec()).unwrap();
        assert!(text.starts_with(r#"{"x":{"b":1,  "a":2},"manifests":[{"#) && text.contains(r#""own":7"#), "{text}");
        let back = Change::Remove(entry.digest.clone()).apply(Some(text.as_bytes())).unwrap();
        assert_eq!(back, odd.as_slice(), "what is added and removed again leaves no trace");
        assert_eq!(Change::Add(Box::new(entry)).apply(Some(b"[]")), None);
    }
}
