//! The root index: names for what is in the store.
//!
//! Owns: reading and rewriting `index.json` under its lock. Entries and fields written by other tools
//! survive, because the file is edited as JSON, never rebuilt from what polyarch understands.
//! Never: looks at blobs; an entry may point at one that is not there.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::disk::{blocking, io_error, open_lock, read_small, write_atomic};
use super::paths::Paths;
use super::{LayoutStore, StoreError};
use crate::oci::{Descriptor, Digest};

/// The annotation that holds an entry's name (image-spec, annotations.md).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Room for about 40 000 entries; a larger file is not ours.
const INDEX_LIMIT: u64 = 16 * 1024 * 1024;

/// One entry of the root index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The name, if the entry has one.
    pub name: Option<String>,
    /// What it points at.
    pub descriptor: Descriptor,
}

/// Names one or several entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKey<'a> {
    /// Entries with this name.
    Name(&'a str),
    /// Entries that point at this digest.
    Digest(&'a Digest),
}

impl RootKey<'_> {
    fn matches(self, root: &Root) -> bool {
        match self {
            Self::Name(name) => root.name.as_deref() == Some(name),
            Self::Digest(digest) => root.descriptor.digest == *digest,
        }
    }
}

impl LayoutStore {
    /// Returns the entries of the root index, in file order.
    ///
    /// # Errors
    /// [`StoreError::Layout`] if `index.json` is missing or not an index.
    pub async fn roots(&self) -> Result<Vec<Root>, StoreError> {
        let paths = Arc::clone(&self.paths);
        blocking(move || read(&paths)?.roots(&paths)).await
    }

    /// Returns the entry with this name. Of several, the last one written counts.
    ///
    /// # Errors
    /// As [`LayoutStore::roots`].
    pub async fn resolve(&self, name: &str) -> Result<Option<Descriptor>, StoreError> {
        let mut roots = self.roots().await?;
        roots.retain(|root| root.name.as_deref() == Some(name));
        Ok(roots.pop().map(|root| root.descriptor))
    }

    /// Points `name` at a descriptor, replacing what it pointed at. What it reaches must already be in the store.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], [`StoreError::Layout`] or I/O; then the old index is unchanged.
    pub async fn set_root(&self, name: &str, descriptor: &Descriptor) -> Result<(), StoreError> {
        self.rename_roots(&[], &[name.to_owned()], descriptor).await
    }

    /// Adds entries with the annotations they have, all at once. What is there under a name of theirs goes, and
    /// nameless entries of the same digest; what they reach must already be in the store.
    ///
    /// # Errors
    /// As [`LayoutStore::set_root`].
    pub async fn put_roots(&self, entries: Vec<Descriptor>) -> Result<(), StoreError> {
        self.edit(move |document, paths| {
            document.remove(paths, |root| {
                let same_name = |entry: &Descriptor| entry.annotations.get(REF_NAME) == root.name.as_ref();
                entries
                    .iter()
                    .any(|entry| same_name(entry) && (root.name.is_some() || entry.digest == root.descriptor.digest))
            })?;
            entries.iter().try_for_each(|entry| document.push(paths, entry))
        })
        .await
    }

    /// Points all of `names` at a descriptor and removes the names `gone`, in one change of the index.
    ///
    /// # Errors
    /// As [`LayoutStore::set_root`].
    pub async fn rename_roots(
        &self,
        gone: &[String],
        names: &[String],
        descriptor: &Descriptor,
    ) -> Result<(), StoreError> {
        let gone: Vec<String> = gone.iter().chain(names).cloned().collect();
        let named = |name: &String| {
            let mut entry = descriptor.clone();
            entry.annotations.insert(REF_NAME.to_owned(), name.clone());
            entry
        };
        let names: BTreeSet<&String> = names.iter().collect();
        let entries: Vec<Descriptor> = names.into_iter().map(named).collect();
        self.edit(move |document, paths| {
            document.remove(paths, |root| root.name.as_ref().is_some_and(|name| gone.contains(name)))?;
            entries.iter().try_for_each(|entry| document.push(paths, entry))
        })
        .await
    }

    /// Removes entries and returns them; their blobs stay until gc.
    ///
    /// # Errors
    /// As [`LayoutStore::set_root`].
    pub async fn remove_roots(&self, key: RootKey<'_>) -> Result<Vec<Root>, StoreError> {
        let (name, digest) = match key {
            RootKey::Name(name) => (Some(name.to_owned()), None),
            RootKey::Digest(digest) => (None, Some(digest.clone())),
        };
        self.edit(move |document, paths| {
            let by_name = name.as_deref().map(RootKey::Name);
            let key = by_name.or(digest.as_ref().map(RootKey::Digest));
            document.remove(paths, |root| key.is_some_and(|key| key.matches(root)))
        })
        .await
    }

    async fn edit<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Document, &Paths) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // The lease keeps gc from sweeping the new file out of ingest.
        let lease = self.lease().await?;
        let paths = Arc::clone(&self.paths);
        blocking(move || {
            let _lock = lock(&paths)?;
            let mut document = read(&paths)?;
            let before = document.0.clone();
            let result = change(&mut document, &paths)?;
            if document.0 != before {
                let text = document.0.to_string();
                if text.len() as u64 > INDEX_LIMIT {
                    // Nobody could read it again.
                    return Err(bad(&paths, format!("index.json would have more than {INDEX_LIMIT} bytes")));
                }
                write_atomic(&paths.ingest(), &paths.index(), text.as_bytes())?;
            }
            drop(lease);
            Ok(result)
        })
        .await
    }
}

/// Held by those who change the file for milliseconds only, so waiting on a blocking thread is fine.
fn lock(paths: &Paths) -> Result<File, StoreError> {
    let file = open_lock(&paths.index_lock())?;
    file.lock().map_err(io_error("lock", &paths.index_lock()))?;
    Ok(file)
}

fn bad(paths: &Paths, reason: impl Into<String>) -> StoreError {
    StoreError::Layout { path: paths.root().to_owned(), reason: reason.into() }
}

pub(super) fn read(paths: &Paths) -> Result<Document, StoreError> {
    let path = paths.index();
    let bytes = read_small(&path, INDEX_LIMIT).map_err(|error| match error.kind() {
        ErrorKind::NotFound => bad(paths, "there is no index.json"),
        _ => io_error("read", &path)(error),
    })?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| bad(paths, format!("index.json: {error}")))?;
    match value.get("manifests") {
        Some(Value::Array(_)) => Ok(Document(value)),
        _ => Err(bad(paths, "index.json has no `manifests` list")),
    }
}

/// `index.json` as it is, with every field anyone put there.
pub(super) struct Document(Value);

impl Document {
    pub(super) fn roots(&self, paths: &Paths) -> Result<Vec<Root>, StoreError> {
        let entries = self.0.get("manifests").and_then(Value::as_array).into_iter().flatten();
        entries.enumerate().map(|(index, entry)| parse_root(paths, index, entry)).collect()
    }

    fn push(&mut self, paths: &Paths, descriptor: &Descriptor) -> Result<(), StoreError> {
        let entry = serde_json::to_value(descriptor).map_err(|error| bad(paths, error.to_string()))?;
        if let Some(entries) = self.entries() {
            entries.push(entry);
        }
        Ok(())
    }

    fn remove(&mut self, paths: &Paths, drop: impl Fn(&Root) -> bool) -> Result<Vec<Root>, StoreError> {
        let roots = self.roots(paths)?;
        if let Some(entries) = self.entries() {
            let mut keep = roots.iter().map(|root| !drop(root));
            entries.retain(|_| keep.next().unwrap_or(true));
        }
        Ok(roots.into_iter().filter(|root| drop(root)).collect())
    }

    fn entries(&mut self) -> Option<&mut Vec<Value>> {
        self.0.get_mut("manifests").and_then(Value::as_array_mut)
    }
}

fn parse_root(paths: &Paths, index: usize, entry: &Value) -> Result<Root, StoreError> {
    let descriptor =
        Descriptor::deserialize(entry).map_err(|error| bad(paths, format!("index.json, entry {index}: {error}")))?;
    Ok(Root { name: descriptor.annotations.get(REF_NAME).cloned(), descriptor })
}
