//! Changes an index without touching what is not changed.
//!
//! Owns: which fields an edit replaces; entries and fields it does not name stay byte for byte, unknown ones included.
//! Never: drops an annotation that nobody asked to drop, or writes what the format cannot hold.

use bytes::Bytes;
use indexmap::IndexMap;
use serde_json::value::{RawValue, to_raw_value};

use super::index_builder::{ATTESTATION_MANIFEST, REFERENCE_DIGEST, REFERENCE_TYPE};
use super::{Annotations, Descriptor, Digest, Format, ImageIndex, Manifest, ManifestError, Platform, RawManifest};
use super::{IndexProblem, media_type};

type Fields = IndexMap<String, Box<RawValue>>;

/// An index being edited.
#[derive(Debug, Clone)]
pub struct IndexEditor {
    original: Option<RawManifest>,
    format: Format,
    fields: Fields,
    entries: Vec<Entry>,
    annotations: Annotations,
    is_changed: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    view: Descriptor,
    raw: Box<RawValue>,
}

/// Why an index cannot be edited so.
#[derive(Debug, thiserror::Error)]
pub enum IndexEditError {
    /// It is no index, or cannot be read.
    #[error("the index cannot be read")]
    Unreadable(#[source] ManifestError),
    /// An image manifest where an index is needed.
    #[error("{0} is one image, not an index")]
    NotAnIndex(Digest),
    /// The result would not be valid.
    #[error(transparent)]
    Problem(#[from] IndexProblem),
    /// The child is in the index already.
    #[error("{0} is in the index already")]
    Present(Digest),
}

/// A key and its new value; without a value the annotation goes.
pub type AnnotationChange = (String, Option<String>);

impl IndexEditor {
    /// Starts an empty index.
    pub fn new(format: Format) -> Self {
        let raw = |text: String| RawValue::from_string(text).ok();
        let known = [("schemaVersion", "2".to_owned()), ("mediaType", format!("{:?}", format.index()))];
        let fields = known.into_iter().filter_map(|(name, text)| Some((name.to_owned(), raw(text)?))).collect();
        let (entries, annotations) = (Vec::new(), Annotations::new());
        Self { original: None, format, fields, entries, annotations, is_changed: true }
    }

    /// Starts from an index.
    ///
    /// # Errors
    /// It is none, or not readable.
    pub fn open(index: &RawManifest) -> Result<Self, IndexEditError> {
        let Manifest::Index(view) = index.view().map_err(IndexEditError::Unreadable)? else {
            return Err(IndexEditError::NotAnIndex(index.digest().clone()));
        };
        let ImageIndex { manifests, annotations, .. } = view;
        let fields: Fields = serde_json::from_slice(index.bytes()).map_err(unreadable)?;
        let list = fields.get("manifests").map_or("[]", |raw| raw.get());
        let raws: Option<Vec<Box<RawValue>>> = serde_json::from_str(list).map_err(unreadable)?;
        let raws = raws.unwrap_or_default();
        let entries = manifests.into_iter().zip(raws).map(|(view, raw)| Entry { view, raw }).collect();
        let format = if index.media_type() == media_type::DOCKER_LIST { Format::Docker } else { Format::Oci };
        Ok(Self { original: Some(index.clone()), format, fields, entries, annotations, is_changed: false })
    }

    /// Returns the children, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Descriptor> {
        self.entries.iter().map(|entry| &entry.view)
    }

    /// Returns the media types it is written in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Adds a child at the end. An attestation has its annotations and no platform of its own.
    ///
    /// # Errors
    /// The child, or its platform, is there already; or the format cannot hold it.
    pub fn add(&mut self, child: Descriptor) -> Result<(), IndexEditError> {
        self.admit(&child)?;
        let raw = to_raw_value(&child).map_err(unreadable)?;
        self.entries.push(Entry { view: child, raw });
        self.is_changed = true;
        Ok(())
    }

    fn admit(&self, child: &Descriptor) -> Result<(), IndexEditError> {
        if self.entries().any(|entry| entry.digest == child.digest) {
            return Err(IndexEditError::Present(child.digest.clone()));
        }
        let fits = match self.format {
            Format::Oci => media_type::is_manifest(&child.media_type) || media_type::is_index(&child.media_type),
            Format::Docker => child.media_type == media_type::DOCKER_MANIFEST,
        };
        if !fits {
            let (child, media_type) = (child.digest.clone(), child.media_type.clone());
            return Err(IndexProblem::ChildType { child, media_type, index: self.format.index() }.into());
        }
        if let Some(platform) = child.platform.as_ref().filter(|platform| !platform.is_unknown()) {
            let same = |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|have| have.same_as(platform));
            if let Some(first) = self.entries().find(same) {
                let (first, second) = (first.digest.clone(), child.digest.clone());
                return Err(IndexProblem::DuplicatePlatform { platform: platform.normalize(), first, second }.into());
            }
        }
        match child.annotations.keys().next().filter(|_| self.format == Format::Docker) {
            Some(key) => {
                Err(IndexProblem::DescriptorAnnotation { child: child.digest.clone(), key: key.clone() }.into())
            }
            None => Ok(()),
        }
    }

    /// Keeps the children that `keep` wants, with the attestations about them; returns the others.
    pub fn retain(&mut self, keep: impl Fn(&Descriptor) -> bool) -> Vec<Descriptor> {
        let wanted: Vec<String> = self
            .entries()
            .filter(|entry| attested(entry).is_none() && keep(entry))
            .map(|entry| entry.digest.to_string())
            .collect();
        let stays = |entry: &Entry| match attested(&entry.view) {
            Some(subject) => wanted.iter().any(|digest| digest == subject),
            None => wanted.contains(&entry.view.digest.to_string()),
        };
        let (kept, gone): (Vec<Entry>, Vec<Entry>) = std::mem::take(&mut self.entries).into_iter().partition(stays);
        self.entries = kept;
        self.is_changed |= !gone.is_empty();
        gone.into_iter().map(|entry| entry.view).collect()
    }

    /// Changes annotations of the index itself.
    ///
    /// # Errors
    /// A Docker manifest list has none.
    pub fn annotate(&mut self, changes: &[AnnotationChange]) -> Result<(), IndexEditError> {
        if let Some(key) = self.refused(changes) {
            return Err(IndexProblem::IndexAnnotation { key }.into());
        }
        if apply(&mut self.annotations, changes) {
            let raw = to_raw_value(&self.annotations).map_err(unreadable)?;
            match self.annotations.is_empty() {
                true => drop(self.fields.shift_remove("annotations")),
                false => drop(self.fields.insert("annotations".to_owned(), raw)),
            }
            self.is_changed = true;
        }
        Ok(())
    }

    /// Changes annotations of the entries that `which` wants; returns how many those are. Everything else of an entry
    /// stays as it was written.
    ///
    /// # Errors
    /// A Docker manifest list has none.
    pub fn annotate_entries(
        &mut self,
        which: impl Fn(&Descriptor) -> bool,
        changes: &[AnnotationChange],
    ) -> Result<usize, IndexEditError> {
        let refused = self.refused(changes);
        let mut count = 0;
        for entry in self.entries.iter_mut().filter(|entry| which(&entry.view)) {
            if let Some(key) = refused {
                let child = entry.view.digest.clone();
                return Err(IndexProblem::DescriptorAnnotation { child, key }.into());
            }
            count += 1;
            if apply(&mut entry.view.annotations, changes) {
                let mut fields: Fields = serde_json::from_str(entry.raw.get()).map_err(unreadable)?;
                let raw = to_raw_value(&entry.view.annotations).map_err(unreadable)?;
                match entry.view.annotations.is_empty() {
                    true => drop(fields.shift_remove("annotations")),
                    false => drop(fields.insert("annotations".to_owned(), raw)),
                }
                entry.raw = to_raw_value(&fields).map_err(unreadable)?;
                self.is_changed = true;
            }
        }
        Ok(count)
    }

    /// Changes the platform of an entry, or gives it one.
    ///
    /// # Errors
    /// Another entry has that platform.
    pub fn set_platform(&mut self, digest: &Digest, platform: &Platform) -> Result<(), IndexEditError> {
        let same = |entry: &&Descriptor| {
            entry.digest != *digest && entry.platform.as_ref().is_some_and(|have| have.same_as(platform))
        };
        if let Some(first) = self.entries().find(same) {
            let (platform, first, second) = (platform.normalize(), first.digest.clone(), digest.clone());
            return Err(IndexProblem::DuplicatePlatform { platform, first, second }.into());
        }
        for entry in self.entries.iter_mut().filter(|entry| entry.view.digest == *digest) {
            let mut fields: Fields = serde_json::from_str(entry.raw.get()).map_err(unreadable)?;
            fields.insert("platform".to_owned(), to_raw_value(platform).map_err(unreadable)?);
            entry.raw = to_raw_value(&fields).map_err(unreadable)?;
            entry.view.platform = Some(platform.clone());
            self.is_changed = true;
        }
        Ok(())
    }

    fn refused(&self, changes: &[AnnotationChange]) -> Option<String> {
        let sets = changes.iter().find(|(_, value)| value.is_some());
        sets.filter(|_| self.format == Format::Docker).map(|(key, _)| key.clone())
    }

    /// Returns the index; unchanged, it is the original's bytes.
    ///
    /// # Errors
    /// There is nothing in it.
    pub fn build(&self) -> Result<RawManifest, IndexEditError> {
        if let Some(original) = self.original.as_ref().filter(|_| !self.is_changed) {
            return Ok(original.clone());
        }
        if self.entries.is_empty() {
            return Err(IndexProblem::Empty.into());
        }
        let mut fields = self.fields.clone();
        let list: Vec<&RawValue> = self.entries.iter().map(|entry| &*entry.raw).collect();
        let list = to_raw_value(&list).map_err(unreadable)?;
        match fields.get_mut("manifests") {
            Some(there) => *there = list,
            None => {
                // Where other builders write it: before the annotations.
                let at = fields.get_index_of("annotations").unwrap_or(fields.len());
                fields.shift_insert(at, "manifests".to_owned(), list);
            }
        }
        let bytes = serde_json::to_vec(&fields).map_err(unreadable)?;
        let media_type = self.original.as_ref().map_or(self.format.index(), RawManifest::media_type);
        Ok(RawManifest::new(media_type, Bytes::from(bytes)))
    }
}

/// Returns the digest of the image an attestation is about.
pub fn attested(entry: &Descriptor) -> Option<&str> {
    let is_attestation = entry.annotations.get(REFERENCE_TYPE).is_some_and(|kind| kind == ATTESTATION_MANIFEST);
    is_attestation.then(|| entry.annotations.get(REFERENCE_DIGEST).map_or("", String::as_str))
}

fn unreadable(error: serde_json::Error) -> IndexEditError {
    IndexEditError::Unreadable(ManifestError::Json(error))
}

/// Returns whether anything changed.
fn apply(annotations: &mut Annotations, changes: &[AnnotationChange]) -> bool {
    let before = annotations.clone();
    for (key, value) in changes {
        match value {
            Some(value) => drop(annotations.insert(key.clone(), value.clone())),
            None => drop(annotations.remove(key)),
        }
    }
    *annotations != before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(seed: &str, platform: &str) -> Descriptor {
        let platform = Some(platform.parse().unwrap());
        Descriptor { platform, ..Descriptor::new(media_type::OCI_MANIFEST, Digest::sha256(seed), 1) }
    }

    fn odd() -> RawManifest {
        let entry = |seed: &str, rest: &str| {
            format!(
                r#"{{ "digest":"{}", "size":1,"mediaType":"{}"{rest}}}"#,
                Digest::sha256(seed),
                media_type::OCI_MANIFEST
            )
        };
        let text = format!(
            r#"{{"x-own":{{"b":1, "a":2}},"mediaType":"{}","schemaVersion":2,"annotations":{{"k":"v"}},"manifests":[{},{}]}}"#,
            media_type::OCI_INDEX,
            entry("a", r#", "platform":{"os":"linux","architecture":"amd64","features":["sse4"]},"own":7"#),
            entry("b", r#","platform":{"os":"linux","architecture":"arm64"}"#),
        );
        RawManifest::new(media_type::OCI_INDEX, text)
    }

    #[test]
    fn what_is_not_edited_stays_byte_for_byte() {
        let index = odd();
        let mut editor = IndexEditor::open(&index).unwrap();
        assert_eq!(editor.build().unwrap(), index);
        editor.add(image("c", "linux/s390x")).unwrap();
        editor.annotate(&[("n".into(), Some("w".into()))]).unwrap();
        let text = String::from_utf8(editor.build().unwrap().bytes().to_vec()).unwrap();
        let old = String::from_utf8(index.bytes().to_vec()).unwrap();
        let first = &old[old.find("{ \"digest\"").unwrap()..old.len() - 2];
        assert!(text.contains(first) && text.starts_with(r#"{"x-own":{"b":1, "a":2},"#), "{text}");
        assert!(text.contains(r#""annotations":{"k":"v","n":"w"}"#), "{text}");
        // Taken back, it is what it was, but for the spaces between fields.
        editor.retain(|entry| entry.digest != Digest::sha256("c"));
        editor.annotate(&[("n".into(), None)]).unwrap();
        assert_eq!(editor.build().unwrap(), index);
    }

    #[test]
    fn an_entry_keeps_its_unknown_fields_when_it_is_annotated() {
        let mut editor = IndexEditor::open(&odd()).unwrap();
        let changes = [("k".into(), Some("v".into()))];
        let count = editor.annotate_entries(|entry| entry.digest == Digest::sha256("a"), &changes).unwrap();
        let text = String::from_utf8(editor.build().unwrap().bytes().to_vec()).unwrap();
        assert!(count == 1 && text.contains(r#""own":7,"annotations":{"k":"v"}}"#), "{text}");
        assert!(text.contains(r#""features":["sse4"]"#), "{text}");
    }

    #[test]
    fn duplicates_and_what_docker_cannot_hold_are_refused() {
        let mut editor = IndexEditor::open(&odd()).unwrap();
        let again = editor.add(image("c", "linux/arm64/v8")).unwrap_err();
        assert!(matches!(again, IndexEditError::Problem(IndexProblem::DuplicatePlatform { .. })), "{again}");
        assert!(matches!(editor.add(image("a", "linux/s390x")), Err(IndexEditError::Present(_))));
        let mut list = IndexEditor::new(Format::Docker);
        let oci = list.add(image("a", "linux/amd64")).unwrap_err();
        assert!(matches!(oci, IndexEditError::Problem(IndexProblem::ChildType { .. })), "{oci}");
        let noted = list.annotate(&[("k".into(), Some("v".into()))]).unwrap_err();
        assert!(matches!(noted, IndexEditError::Problem(IndexProblem::IndexAnnotation { .. })), "{noted}");
        assert!(matches!(list.build(), Err(IndexEditError::Problem(IndexProblem::Empty))));
    }

    #[test]
    fn attestations_go_and_stay_with_their_images() {
        let mut editor = IndexEditor::open(&odd()).unwrap();
        for subject in ["a", "b"] {
            let digest = Digest::sha256(format!("attestation of {subject}").as_bytes());
            let mut child = Descriptor::new(media_type::OCI_MANIFEST, digest, 1);
            child.platform = Some("unknown/unknown".parse().unwrap());
            child.annotations.insert(REFERENCE_TYPE.into(), ATTESTATION_MANIFEST.into());
            child.annotations.insert(REFERENCE_DIGEST.into(), Digest::sha256(subject).to_string());
            editor.add(child).unwrap();
        }
        let gone = editor.retain(|entry| entry.digest == Digest::sha256("a"));
        assert_eq!((gone.len(), editor.entries().count()), (2, 2));
        assert_eq!(editor.entries().find_map(attested), Some(Digest::sha256("a").to_string().as_str()));
    }
}
