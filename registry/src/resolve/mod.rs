//! What a reference stands for on every platform, before anything is pulled.
//!
//! Owns: HEAD before GET, each manifest at most once per [`Resolver`], what an index or a lone manifest offers. Never:
//! reads a layer, or decides that a missing platform is an error.

mod cache;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::try_join_all;

pub use cache::ManifestCache;
pub(crate) use cache::REMOTE_CACHE;

use crate::client::once::OnceMap;
use crate::client::{ClientError, ErrorKind, Fault, ManifestHead, Registry};
use crate::oci::config::ImageConfig;
use crate::oci::{Descriptor, Digest, ImageManifest, Manifest, Platform, RawManifest, Reference, media_type};

/// Largest image configuration that is read, in bytes. Real ones have some ten thousand.
const CONFIG_BYTES: u64 = 4 << 20;

/// Most entries of an index that are opened because it does not say what platform they are for.
const UNTOLD: usize = 16;

/// Most bytes of manifests and configurations that one index makes us read; real ones have some hundred thousand.
const TOTAL_BYTES: u64 = 32 << 20;

/// What a reference stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Digest of the manifest or index the reference leads to.
    pub digest: Digest,
    /// It leads to one image's manifest, not to an index.
    pub is_manifest: bool,
    /// The index behind the tag, where the reference pins a lone manifest beside a tag.
    pub index_of_tag: Option<Digest>,
    /// The images in the order of the index; attestations are left out.
    pub images: Vec<ResolvedImage>,
}

/// One platform's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedImage {
    /// The platform its index names, or else its configuration.
    pub platform: Platform,
    /// Digest of its manifest.
    pub digest: Digest,
    /// Its configuration's bytes, where they were asked for or needed.
    pub config: Option<Bytes>,
}

/// Resolves references. Clones share what was read; what failed is asked for again.
#[derive(Clone)]
pub struct Resolver {
    registry: Registry,
    shared: Arc<Shared>,
}

struct Shared {
    cache: Option<ManifestCache>,
    roots: OnceMap<Reference, Option<RawManifest>>,
    heads: OnceMap<Reference, Option<ManifestHead>>,
    manifests: OnceMap<Digest, RawManifest>,
    configs: OnceMap<Digest, Bytes>,
}

impl Resolver {
    /// Returns a resolver that remembers on disk what it reads, if there is a cache.
    pub fn new(registry: Registry, cache: Option<ManifestCache>) -> Self {
        let shared = Shared {
            cache,
            roots: OnceMap::default(),
            heads: OnceMap::default(),
            manifests: OnceMap::default(),
            configs: OnceMap::default(),
        };
        Self { registry, shared: Arc::new(shared) }
    }

    /// Returns the client.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Resolves a reference, `latest` filled in; `None` if the registry does not have it. Configurations are read of the
    /// images that serve `configs` best.
    ///
    /// # Errors
    /// The registry cannot be asked, or what it sends cannot be trusted.
    pub async fn resolve(&self, reference: &Reference, configs: &[Platform]) -> Result<Option<Resolved>, ClientError> {
        let reference = reference.or_latest();
        let Some(root) = self.root(&reference).await? else { return Ok(None) };
        let digest = reference.digest().unwrap_or(root.digest()).clone();
        match view(&reference, &root)? {
            Manifest::Image(image) => {
                let config = self.config(&reference, &image).await?;
                let platform = platform_of(&reference, &config)?;
                let images = vec![ResolvedImage { platform, digest: digest.clone(), config: Some(config) }];
                let index_of_tag = self.index_of_tag(&reference).await;
                Ok(Some(Resolved { digest, is_manifest: true, index_of_tag, images }))
            }
            Manifest::Index(index) => {
                let images = self.images(&reference, &index.manifests, configs).await?;
                Ok(Some(Resolved { digest, is_manifest: false, index_of_tag: None, images }))
            }
        }
    }

    /// Returns the manifest or index a reference leads to; `None` if the registry does not have it.
    ///
    /// # Errors
    /// As [`Resolver::resolve`].
    pub async fn root(&self, reference: &Reference) -> Result<Option<RawManifest>, ClientError> {
        self.shared.roots.get_or_try_init(reference, self.read_root(reference).boxed()).await
    }

    async fn read_root(&self, reference: &Reference) -> Result<Option<RawManifest>, ClientError> {
        let told = match self.head(reference).await {
            Ok(None) => return Ok(None),
            Ok(Some(head)) => head.digest,
            // Some proxies know no HEAD; GET decides.
            Err(error) if matches!(error.kind(), ErrorKind::Rejected | ErrorKind::Protocol) => None,
            Err(error) => return Err(error),
        };
        let digest = reference.digest().cloned().or(told).filter(|digest| digest.hasher().is_ok());
        let read = match digest {
            Some(digest) => self.manifest(reference, &digest).await,
            None => self.registry.get_manifest(reference).boxed().await,
        };
        match read {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn head(&self, reference: &Reference) -> Result<Option<ManifestHead>, ClientError> {
        self.shared.heads.get_or_try_init(reference, self.registry.head_manifest(reference).boxed()).await
    }

    /// Reads a manifest of the reference's repository by digest.
    ///
    /// # Errors
    /// As [`Resolver::resolve`]; what is not there is an error here.
    pub async fn manifest(&self, reference: &Reference, digest: &Digest) -> Result<RawManifest, ClientError> {
        let read = async {
            if let Some(known) = self.cached(digest).await
                && let Some(manifest) = known.manifest()
            {
                return Ok(manifest);
            }
            let at = reference.with_digest(digest.clone());
            let manifest = self.registry.get_manifest(&at).await?;
            self.remember(digest, manifest.media_type(), manifest.bytes()).await;
            Ok(manifest)
        };
        // Boxed, here and above: the client's futures are large, and many of them would fill a thread's stack.
        self.shared.manifests.get_or_try_init(digest, read.boxed()).await
    }

    /// A pin of one platform's manifest often stands beside the tag it was copied from. Without an answer it stays unknown.
    async fn index_of_tag(&self, reference: &Reference) -> Option<Digest> {
        let (tag, _) = reference.tag().zip(reference.digest())?;
        let head = self.head(&reference.with_tag(tag)).await.ok()??;
        let is_index = head.media_type.as_deref().is_some_and(media_type::is_index);
        head.digest.filter(|_| is_index)
    }

    async fn images(
        &self,
        reference: &Reference,
        entries: &[Descriptor],
        configs: &[Platform],
    ) -> Result<Vec<ResolvedImage>, ClientError> {
        let known = |entry: &Descriptor| entry.platform.clone().filter(|platform| !platform.architecture.is_empty());
        let told: Vec<Platform> = entries.iter().filter_map(known).filter(|platform| !platform.is_unknown()).collect();
        let best = |wanted: &Platform| {
            told.iter().filter(|one| wanted.runs(one)).min_by_key(|one| wanted.preference(one)).cloned()
        };
        let wanted: Vec<Platform> = configs.iter().filter_map(best).collect();
        let (mut untold, mut opened) = (HashSet::new(), HashSet::new());
        let budget = AtomicU64::new(TOTAL_BYTES);
        let mut work = Vec::new();
        for entry in entries.iter().filter(|entry| media_type::is_manifest(&entry.media_type)) {
            match known(entry) {
                Some(platform) if platform.is_unknown() => {}
                Some(platform) => {
                    // The first of a platform wins; the others are only named.
                    let with_config = wanted.contains(&platform) && opened.insert(platform.clone());
                    work.push(self.image(reference, entry, (Some(platform), with_config), &budget).boxed());
                }
                None if untold.len() < UNTOLD && untold.insert(&entry.digest) => {
                    work.push(self.image(reference, entry, (None, true), &budget).boxed());
                }
                None => {}
            }
        }
        Ok(try_join_all(work).await?.into_iter().flatten().collect())
    }

    /// Returns an entry's image; none if it turns out to be something else.
    async fn image(
        &self,
        reference: &Reference,
        entry: &Descriptor,
        (platform, with_config): (Option<Platform>, bool),
        budget: &AtomicU64,
    ) -> Result<Option<ResolvedImage>, ClientError> {
        let digest = entry.digest.clone();
        let Some(platform) = platform.clone().filter(|_| !with_config) else {
            spend(reference, budget, entry.size)?;
            let manifest = self.manifest(reference, &digest).await?;
            spend(reference, budget, (manifest.bytes().len() as u64).saturating_sub(entry.size))?;
            let Manifest::Image(image) = view(reference, &manifest)? else { return Ok(None) };
            if !media_type::is_config(&image.config.media_type) {
                return Ok(None);
            }
            spend(reference, budget, image.config.size)?;
            let config = self.config(reference, &image).await?;
            let platform = platform.map_or_else(|| platform_of(reference, &config), Ok)?;
            return Ok(Some(ResolvedImage { platform, digest, config: Some(config) }));
        };
        Ok(Some(ResolvedImage { platform, digest, config: None }))
    }

    async fn config(&self, reference: &Reference, image: &ImageManifest) -> Result<Bytes, ClientError> {
        let descriptor = &image.config;
        if descriptor.size > CONFIG_BYTES {
            let fault = Fault::TooLarge { what: "image configuration", limit: CONFIG_BYTES };
            return Err(ClientError::at(reference.host(), fault));
        }
        let read = async {
            if let Some(known) = self.cached(&descriptor.digest).await {
                return Ok(known.bytes);
            }
            let mut download = self.registry.get_blob(reference, descriptor).await?;
            let mut bytes = Vec::new();
            while let Some(chunk) = download.chunk().await? {
                bytes.extend_from_slice(&chunk);
            }
            self.remember(&descriptor.digest, &descriptor.media_type, &bytes).await;
            Ok(Bytes::from(bytes))
        };
        self.shared.configs.get_or_try_init(&descriptor.digest, read.boxed()).await
    }

    async fn cached(&self, digest: &Digest) -> Option<cache::Entry> {
        self.shared.cache.as_ref()?.get(digest).await
    }

    async fn remember(&self, digest: &Digest, media_type: &str, bytes: &[u8]) {
        if let Some(cache) = &self.shared.cache {
            cache.put(digest, media_type, bytes).await;
        }
    }
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("registry", &self.registry).finish_non_exhaustive()
    }
}

fn view(reference: &Reference, manifest: &RawManifest) -> Result<Manifest, ClientError> {
    manifest.view().map_err(|error| ClientError::at(reference.host(), Fault::Manifest(error)))
}

/// Takes from what may still be read.
fn spend(reference: &Reference, budget: &AtomicU64, bytes: u64) -> Result<(), ClientError> {
    let spent = budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
    let fault = |_| Fault::TooLarge { what: "set of the index's manifests and configurations", limit: TOTAL_BYTES };
    spent.map(drop).map_err(|left| ClientError::at(reference.host(), fault(left)))
}

fn platform_of(reference: &Reference, config: &[u8]) -> Result<Platform, ClientError> {
    let bad = |error| ClientError::at(reference.host(), Fault::Protocol(format!("{error}")));
    ImageConfig::parse(config).map(|config| config.platform()).map_err(bad)
}
