//! Reading what rules look at.
//!
//! Owns: walking from a root to its children and configurations, within bounds; telling what is missing from what could not
//! be asked; each object read at most once, and kept on disk by its digest. Never: judges.
//!
//! That an object is known by its digest says nothing about whether a registry still has it. Its presence in a repository is
//! remembered apart, for as long as [`Collector::trust`] says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _, join_all};
use tokio::io::AsyncReadExt as _;

use super::facts::{Config, ConfigFacts, Entry, ImageFacts, ImageName, IndexFacts, ManifestFacts, Node};
use super::facts::{Unusable, UnusableKind};
use super::finding::Unchecked;
use crate::client::once::OnceMap;
use crate::oci::{Descriptor, Digest, ImageConfig, Manifest, ManifestError, RawManifest, RunConfig, media_type};
use crate::resolve::ManifestCache;
use crate::transfer::graph::{MAX_DEPTH, MAX_MANIFESTS};
use crate::verify::{ContentSource, SourceError};

/// Largest configuration that is read, in bytes. Real ones have some ten thousand.
const CONFIG_BYTES: u64 = 4 << 20;

/// Reads the images of one place.
pub struct Collector {
    source: Arc<dyn ContentSource>,
    cache: Option<ManifestCache>,
    read: OnceMap<Digest, Object>,
    fetched: AtomicU64,
    cached: AtomicU64,
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
struct Walk {
    manifests: AtomicU64,
    unchecked: std::sync::Mutex<Vec<Unchecked>>,
}

impl Collector {
    /// Returns a collector that remembers on disk what it reads, if there is a cache.
    pub fn new(source: Arc<dyn ContentSource>, cache: Option<ManifestCache>) -> Self {
        Self { source, cache, read: OnceMap::default(), fetched: AtomicU64::new(0), cached: AtomicU64::new(0) }
    }

    /// Returns where it reads.
    pub(super) fn source(&self) -> &dyn ContentSource {
        &*self.source
    }

    /// Returns how many objects were read from the source, and how many were known.
    pub fn counts(&self) -> (u64, u64) {
        (self.fetched.load(Ordering::Relaxed), self.cached.load(Ordering::Relaxed))
    }

    /// Reads everything behind a root that was read already.
    pub async fn image(&self, name: ImageName, root: RawManifest) -> ImageFacts {
        let descriptor = root.descriptor();
        let walk = Walk { manifests: AtomicU64::new(1), unchecked: std::sync::Mutex::default() };
        let node = self.node(&walk, &descriptor, root, 1).await;
        let unchecked = walk.unchecked.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let root = Entry { descriptor, node };
        ImageFacts { name, root, blobs: None, referrers: None, unchecked }
    }

    fn entry<'a>(&'a self, walk: &'a Walk, descriptor: Descriptor, depth: usize) -> BoxFuture<'a, Entry> {
        async move {
            let kind = &descriptor.media_type;
            if !media_type::is_index(kind) && !media_type::is_manifest(kind) {
                return Entry { descriptor, node: Node::Other };
            }
            let count = walk.manifests.fetch_add(1, Ordering::Relaxed);
            if depth > MAX_DEPTH || count >= MAX_MANIFESTS as u64 {
                return Entry { descriptor, node: Node::TooMuch };
            }
            let node = match self.object(&descriptor, true).await {
                Object::Bytes { media_type, bytes } => {
                    self.node(walk, &descriptor, RawManifest::new(media_type, bytes), depth).await
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

    async fn node(&self, walk: &Walk, _descriptor: &Descriptor, raw: RawManifest, depth: usize) -> Node {
        match raw.view() {
            Ok(Manifest::Index(view)) => {
                let work = view.manifests.iter().map(|child| self.entry(walk, child.clone(), depth + 1));
                let children = join_all(work).await;
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
        match self.object(descriptor, false).await {
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
    async fn object(&self, descriptor: &Descriptor, is_manifest: bool) -> Object {
        let read = self.read_object(descriptor, is_manifest).map(Ok::<_, std::convert::Infallible>).boxed();
        let Ok(object) = self.read.get_or_try_init(&descriptor.digest, read).await;
        object
    }

    async fn read_object(&self, descriptor: &Descriptor, is_manifest: bool) -> Object {
        if let Some(cache) = &self.cache
            && let Some((media_type, bytes)) = cache.object(&descriptor.digest).await
        {
            self.cached.fetch_add(1, Ordering::Relaxed);
            return Object::Bytes { media_type, bytes };
        }
        self.fetched.fetch_add(1, Ordering::Relaxed);
        let read = match is_manifest {
            true => {
                self.source.manifest(descriptor).await.map(|raw| (raw.media_type().to_owned(), raw.bytes().clone()))
            }
            false => self.small(descriptor).await.map(|bytes| (descriptor.media_type.clone(), bytes)),
        };
        let object = match read {
            Ok((media_type, bytes)) => checked(descriptor, media_type, bytes),
            Err(SourceError::Missing(_)) => Object::Missing,
            Err(SourceError::TooLarge { limit, .. }) => Object::TooLarge(limit),
            Err(error) => Object::Unchecked(in_full(&error)),
        };
        if let (Object::Bytes { media_type, bytes }, Some(cache)) = (&object, &self.cache) {
            cache.put(&descriptor.digest, media_type, bytes).await;
        }
        object
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

fn too_large(limit: u64) -> String {
    format!("it is larger than {limit} bytes")
}

/// Returns an error with its causes.
pub(super) fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
