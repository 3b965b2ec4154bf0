//! Building on a daemon that sends content by digest: containerd image stores and standalone buildkitd. One of them that
//! cannot, because it is too old or does not offer it, sends a tar.
//!
//! Owns: the solve with the session's content store behind it, and reading its result back out of our store.
//! Never: trusts what the daemon says of the result beyond the digest to start from.

use std::sync::{Arc, Mutex, PoisonError};

use futures::future::BoxFuture;
use polyarch_registry::oci::index_builder::REFERENCE_TYPE;
use polyarch_registry::oci::{Descriptor, Manifest, Platform, RawManifest, media_type};
use polyarch_registry::store::{BlobStoreExt, LayoutStore};
use tokio_util::sync::CancellationToken;

use super::arrivals::Arrivals;
use super::check;
use super::dispatch::Executor;
use super::outcome::{Built, PlatformError};
use crate::buildkit::attrs::{SessionNames, entitlements, frontend_attrs};
use crate::buildkit::export::ImageOptions;
use crate::buildkit::solve::new_ref;
use crate::buildkit::{CallAnswer, CallSpec, Export, Session, SolveError, SolveOutcome, SolveSpec, Worker};
use crate::cache::exports;
use crate::event::EventKind;
use crate::event_sink::EventSink;
use crate::image::{Attestation, BuiltImage};
use crate::request::BuildRequest;
use crate::steps::Steps;

/// One node's BuildKit with an open session; shared by every platform built there.
pub struct NodeSession {
    /// The daemon's BuildKit.
    pub worker: Worker,
    /// The session all solves of this node share: the context is sent once.
    pub session: Session,
    /// What the session's contexts are called.
    pub names: SessionNames,
    /// What to build.
    pub request: Arc<BuildRequest>,
    /// Where results go.
    pub store: Arc<LayoutStore>,
    /// What comes into the store.
    pub arrivals: Arc<Arrivals>,
    /// Largest manifest or config, in bytes.
    pub manifest_bytes: u64,
    /// Whether several platforms are built, which then export their caches apart from each other.
    pub is_alone: bool,
    /// Manifests of the caches that platforms exported.
    pub caches: Mutex<Vec<Descriptor>>,
}

/// What the answer to a solve calls the manifest of an exported cache (BuildKit `exporter/exptypes`).
const CACHE_MANIFEST: &str = "cache.manifest";

impl NodeSession {
    /// Solves one platform with this export, until done or cancelled. Where the daemon's cache has lost a snapshot, which
    /// no repetition would bring back, the platform is solved once more without the cache.
    ///
    /// # Errors
    /// [`PlatformError::Solve`] or [`PlatformError::Cancelled`].
    pub async fn solve(
        &self,
        platform: &Platform,
        export: Export,
        events: &EventSink,
        cancel: &CancellationToken,
    ) -> Result<SolveOutcome, PlatformError> {
        let spec = SolveSpec {
            reference: new_ref(),
            frontend_attrs: frontend_attrs(&self.request, platform, &self.names)?,
            export,
            cache_exports: exports(&self.request.cache_to, platform, self.is_alone),
            entitlements: entitlements(&self.request),
        };
        // Dropping the solve is what cancels it at the daemon.
        let outcome = tokio::select! {
            outcome = self.solve_or_repair(spec, events) => outcome.map_err(|source| solve_error(platform, source)),
            () = cancel.cancelled() => Err(PlatformError::Cancelled),
        }?;
        if let Some(cache) =
            outcome.exporter_response.get(CACHE_MANIFEST).and_then(|text| serde_json::from_str(text).ok())
        {
            self.caches.lock().unwrap_or_else(PoisonError::into_inner).push(cache);
        }
        Ok(outcome)
    }

    async fn solve_or_repair(&self, spec: SolveSpec, events: &EventSink) -> Result<SolveOutcome, SolveError> {
        match self.worker.solve(&self.session, spec.clone(), events).await {
            Err(error) if error.is_damaged_cache() => {
                tracing::debug!(%error, "solving without the cache");
                let message = "the daemon's build cache has lost a snapshot; building once more without the cache";
                events.send(EventKind::Notice { message: message.to_owned() });
                self.worker.solve(&self.session, spec.without_cache(), events).await
            }
            outcome => outcome,
        }
    }

    /// Asks the frontend about one platform: `lint`, `outline` or `targets`.
    ///
    /// # Errors
    /// [`PlatformError::Solve`] or [`PlatformError::Cancelled`].
    pub async fn ask(
        &self,
        platform: &Platform,
        method: &str,
        events: &EventSink,
        cancel: &CancellationToken,
    ) -> Result<CallAnswer, PlatformError> {
        let spec = CallSpec {
            reference: new_ref(),
            frontend_attrs: frontend_attrs(&self.request, platform, &self.names)?,
            method: method.to_owned(),
        };
        tokio::select! {
            answer = self.worker.call(&self.session, spec, events) => answer.map_err(|source| solve_error(platform, source)),
            () = cancel.cancelled() => Err(PlatformError::Cancelled),
        }
    }
}

impl NodeSession {
    /// Where results of this node are checked.
    pub(super) fn place(&self) -> check::Place<'_> {
        check::Place { store: &self.store, arrivals: &self.arrivals, config_bytes: self.manifest_bytes }
    }
}

pub(super) fn solve_error(platform: &Platform, source: SolveError) -> PlatformError {
    match source {
        SolveError::Cancelled => PlatformError::Cancelled,
        source => PlatformError::Solve { platform: platform.clone(), source: Box::new(source) },
    }
}

/// Builds on a daemon whose result comes through the session: by digest into the content service, or where the daemon
/// cannot do that as a tar.
pub struct ContentExecutor {
    node: Arc<NodeSession>,
    by_digest: bool,
}

impl ContentExecutor {
    /// Builds with this session. `by_digest` says whether the daemon is thought to send content by digest.
    pub fn new(node: Arc<NodeSession>, by_digest: bool) -> Self {
        Self { node, by_digest }
    }

    /// Solves by digest, and a second time, from the daemon's cache, where the export may be what failed: daemons do not
    /// say what they lack. If something else was wrong, it is wrong again.
    async fn solve(
        &self,
        platform: &Platform,
        events: &EventSink,
        cancel: &CancellationToken,
    ) -> Result<SolveOutcome, PlatformError> {
        let options = ImageOptions::of(&self.node.request, platform);
        let tar = self.node.solve(platform, Export::OciTar(options.clone()), events, cancel);
        if !self.by_digest {
            return tar.await;
        }
        match self.node.solve(platform, Export::OciDirectory(options), events, cancel).await {
            Err(PlatformError::Solve { source, .. }) if source.may_be_the_export() => {
                let outcome = tar.await?;
                let message =
                    format!("the daemon does not send its result by digest ({source}); it came whole, as a tar");
                events.send(EventKind::Notice { message });
                Ok(outcome)
            }
            done => done,
        }
    }

    /// The result's manifest or index. Old daemons tell its digest alone.
    async fn root(&self, platform: &Platform, outcome: &SolveOutcome) -> Result<Descriptor, PlatformError> {
        let none = || solve_error(platform, SolveError::BadAnswer { key: "containerimage.descriptor" });
        if let Some(root) = &outcome.root {
            return Ok(root.clone());
        }
        let digest = outcome.digest.as_ref().ok_or_else(none)?;
        let bytes = self.node.store.read_bytes(digest, self.node.manifest_bytes).await?;
        let told = serde_json::from_slice::<Typed>(&bytes).map_err(|_| none())?;
        let media_type = told.media_type.unwrap_or_else(|| media_type::OCI_MANIFEST.to_owned());
        Ok(RawManifest::new(media_type, bytes).descriptor())
    }
}

/// What a manifest says that it is; OCI's need not.
#[derive(serde::Deserialize)]
struct Typed {
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
}

impl Executor for ContentExecutor {
    fn build<'a>(
        &'a self,
        platform: &'a Platform,
        events: &'a EventSink,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Built, PlatformError>> {
        Box::pin(async move {
            let outcome = self.solve(platform, events, cancel).await?;
            let collecting = async {
                let root = self.root(platform, &outcome).await?;
                collect(&self.node, platform, &root, outcome.steps.clone()).await
            };
            let collected = tokio::select! {
                collected = collecting => collected?,
                () = cancel.cancelled() => return Err(PlatformError::Cancelled),
            };
            Ok(collected.into())
        })
    }
}

/// Reads the result back from the store and checks it.
async fn collect(
    node: &NodeSession,
    platform: &Platform,
    root: &Descriptor,
    steps: Steps,
) -> Result<BuiltImage, PlatformError> {
    let found = find(node, platform, root, steps).await?;
    check::image(&node.place(), platform, found).await
}

/// Reads the manifests of a result from the store; layers need not be there.
pub(super) async fn find(
    node: &NodeSession,
    platform: &Platform,
    root: &Descriptor,
    steps: Steps,
) -> Result<check::Found, PlatformError> {
    let reader = Reader { node, platform };
    let raw = reader.manifest(root).await?;
    let (manifest, attestations) = match reader.view(&raw)? {
        Manifest::Image(_) => (raw, Vec::new()),
        Manifest::Index(index) => reader.flatten(&index.manifests).await?,
    };
    Ok(check::Found { manifest, attestations, steps })
}

struct Reader<'a> {
    node: &'a NodeSession,
    platform: &'a Platform,
}

impl Reader<'_> {
    async fn manifest(&self, descriptor: &Descriptor) -> Result<RawManifest, PlatformError> {
        let bytes = self.node.store.read_bytes(&descriptor.digest, self.node.manifest_bytes).await?;
        Ok(RawManifest::new(descriptor.media_type.clone(), bytes))
    }

    fn view(&self, raw: &RawManifest) -> Result<Manifest, PlatformError> {
        raw.view().map_err(|error| self.problem(format!("{}: {error}", raw.digest())))
    }

    fn problem(&self, problem: String) -> PlatformError {
        PlatformError::Verification { platform: self.platform.clone(), problems: vec![problem] }
    }

    /// An image with attestations comes as an index: one image, the rest attestation manifests.
    async fn flatten(&self, children: &[Descriptor]) -> Result<(RawManifest, Vec<Attestation>), PlatformError> {
        let (mut images, mut attestations) = (Vec::new(), Vec::new());
        for descriptor in children {
            let manifest = self.manifest(descriptor).await?;
            if is_attestation(descriptor) {
                attestations.push(Attestation { descriptor: descriptor.clone(), manifest });
            } else {
                images.push(manifest);
            }
        }
        match (images.pop(), images.is_empty()) {
            (Some(image), true) => Ok((image, attestations)),
            (first, _) => {
                let count = images.len() + usize::from(first.is_some());
                Err(self.problem(format!("the daemon's index has {count} images, expected 1")))
            }
        }
    }
}

fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.annotations.contains_key(REFERENCE_TYPE)
        || (media_type::is_manifest(&descriptor.media_type)
            && descriptor.platform.as_ref().is_some_and(Platform::is_unknown))
}
