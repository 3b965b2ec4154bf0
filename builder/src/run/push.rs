//! Building where the daemon pushes the result itself, for a builder far away from here (`--transfer daemon`).
//!
//! Owns: the push by digest, and reading manifests and configs back into our store, verified. The daemon pushes into
//! every repository, for layers copied from one registry to another would have to pass through this machine after
//! all; manifests are read back from the first, and the others are compared when they are published.
//! Never: moves a tag, or fetches a layer.

use std::sync::Arc;

use futures::future::BoxFuture;
use polyarch_registry::oci::{Platform, Reference};
use polyarch_registry::transfer::{Depth, Puller};
use tokio_util::sync::CancellationToken;

use super::check;
use super::content::{NodeSession, find, solve_error};
use super::dispatch::Executor;
use super::outcome::{Built, PlatformError};
use crate::buildkit::export::ImageOptions;
use crate::buildkit::{Export, SolveError, SolveOutcome};
use crate::event_sink::EventSink;
use crate::image::BuiltImage;

/// Where the daemon pushes to.
#[derive(Debug, Clone)]
pub struct PushTarget {
    first: Reference,
    names: Vec<String>,
    insecure: bool,
}

impl PushTarget {
    /// Takes the repositories of these destinations, each once; `None` if there is no destination. `insecure` allows
    /// plain HTTP and unverified TLS for all of them: BuildKit knows one such switch per export.
    pub fn new(destinations: &[Reference], insecure: bool) -> Option<Self> {
        let first = destinations.first()?.clone();
        let mut names = Vec::new();
        for name in destinations.iter().map(Reference::name) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Some(Self { first, names, insecure })
    }
}

/// Builds, with the daemon pushing.
pub struct PushExecutor {
    /// The node's BuildKit and session.
    pub node: Arc<NodeSession>,
    /// Where the daemon pushes to.
    pub target: PushTarget,
    /// Reads back, into the node's store.
    pub puller: Puller,
}

impl Executor for PushExecutor {
    fn build<'a>(
        &'a self,
        platform: &'a Platform,
        events: &'a EventSink,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<Built, PlatformError>> {
        Box::pin(async move {
            let export = Export::ImagePush {
                repositories: self.target.names.clone(),
                options: ImageOptions::of(&self.node.request, platform),
                insecure: self.target.insecure,
            };
            let outcome = self.node.solve(platform, export, events, cancel).await?;
            tokio::select! {
                built = self.read_back(platform, outcome) => built.map(Built::from),
                () = cancel.cancelled() => Err(PlatformError::Cancelled),
            }
        })
    }
}

impl PushExecutor {
    async fn read_back(&self, platform: &Platform, outcome: SolveOutcome) -> Result<BuiltImage, PlatformError> {
        let no_digest = || solve_error(platform, SolveError::BadAnswer { key: "containerimage.digest" });
        let at = self.target.first.with_digest(outcome.digest.ok_or_else(no_digest)?);
        let pulled = self.puller.pull(&at, Depth::Configs).await;
        let failed = |source| PlatformError::ReadBack { platform: platform.clone(), source: Box::new(source) };
        let root = pulled.map_err(failed)?.manifests.pop().ok_or_else(no_digest)?;
        let found = find(&self.node, platform, &root.manifest.descriptor(), outcome.steps).await?;
        check::manifests(&self.node.store, platform, found, self.node.manifest_bytes).await
    }
}
