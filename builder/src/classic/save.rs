//! An image from a daemon's `GET /images/…/get` into the store.
//!
//! Owns: both forms the tar has (Docker 25 and later: an OCI layout with plain layers; before: a directory per layer),
//! the check of every layer against the configuration, compression on the way. A layer compressed before is not
//! compressed again: the newer form names it, in the older one it is known by its size, and certain by its digest.
//! Never: holds a layer in memory, changes the configuration's bytes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use polyarch_registry::oci::{Descriptor, Digest, Hasher, ImageConfig, media_type};
use polyarch_registry::store::layout::{CachedLayer, DiffIdCache, LayerForm};
use polyarch_registry::store::{BlobStore, BlobStoreExt, Expect};
use serde::Deserialize;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::ClassicError;
use super::compress::{Compressor, media_type as layer_type};
use super::tar_stream::{Entry, Kind, TarStream};
use crate::event::{Direction, EventKind, TransferHow};
use crate::event_sink::EventSink;
use crate::node::docker::DockerApi;

/// Bytes of a layer handled at once.
const CHUNK: usize = 256 << 10;
/// Smallest layer that is looked for by its size, in bytes: smaller ones often have equal sizes and cost nothing.
const LEAST_KNOWN: u64 = 1 << 20;
/// Metadata of one image in all, in multiples of the limit of one document: a legacy tar has one per layer.
const DOCUMENTS: u64 = 4;
/// Entries accepted in one tar; an image of the most layers Docker allows has some 500.
const MOST_ENTRIES: usize = 100_000;
/// What remembering one entry costs beside its names, in bytes.
const ENTRY_COST: u64 = 128;
/// Links followed from one path; daemons write links to files only.
const MOST_LINKS: usize = 40;

/// An image in the store, without a manifest yet; `oci::ImageBuilder` writes one around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicImage {
    /// The configuration, its bytes as the daemon wrote them.
    pub config: Descriptor,
    /// Layers, base first.
    pub layers: Vec<Descriptor>,
    /// Digests of the uncompressed layers, checked.
    pub diff_ids: Vec<Digest>,
    /// What the image is called where it comes from; untrusted.
    pub names: Vec<String>,
}

/// How an image is taken over.
#[derive(Clone)]
pub struct SaveSpec<'a> {
    /// Where it goes.
    pub store: &'a dyn BlobStore,
    /// Layers compressed before, if the store keeps a table. Hold a lease on the store.
    pub cache: Option<&'a DiffIdCache>,
    /// How new layers are compressed.
    pub form: LayerForm,
    /// Threads for it.
    pub threads: usize,
    /// Largest configuration or other document, in bytes (`Limits::manifest_bytes`).
    pub document_limit: u64,
    /// The configuration the build made (`containerimage.digest` of a `moby` export), if known.
    pub config: Option<&'a Digest>,
    /// For transfers.
    pub events: &'a EventSink,
}

/// Streams one image of a daemon into the store.
///
/// # Errors
/// [`ClassicError`]; then nothing incomplete is visible in the store.
pub async fn save(docker: &DockerApi, reference: &str, spec: &SaveSpec<'_>) -> Result<ClassicImage, ClassicError> {
    let tar = || StreamReader::new(docker.save(reference).map(|chunk| chunk.map_err(std::io::Error::other)));
    let known = known_sizes(docker, reference, spec).await?;
    match take(tar(), spec, &known).await {
        // Once more, compressing everything.
        Err(ClassicError::NotTheKnownLayer { .. }) => save_tar(tar(), spec).await,
        done => done,
    }
}

/// Sizes of the image's layers that were compressed before, so that only their digest need be computed.
async fn known_sizes(docker: &DockerApi, reference: &str, spec: &SaveSpec<'_>) -> Result<BTreeSet<u64>, ClassicError> {
    let (Some(cache), Some(image)) = (spec.cache, docker.image(reference).await?) else { return Ok(BTreeSet::new()) };
    let mut sizes = BTreeSet::new();
    for diff_id in &image.diff_ids {
        let known = cache.lookup(diff_id, spec.form).await?;
        sizes.extend(known.and_then(|layer| layer.diff_size).filter(|size| *size >= LEAST_KNOWN));
    }
    Ok(sizes)
}

/// Streams a tar as a daemon sends it into the store.
///
/// # Errors
/// [`ClassicError`]; then nothing incomplete is visible in the store.
pub async fn save_tar<R>(tar: R, spec: &SaveSpec<'_>) -> Result<ClassicImage, ClassicError>
where
    R: AsyncRead + Unpin,
{
    take(tar, spec, &BTreeSet::new()).await
}

/// Layers of a `known` size are hashed only.
pub(super) async fn take<R>(tar: R, spec: &SaveSpec<'_>, known: &BTreeSet<u64>) -> Result<ClassicImage, ClassicError>
where
    R: AsyncRead + Unpin,
{
    let mut tar = TarStream::new(tar);
    let mut found = Found::default();
    while let Some(entry) = tar.next().await? {
        found.count(&entry, spec.document_limit)?;
        match &entry.kind {
            Kind::Link(target) => drop(found.links.insert(entry.path.clone(), target.clone())),
            Kind::File => take_file(&mut tar, &entry, (spec, known), &mut found).await?,
            Kind::Other => {}
        }
    }
    found.image(spec).await
}

/// What the tar held, in whatever order it came.
#[derive(Default)]
struct Found {
    documents: BTreeMap<String, Bytes>,
    /// Bytes of documents and names together.
    metadata_bytes: u64,
    entries: usize,
    layers: BTreeMap<String, (Digest, Descriptor)>,
    links: BTreeMap<String, String>,
}

/// One image in `manifest.json` (moby, `image/tarexport`).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    #[serde(default)]
    layers: Option<Vec<String>>,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
}

impl Found {
    /// Charges an entry's names, whatever it is.
    fn count(&mut self, entry: &Entry, limit: u64) -> Result<(), ClassicError> {
        self.entries += 1;
        if self.entries > MOST_ENTRIES {
            return Err(ClassicError::TooManyEntries { limit: MOST_ENTRIES });
        }
        let target = match &entry.kind {
            Kind::Link(target) => target.len(),
            Kind::File | Kind::Other => 0,
        };
        self.charge((entry.path.len() + target) as u64 + ENTRY_COST, limit)
    }

    fn charge(&mut self, bytes: u64, limit: u64) -> Result<(), ClassicError> {
        self.metadata_bytes = self.metadata_bytes.saturating_add(bytes);
        match self.metadata_bytes > limit.saturating_mul(DOCUMENTS) {
            true => Err(ClassicError::TooMuchMetadata { limit }),
            false => Ok(()),
        }
    }

    async fn image(&self, spec: &SaveSpec<'_>) -> Result<ClassicImage, ClassicError> {
        let saved = self.saved_image()?;
        let config = self.document(&saved.config)?;
        let digest = Digest::sha256(config);
        if let Some(want) = spec.config.filter(|want| **want != digest) {
            return Err(ClassicError::ConfigMismatch { want: want.clone(), got: digest });
        }
        let diff_ids = ImageConfig::parse(config)?.rootfs.diff_ids;
        let paths = saved.layers.unwrap_or_default();
        let layers = self.layers_of(&paths, &diff_ids)?;
        spec.store.put_bytes(config.clone()).await?;
        let config = Descriptor::new(media_type::OCI_CONFIG, digest, config.len() as u64);
        Ok(ClassicImage { config, layers, diff_ids, names: saved.repo_tags.unwrap_or_default() })
    }

    fn saved_image(&self) -> Result<SavedImage, ClassicError> {
        let path = "manifest.json";
        let images: Result<Vec<SavedImage>, _> = serde_json::from_slice(self.document(path)?);
        let mut images = images.map_err(|source| ClassicError::Json { path: path.to_owned(), source })?;
        match (images.pop(), images.len()) {
            (Some(image), 0) => Ok(image),
            (image, others) => Err(ClassicError::NotOneImage(others + usize::from(image.is_some()))),
        }
    }

    fn layers_of(&self, paths: &[String], diff_ids: &[Digest]) -> Result<Vec<Descriptor>, ClassicError> {
        let mut layers = Vec::new();
        for index in 0..paths.len().max(diff_ids.len()) {
            let found = paths.get(index).map(|path| self.layer(path)).transpose()?;
            match (found, diff_ids.get(index)) {
                (Some((got, layer)), Some(want)) if got == want => layers.push(layer.clone()),
                (got, want) => {
                    let want = want.map_or_else(|| "no layer".to_owned(), ToString::to_string);
                    let got = got.map_or_else(|| "missing".to_owned(), |(got, _)| got.to_string());
                    return Err(ClassicError::LayerMismatch { index, want, got });
                }
            }
        }
        Ok(layers)
    }

    fn layer(&self, path: &str) -> Result<&(Digest, Descriptor), ClassicError> {
        let target = self.resolve(path);
        self.layers.get(target).ok_or_else(|| ClassicError::FileMissing { path: path.to_owned() })
    }

    fn document(&self, path: &str) -> Result<&Bytes, ClassicError> {
        self.documents.get(self.resolve(path)).ok_or_else(|| ClassicError::FileMissing { path: path.to_owned() })
    }

    /// Follows links, only so many: they may form a circle.
    fn resolve<'a>(&'a self, path: &'a str) -> &'a str {
        let mut at = path;
        for _ in 0..MOST_LINKS {
            match self.links.get(at) {
                Some(target) => at = target,
                None => break,
            }
        }
        at
    }
}

/// A file is a layer if it begins as a tar does, a document if it is small enough for one.
async fn take_file<R>(
    tar: &mut TarStream<R>,
    entry: &Entry,
    (spec, known): (&SaveSpec<'_>, &BTreeSet<u64>),
    found: &mut Found,
) -> Result<(), ClassicError>
where
    R: AsyncRead + Unpin,
{
    let start = tar.chunk(CHUNK).await?;
    if looks_like_tar(&start) {
        let layer = match cached(entry, spec).await? {
            Some(layer) => layer,
            None if known.contains(&entry.size) => known_layer(tar, start, entry.size, spec).await?,
            None => store_layer(tar, start, spec).await?,
        };
        found.layers.insert(entry.path.clone(), layer);
        return Ok(());
    }
    if entry.size > spec.document_limit {
        return Err(ClassicError::TooMuchMetadata { limit: spec.document_limit });
    }
    found.charge(entry.size, spec.document_limit)?;
    let mut bytes = BytesMut::from(start.as_ref());
    while (bytes.len() as u64) < entry.size {
        bytes.extend_from_slice(&tar.chunk(CHUNK).await?);
    }
    found.documents.insert(entry.path.clone(), bytes.freeze());
    Ok(())
}

/// A tar begins with a header that carries `ustar`, an empty one with a block of zeroes.
fn looks_like_tar(start: &[u8]) -> bool {
    match start.get(..512) {
        Some(block) => &block[257..262] == b"ustar" || block.iter().all(|byte| *byte == 0),
        None => false,
    }
}

/// Newer daemons name a layer's file after its digest: a layer known by that name need not be read. The name is believed
/// only as far as the configuration confirms it, and the bytes used are those compressed and checked earlier.
async fn cached(entry: &Entry, spec: &SaveSpec<'_>) -> Result<Option<(Digest, Descriptor)>, ClassicError> {
    let named = entry.path.strip_prefix("blobs/sha256/").and_then(|hex| format!("sha256:{hex}").parse().ok());
    let (Some(diff_id), Some(cache)) = (named, spec.cache) else { return Ok(None) };
    let Some(CachedLayer { media_type, digest, size, .. }) = cache.lookup(&diff_id, spec.form).await? else {
        return Ok(None);
    };
    done(spec, &digest, TransferHow::Present);
    Ok(Some((diff_id, Descriptor::new(media_type, digest, size))))
}

/// Hashes a layer, which costs a twentieth of compressing it, and looks its digest up.
async fn known_layer<R>(
    tar: &mut TarStream<R>,
    start: Bytes,
    size: u64,
    spec: &SaveSpec<'_>,
) -> Result<(Digest, Descriptor), ClassicError>
where
    R: AsyncRead + Unpin,
{
    let (mut hasher, mut chunk) = (Hasher::sha256(), start);
    while !chunk.is_empty() {
        hasher.update(&chunk);
        chunk = tar.chunk(CHUNK).await?;
    }
    let diff_id = hasher.finish();
    let found = match spec.cache {
        Some(cache) => cache.lookup(&diff_id, spec.form).await?,
        None => None,
    };
    let CachedLayer { media_type, digest, size, .. } = found.ok_or(ClassicError::NotTheKnownLayer { size })?;
    done(spec, &digest, TransferHow::Present);
    Ok((diff_id, Descriptor::new(media_type, digest, size)))
}

async fn store_layer<R>(
    tar: &mut TarStream<R>,
    start: Bytes,
    spec: &SaveSpec<'_>,
) -> Result<(Digest, Descriptor), ClassicError>
where
    R: AsyncRead + Unpin,
{
    let mut writer = spec.store.writer(Expect::default()).await?;
    let mut compressor = Compressor::new(spec.form, spec.threads).map_err(ClassicError::Compress)?;
    let (mut hasher, mut out, mut chunk, mut diff_size) = (Hasher::sha256(), Vec::new(), start, 0);
    while !chunk.is_empty() {
        hasher.update(&chunk);
        diff_size += chunk.len() as u64;
        compressor.push(chunk, &mut out).await.map_err(ClassicError::Compress)?;
        for bytes in out.drain(..) {
            writer.write(bytes).await?;
        }
        chunk = tar.chunk(CHUNK).await?;
    }
    compressor.finish(&mut out).await.map_err(ClassicError::Compress)?;
    for bytes in out {
        writer.write(bytes).await?;
    }
    let committed = writer.commit().await?;
    let diff_id = hasher.finish();
    let layer = Descriptor::new(layer_type(spec.form), committed.digest, committed.size);
    if let Some(cache) = spec.cache {
        let Descriptor { media_type, digest, size, .. } = layer.clone();
        cache.insert(&diff_id, spec.form, CachedLayer { media_type, digest, size, diff_size: Some(diff_size) }).await?;
    }
    done(spec, &layer.digest, TransferHow::Sent);
    Ok((diff_id, layer))
}

fn done(spec: &SaveSpec<'_>, digest: &Digest, how: TransferHow) {
    spec.events.send(EventKind::TransferDone { digest: digest.clone(), direction: Direction::IntoStore, how });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_entries_of_every_kind() {
        let mut found = Found { entries: MOST_ENTRIES - 1, ..Found::default() };
        let entry = Entry { path: "a".into(), kind: Kind::Other, size: 0 };
        found.count(&entry, 1 << 20).unwrap();
        assert!(matches!(found.count(&entry, 1 << 20), Err(ClassicError::TooManyEntries { limit: MOST_ENTRIES })));
    }
}
