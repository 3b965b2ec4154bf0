//! Solving every platform: one session per node, one solve per platform.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex};

use polyarch_builder::buildkit::session::FileSend;
use polyarch_builder::classic::sweep;
use polyarch_builder::node::facts::{Feature, ImageStore};
use polyarch_builder::node::probe::Node;
use polyarch_builder::run::arrivals::{Arrivals, OnLayer, Watched};
use polyarch_builder::run::classic::ClassicExecutor;
use polyarch_builder::run::content::ContentExecutor;
use polyarch_builder::run::content::NodeSession;
use polyarch_builder::run::dispatch::Control;
use polyarch_builder::run::files::CacheExecutor;
use polyarch_builder::run::session::{SessionParts, open};
use polyarch_builder::run::tar_import::TarImport;
use polyarch_builder::run::{BuiltImage, Executor, Job, OnFailure, PlatformOutcome, dispatch};
use polyarch_registry::oci::Platform;
use polyarch_registry::store::BlobStore;

use super::early::Early;
use super::execute::Means;
use super::planning::Place;
use super::{auth, cache, daemon_push, nodes};
use crate::diagnostics::Diagnostic;
use crate::settings::build::OnFailure as UserChoice;
use crate::settings::output::only_files;
use crate::settings::transfer::Way;

/// What solving came to.
pub(super) struct Solved {
    /// The platforms, in the order asked for.
    pub(super) platforms: Vec<Platform>,
    /// One per platform.
    pub(super) outcomes: Vec<PlatformOutcome>,
    /// Why caches are not where they were asked for.
    pub(super) cache_errors: Vec<Diagnostic>,
    /// Blobs that are on their way to registries already.
    pub(super) early: Option<Early>,
}

impl Solved {
    /// Whether every platform was built.
    pub(super) fn is_complete(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.result.is_ok())
    }

    /// Returns the images.
    pub(super) fn images(&self) -> Vec<BuiltImage> {
        self.outcomes.iter().filter_map(|outcome| outcome.result.as_ref().ok()?.image().cloned()).collect()
    }
}

/// Solves all platforms.
pub(super) async fn all(means: &Means<'_>, nodes: &[Node], places: &[Place]) -> Result<Solved, Diagnostic> {
    let early = Early::new(means);
    let arrivals = arrivals(means, early.clone());
    let mut sessions = BTreeMap::new();
    for place in places {
        if let Entry::Vacant(vacant) = sessions.entry(place.node) {
            let is_alone = places.len() == 1;
            vacant.insert(Arc::new(session(means, &nodes[place.node], &arrivals, is_alone).await?));
        }
    }
    let mut executors = BTreeMap::new();
    for (node, session) in &sessions {
        executors.insert(*node, executor(means, &nodes[*node], session).await);
    }
    let jobs = places.iter().map(|place| Job {
        platform: place.platform.clone(),
        node: nodes[place.node].name.clone(),
        builder: nodes[place.node].builder.clone(),
        executor: Arc::clone(&executors[&place.node]),
    });
    let pusher = early.clone();
    let control = Control {
        on_failure: match means.settings.on_failure {
            UserChoice::Finish => OnFailure::Finish,
            UserChoice::Stop => OnFailure::CancelOthers,
        },
        cancel: means.stop.clone(),
        grace: means.limits.grace,
        on_built: Arc::new(move |image| {
            if let Some(pusher) = &pusher {
                pusher.push(image);
            }
        }),
    };
    let starting = async {
        if let Some(early) = &early {
            early.start(means, places).await;
        }
    };
    let (outcomes, ()) = tokio::join!(dispatch(jobs.collect(), &control, &means.events), starting);
    drop(executors);
    let cache_errors = match means.stop.is_cancelled() {
        true => Vec::new(),
        false => cache::join(means, sessions.values(), &outcomes).await,
    };
    close(sessions.into_values()).await;
    let platforms = places.iter().map(|place| place.platform.clone()).collect();
    Ok(Solved { platforms, outcomes, cache_errors, early })
}

/// Ends sessions nobody uses any more: the daemons let go of what they hold for them.
pub(super) async fn close(sessions: impl Iterator<Item = Arc<NodeSession>>) {
    for session in sessions.filter_map(Arc::into_inner) {
        session.session.close().await;
    }
}

/// Watches the store. A layer is on its way to the registries while the rest of its image is still exported: without a
/// manifest that names it, nobody sees it there.
pub(super) fn arrivals(means: &Means<'_>, early: Option<Early>) -> Arc<Arrivals> {
    let on_layer: OnLayer = Arc::new(move |layer, growing| {
        if let Some(pusher) = &early {
            pusher.push_blob(layer, growing);
        }
    });
    Arc::new(Arrivals::new(Arc::clone(&means.store), on_layer))
}

async fn executor(means: &Means<'_>, node: &Node, session: &Arc<NodeSession>) -> Arc<dyn Executor> {
    let session = Arc::clone(session);
    if only_files(&means.settings.outputs) {
        return Arc::new(CacheExecutor(session));
    }
    match &node.docker {
        Some(docker) if node.facts.store == ImageStore::Classic => {
            // What a killed process left; a daemon that refuses to list is no reason not to build.
            let swept = sweep(docker).await;
            tracing::debug!(?swept, node = node.name, "temporary tags of dead processes");
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            Arc::new(ClassicExecutor { node: session, docker: docker.clone(), threads })
        }
        _ => match daemon_push::executor(means, &session) {
            Some(pushing) => Arc::new(pushing),
            None => Arc::new(ContentExecutor::new(session, node.facts.features.has(Feature::ContentExport))),
        },
    }
}

/// Whether the daemon sends its result's blobs through the session.
fn takes_content(means: &Means<'_>, node: &Node) -> bool {
    means.settings.transfer == Way::Store && node.facts.store != ImageStore::Classic
}

/// Opens a node's session, which serves what the request names.
pub(super) async fn session(
    means: &Means<'_>,
    node: &Node,
    arrivals: &Arc<Arrivals>,
    is_alone: bool,
) -> Result<NodeSession, Diagnostic> {
    let watched = takes_content(means, node).then(|| Arc::new(Watched(Arc::clone(arrivals))) as Arc<dyn BlobStore>);
    let files = watched
        .clone()
        .map_or(FileSend::None, |store| FileSend::Bytes(Arc::new(TarImport { store, events: means.events.clone() })));
    let parts = SessionParts {
        worker: &node.worker,
        auth: auth::of(means.settings),
        export: watched,
        files,
        events: &means.events,
    };
    let request = nodes::request_for(means, node);
    let (session, names) = open(&request, parts).await?;
    Ok(NodeSession {
        worker: node.worker.clone(),
        session,
        names,
        request: Arc::new(request),
        store: Arc::clone(&means.store),
        arrivals: Arc::clone(arrivals),
        manifest_bytes: means.limits.manifest_bytes,
        is_alone,
        caches: Mutex::default(),
    })
}
