//! From settings to a finished run: nodes, plan, solves, index, outputs.
//!
//! Owns: the order of these steps and what ends a build early. Never: builds or publishes by itself; the libraries do.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use polyarch_builder::event::EventKind;
use polyarch_builder::event_sink::EventSink;
use polyarch_builder::limits::Limits;
use polyarch_builder::node::probe::Node;
use polyarch_builder::request::BuildRequest;
use polyarch_registry::client::Registry;
use polyarch_registry::oci::{Platform, Reference};
use polyarch_registry::store::LayoutStore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::call::{self, Answers};
use super::planning::Place;
use super::preflight::Ahead;
use super::solve::Solved;
use super::{Done, daemon_push, keep, nodes, outputs, planning, report, solve};
use crate::commands::last_build::{self, Identity};
use crate::commands::planning::locked::Pins;
use crate::commands::{Context, notes};
use crate::diagnostics::Diagnostic;
use crate::settings::call::Question;
use crate::settings::{BuildSettings, GlobalSettings};

/// What the steps of a build share.
pub(super) struct Means<'a> {
    pub(super) context: &'a Context,
    pub(super) settings: &'a BuildSettings,
    pub(super) store: Arc<LayoutStore>,
    /// One client for all, so that connections and tokens are shared.
    pub(super) registry: Registry,
    pub(super) limits: Limits,
    pub(super) events: EventSink,
    /// Cancelled with the context, and by what was found out about images.
    pub(super) stop: CancellationToken,
    /// References the lock file pins.
    pub(super) pins: OnceLock<Pins>,
    pub(super) ahead: Option<Ahead>,
}

impl Means<'_> {
    /// The request, with what the lock file pins.
    pub(super) fn request(&self) -> BuildRequest {
        let mut request = self.settings.request.clone();
        if let Some(pins) = self.pins.get() {
            pins.apply(&mut request);
        }
        request
    }
}

fn means<'a>(
    context: &'a Context,
    settings: &'a BuildSettings,
    store: Arc<LayoutStore>,
    events: EventSink,
) -> Means<'a> {
    let registry = Registry::new(settings.registries.clone());
    let (limits, stop) = (Limits::default(), context.cancel.child_token());
    Means { context, settings, store, registry, limits, events, stop, pins: OnceLock::new(), ahead: None }
}

/// Does some work on the nodes, which are left as they were whatever comes of it.
async fn with_nodes<T>(
    means: &Means<'_>,
    work: impl AsyncFnOnce(&Means<'_>, &[Node]) -> Result<T, Diagnostic>,
) -> Result<T, Diagnostic> {
    let nodes = nodes::connect(means).await?;
    let result = work(means, &nodes).await;
    nodes::shut_down(nodes, means).await;
    result
}

/// Asks the frontend instead of building.
///
/// # Errors
/// No node, or no answer.
pub async fn ask(
    settings: &BuildSettings,
    question: Question,
    global: &GlobalSettings,
    context: &Context,
    sink: EventSink,
) -> Result<Answers, Diagnostic> {
    let store = Arc::new(LayoutStore::open(&global.store).await?);
    let means = means(context, settings, store, sink);
    with_nodes(&means, async |means, nodes| call::ask(means, nodes, question).await).await
}

/// Runs the build. `context.cancel` reaches every platform; what finished is in the report all the same.
///
/// # Errors
/// The run could not begin: no node, no store, no plan.
pub async fn execute(
    settings: &BuildSettings,
    global: &GlobalSettings,
    context: &Context,
    sink: EventSink,
) -> Result<Done, Diagnostic> {
    let start = Instant::now();
    let store = LayoutStore::open(&global.store).await?;
    // Nobody may collect what this build is about to name.
    let _lease = store.lease().await?;
    let mut means = means(context, settings, Arc::new(store), sink);
    means.ahead = Ahead::start(settings, &means.registry, &global.store);
    let mut done = with_nodes(&means, on_nodes).await?;
    done.report.elapsed = start.elapsed();
    let hosts: BTreeSet<&str> = settings.tags.iter().map(Reference::host).collect();
    done.notes = hosts.into_iter().map(|host| notes::of(&means.registry, host)).collect();
    if let Some(identity) = Identity::of_build(&settings.request) {
        last_build::keep(&global.store, &identity, &done.report.platforms);
    }
    means.events.send(EventKind::RunFinished { elapsed: done.report.elapsed });
    Ok(done)
}

async fn on_nodes(means: &Means<'_>, nodes: &[Node]) -> Result<Done, Diagnostic> {
    let platforms = planning::platforms(means.settings, nodes)?;
    means.events.send(EventKind::RunStarted { platforms: platforms.clone() });
    let places = planning::plan(means, nodes, &platforms).await?;
    nodes::check_features(means, nodes, &places)?;
    daemon_push::check(means, nodes, &places)?;
    let (prepared, mut solved) = unless_refused(means, nodes, &platforms, &places).await?;
    let errors = std::mem::take(&mut solved.cache_errors);
    let mut done =
        Done { report: report::of(&solved.outcomes, daemon_push::verified(means)), errors, ..Done::default() };
    match solved.is_complete() {
        // What was done before an error is told all the same: a tag may have moved.
        true => {
            let produced = outputs::produce(means, (nodes, &places), (&prepared, solved), &mut done).await;
            done.errors.extend(produced.err());
        }
        false => keep::partial(means, &solved, &mut done.report).await?,
    }
    Ok(done)
}

/// Time the look at the images gets to explain a build that failed before it was done.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Prepares the outputs and solves, unless an image turns out to be missing meanwhile.
async fn unless_refused(
    means: &Means<'_>,
    nodes: &[Node],
    platforms: &[Platform],
    places: &[Place],
) -> Result<(outputs::Prepared, Solved), Diagnostic> {
    let mut work = pin!(async {
        let prepared = outputs::prepare(means, nodes, platforms).await?;
        Ok((prepared, solve::all(means, nodes, places).await?))
    });
    let Some(ahead) = &means.ahead else { return work.await };
    let mut looking = pin!(ahead.refusal(means, nodes, platforms));
    let said = tokio::select! {
        biased;
        said = &mut looking => said,
        done = &mut work => {
            // A builder that stumbled over the same image first must not change what the user is told.
            let is_fruitless = matches!(&done, Ok((_, solved)) if solved.images().is_empty() && !solved.is_complete());
            let said = if is_fruitless { timeout(LAST_WORD, looking).await.ok().flatten() } else { None };
            return said.map_or(done, Err);
        }
    };
    let Some(refusal) = said else { return work.await };
    means.stop.cancel();
    // Whatever comes of it: it only cleans up.
    drop(work.await);
    Err(refusal)
}
