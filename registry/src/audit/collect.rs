//! Reading what rules look at.
//!
//! Owns: walking from a root to its children and configurations, within bounds; telling what is missing from what could not
//! be asked; each object read at most once, and kept on disk by its digest. Never: judges.
//!
//! That an object is known by its digest says nothing about whether this repository still has it: `Seen` tells that apart,
//! and what it does not know is asked with a HEAD.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _, join_all};
use tokio::io::AsyncReadExt as _;

use super::facts::{Config, ConfigFacts, Entry, ImageFacts, ImageName, IndexFacts, ManifestFacts, Node};
use super::facts::{Unusable, UnusableKind};
use super::finding::Unchecked;
use super::report::Stats;
use super::scale::{Kind, Objects, Seen};
use crate::client::ClientError;
use crate::client::once::OnceMap;
use crate::oci::{Descriptor, Digest, ImageConfig, Manifest, ManifestError, RawManifest, RunConfig, media_type};
use crate::resolve::ManifestCache;
use crate::transfer::graph::{MAX_DEPTH, MAX_MANIFEST_BYTES, MAX_MANIFESTS, MAX_TOTAL_BYTES};
use crate::verify::{ContentSource, SourceError};

/// Most entries of all indexes of one image: more than what is read, so that what is too much is seen.
const MAX_ENTRIES: u64 = 2 * MAX_MANIFESTS as u64;

/// Largest configuration that is read, in bytes. Real ones have some ten thousand.
const CONFIG_BYTES: u64 = 4 << 20;

/// Objects that could not be read are remembered, so that they are not asked for again; more than this many are.
const FAILED: usize = 4096;

/// Reads the images of one place.
pub struct Collector {
    source: Arc<dyn ContentSource>,
    pub(super) objects: Arc<Objects>,
    pub(super) seen: Seen,
    pub(super) counts: Arc<Counts>,
    reading: OnceMap<(Kind, Digest), Object>,
    failed: std::sync::Mutex<HashMap<(Kind, Digest), Object>>,
}

/// What was asked for, and what was known.
#[derive(Debug, Default)]
pub(super) struct Counts {
    fetched: AtomicU64,
    cached: AtomicU64,
    asked: AtomicU64,
}

impl Counts {
    /// Counts an object that is read from the source.
    pub(super) fn fetched(&self) {
        self.fetched.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an object that was known.
    pub(super) fn cached(&self) {
        self.cached.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a question whether something is there.
    pub(super) fn asked(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_to(&self, stats: &mut Stats) {
        stats.fetched += self.fetched.load(Ordering::Relaxed);
        stats.cached += self.cached.load(Ordering::Relaxed);
        stats.asked += self.asked.load(Ordering::Relaxed);
    }
}

/// A manifest or configuration, or why there is none.
#[derive(Debug, Clone)]
pub(super) enum Object {
    Bytes { media_type: String, bytes: Bytes },
    Missing,
    Unchecked(String),
    TooLarge(u64),
    Altered { got: Digest, size: u64 },
}

/// What is found while one image is walked.
#[derive(Default)]
struct Walk {
    manifests: AtomicU64,
    /// Entries of all indexes together.
    entries: AtomicU64,
    /// Bytes of all manifests and configurations together, however often they are named.
    bytes: AtomicU64,
    /// Indexes that were opened: one that is named twice is opened once.
    indexes: std::sync::Mutex<HashSet<Digest>>,
    unchecked: std::sync::Mutex<Vec<Unchecked>>,
}

impl Collector {
    /// Returns a collector of one place that remembers on disk what it reads, if there is a cache.
    pub fn new(source: Arc<dyn ContentSource>, cache: Option<ManifestCache>) -> Self {
        Self::of_repository(source, Arc::new(Objects::new(cache)), Seen::default(), Arc::default())
    }

    /// Returns a collector of one repository of a run.
    pub(super) fn of_repository(
        source: Arc<dyn ContentSource>,
        objects: Arc<Objects>,
        seen: Seen,
        counts: Arc<Counts>,
    ) -> Self {
        Self { source, objects, seen, counts, reading: OnceMap::default(), failed: std::sync::Mutex::default() }
    }

    /// Returns where it reads.
    pub(super) fn source(&self) -> &dyn ContentSource {
        &*self.source
    }

    /// Reads everything behind a root that was read already.
    pub async fn image(&self, name: ImageName, root: RawManifest) -> ImageFacts {
        let descriptor = root.descriptor();
        let walk = Walk { manifests: AtomicU64::new(1), ..Walk::default() };
        let node = self.node(&walk, root, 1).await;
        let unchecked = walk.unchecked.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let root = Entry { descriptor, node };
        ImageFacts { unchecked, ..ImageFacts::new(name, root) }
    }

    fn entry<'a>(&'a self, walk: &'a Walk, descriptor: Descriptor, depth: usize) -> BoxFuture<'a, Entry> {
        async move {
            let kind = &descriptor.media_type;
            if !media_type::is_index(kind) && !media_type::is_manifest(kind) {
                return Entry { descriptor, node: Node::Other };
            }
            let count = walk.manifests.fetch_add(1, Ordering::Relaxed);
            if depth > MAX_DEPTH || count >= MAX_MANIFESTS as u64 || !walk.may_open(&descriptor) {
                return Entry { descriptor, node: Node::TooMuch };
            }
            let node = match self.object(&descriptor, Kind::Manifest).await {
                Object::Bytes { media_type, bytes } => {
                    self.node(walk, RawManifest::new(media_type, bytes), depth).await
                }
                Object::Missing => Node::Missing,
                Object::Altered { got, size } => Node::Altered { got, size },
                Object::TooLarge(limit) => {
                    walk.unchecked("manifest", &descriptor.digest, too_large(limit), Node::Unchecked)
                }
                Object::Unchecked(reason) => walk.unchecked("manifest", &descriptor.digest, reason, Node::Unchecked),
            };
            Entry { descriptor, node }
        }
        .boxed()
    }

    async fn node(&self, walk: &Walk, raw: RawManifest, depth: usize) -> Node {
        match raw.view() {
            Ok(Manifest::Index(view)) => {
                let room = walk.room(view.manifests.len());
                let work = view.manifests[..room].iter().map(|child| self.entry(walk, child.clone(), depth + 1));
                let mut children = join_all(work).await;
                // One stands for all that are left out.
                let left = view.manifests.get(room).cloned();
                children.extend(left.map(|descriptor| Entry { descriptor, node: Node::TooMuch }));
                Node::Index(Box::new(IndexFacts { raw, view, children }))
            }
            Ok(Manifest::Image(view)) => {
                let config = self.config(walk, &view.config).await;
                Node::Image(Box::new(ManifestFacts { raw, view, config }))
            }
            Err(error) => {
                let kind = match &error {
                    ManifestError::Json(_) => UnusableKind::Json,
                    ManifestError::MediaTypeMismatch { .. } => UnusableKind::MediaType,
                    ManifestError::Ambiguous => UnusableKind::Ambiguous,
                    ManifestError::Unsupported(_) => UnusableKind::Unsupported,
                };
                Node::Unusable(Unusable { raw, kind, reason: in_full(&error) })
            }
        }
    }

    async fn config(&self, walk: &Walk, descriptor: &Descriptor) -> ConfigFacts {
        if !media_type::is_config(&descriptor.media_type) {
            return ConfigFacts::NotAnImage;
        }
        let digest = &descriptor.digest;
        match self.object(descriptor, Kind::Blob).await {
            Object::Bytes { bytes, .. } => {
                match ImageConfig::parse(&bytes).and_then(|view| Ok((view, RunConfig::parse(&bytes)?))) {
                    Ok((view, run)) => ConfigFacts::Read(Box::new(Config { bytes, view, run })),
                    Err(error) => ConfigFacts::Unusable(in_full(&error)),
                }
            }
            Object::Missing => ConfigFacts::Missing,
            Object::Altered { .. } => ConfigFacts::Altered,
            Object::TooLarge(limit) => {
                walk.unchecked("configuration", digest, too_large(limit), ConfigFacts::Unchecked)
            }
            Object::Unchecked(reason) => walk.unchecked("configuration", digest, reason, ConfigFacts::Unchecked),
        }
    }

    /// Reads a manifest or a configuration, once.
    async fn object(&self, descriptor: &Descriptor, kind: Kind) -> Object {
        let key = (kind, descriptor.digest.clone());
        if let Some(failed) = self.failed().get(&key) {
            return failed.clone();
        }
        let read = self.read_object(descriptor, kind).map(Ok::<_, std::convert::Infallible>).boxed();
        let Ok(object) = self.reading.get_or_try_init(&key, read).await;
        // What was read is found among the objects from here on, as long as there is room for it.
        self.reading.forget_if(&key, |_| true);
        object
    }

    async fn read_object(&self, descriptor: &Descriptor, kind: Kind) -> Object {
        let digest = &descriptor.digest;
        let object = self.found(descriptor, kind).await;
        match &object {
            Object::Bytes { .. } => self.seen.saw(kind, digest),
            Object::Missing => self.seen.gone(digest),
            _ => {}
        }
        if !matches!(object, Object::Bytes { .. }) {
            let mut failed = self.failed();
            if failed.len() < FAILED {
                failed.insert((kind, digest.clone()), object.clone());
            }
        }
        object
    }

    /// Returns an object whose bytes are known if the place has it; reads it otherwise.
    async fn found(&self, descriptor: &Descriptor, kind: Kind) -> Object {
        // The type is not part of the digest: what another place called it says nothing about this one.
        if let Some((media_type, bytes)) = self.objects.get(&descriptor.digest).await
            && media_type == descriptor.media_type
        {
            match self.is_there(descriptor, kind).await {
                Ok(true) => {
                    self.counts.cached();
                    return Object::Bytes { media_type, bytes };
                }
                Err(error) if is_passing(&error) => return Object::Unchecked(in_full(&error)),
                // GET decides: some registries know no HEAD, and some storage behind them refuses it.
                _ => {}
            }
        }
        let object = match self.fetched(descriptor, kind).await {
            // A proxy may have cut it short.
            Object::Altered { got, .. } => match self.fetched(descriptor, kind).await {
                Object::Altered { got: again, .. } if again != got => {
                    Object::Unchecked("two answers were different, and both are not what the digest says".to_owned())
                }
                object => object,
            },
            object => object,
        };
        if let Object::Bytes { media_type, bytes } = &object {
            self.objects.put(&descriptor.digest, media_type, bytes).await;
        }
        object
    }

    async fn is_there(&self, descriptor: &Descriptor, kind: Kind) -> Result<bool, SourceError> {
        if self.seen.is_there(kind, &descriptor.digest) {
            return Ok(true);
        }
        self.counts.asked();
        match kind {
            Kind::Manifest => self.source.has_manifest(descriptor).await,
            Kind::Blob => Ok(self.source.stat(descriptor).await?.is_some()),
        }
    }

    async fn fetched(&self, descriptor: &Descriptor, kind: Kind) -> Object {
        self.counts.fetched();
        let read = match kind {
            Kind::Manifest => {
                self.source.manifest(descriptor).await.map(|raw| (raw.media_type().to_owned(), raw.bytes().clone()))
            }
            Kind::Blob => self.small(descriptor).await.map(|bytes| (descriptor.media_type.clone(), bytes)),
        };
        match read {
            Ok((media_type, bytes)) => checked(descriptor, media_type, bytes),
            Err(SourceError::Missing(_)) => Object::Missing,
            Err(SourceError::TooLarge { limit, .. }) => Object::TooLarge(limit),
            Err(error) => Object::Unchecked(in_full(&error)),
        }
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, HashMap<(Kind, Digest), Object>> {
        self.failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    async fn small(&self, descriptor: &Descriptor) -> Result<Bytes, SourceError> {
        let digest = &descriptor.digest;
        let too_large = || SourceError::TooLarge { digest: digest.clone(), limit: CONFIG_BYTES };
        if descriptor.size > CONFIG_BYTES {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        let reader = self.source.blob(descriptor).await?;
        let read = reader.take(CONFIG_BYTES + 1).read_to_end(&mut bytes).await;
        read.map_err(|error| SourceError::unreadable(digest, error))?;
        if bytes.len() as u64 > CONFIG_BYTES { Err(too_large()) } else { Ok(bytes.into()) }
    }
}

impl Walk {
    /// Whether a manifest may still be read, and if it is an index, for the first time.
    fn may_open(&self, descriptor: &Descriptor) -> bool {
        let before = self.bytes.fetch_add(descriptor.size.min(MAX_MANIFEST_BYTES), Ordering::Relaxed);
        let mut indexes = self.indexes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_new = !media_type::is_index(&descriptor.media_type) || indexes.insert(descriptor.digest.clone());
        is_new && before <= MAX_TOTAL_BYTES
    }

    /// Returns how many more entries of an index are looked at.
    fn room(&self, wanted: usize) -> usize {
        let before = self.entries.fetch_add(wanted as u64, Ordering::Relaxed);
        wanted.min(usize::try_from(MAX_ENTRIES.saturating_sub(before)).unwrap_or(wanted))
    }

    fn unchecked<T>(&self, what: &str, digest: &Digest, reason: String, then: T) -> T {
        let one = Unchecked { what: what.to_owned(), digest: Some(digest.clone()), reason };
        self.unchecked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(one);
        then
    }
}

fn checked(descriptor: &Descriptor, media_type: String, bytes: Bytes) -> Object {
    let mut hasher = match descriptor.digest.hasher() {
        Ok(hasher) => hasher,
        Err(error) => return Object::Unchecked(in_full(&error)),
    };
    hasher.update(&bytes);
    let got = hasher.finish();
    match got == descriptor.digest {
        true => Object::Bytes { media_type, bytes },
        false => Object::Altered { got, size: bytes.len() as u64 },
    }
}

/// Whether the source may answer later, so that it is no use to ask it in another way now.
fn is_passing(error: &SourceError) -> bool {
    let SourceError::Unreadable { source, .. } = error else { return false };
    source.downcast_ref::<ClientError>().is_some_and(ClientError::is_retryable)
}

fn too_large(limit: u64) -> String {
    format!("it is larger than {limit} bytes")
}

/// Returns an error with its causes.
pub(crate) fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
