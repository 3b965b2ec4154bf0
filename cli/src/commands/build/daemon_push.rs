//! `--transfer daemon`: who pushes, and what can be said of the result.

use std::sync::Arc;

use polyarch_builder::node::facts::ImageStore;
use polyarch_builder::node::probe::Node;
use polyarch_builder::run::content::NodeSession;
use polyarch_builder::run::push::{PushExecutor, PushTarget};
use polyarch_registry::client::Registry;
use polyarch_registry::store::BlobStore;
use polyarch_registry::transfer::{Events, PARALLEL, Puller, TransferEvent, TransferKind};

use super::execute::Means;
use super::planning::Place;
use crate::commands::publish;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::report::result::Verified;
use crate::settings::transfer::Way;

/// Refuses nodes that cannot push by digest, before anything is sent.
pub(super) fn check(means: &Means<'_>, nodes: &[Node], places: &[Place]) -> Result<(), Diagnostic> {
    let chosen = places.iter().map(|place| &nodes[place.node]);
    let classic = chosen.into_iter().find(|node| node.facts.store == ImageStore::Classic);
    match (means.settings.transfer, classic) {
        (Way::Daemon { .. }, Some(node)) => {
            let (name, version) = (&node.name, &node.facts.version);
            let text = format!(
                "--transfer daemon cannot be done by {name} ({version}); it needs Docker's containerd image store or \
                 a standalone BuildKit"
            );
            Err(Diagnostic::message(ExitCode::Plan, text).hint("leave --transfer out, or choose another --builder"))
        }
        _ => Ok(()),
    }
}

/// Returns the executor whose daemon pushes, if that is the way.
pub(super) fn executor(means: &Means<'_>, session: &Arc<NodeSession>) -> Option<PushExecutor> {
    let Way::Daemon { insecure } = means.settings.transfer else { return None };
    let target = PushTarget::new(&means.settings.tags, insecure)?;
    let puller = Puller {
        registry: Registry::new(means.settings.registries.clone()),
        store: means.store.clone() as Arc<dyn BlobStore>,
        events: retries(means),
        parallel: PARALLEL,
    };
    Some(PushExecutor { node: Arc::clone(session), target, puller })
}

/// Configs are small and on no one's mind; that a registry makes us wait is.
fn retries(means: &Means<'_>) -> Events {
    let all = publish::events(means.events.clone());
    Arc::new(move |event: TransferEvent| {
        if matches!(event.kind, TransferKind::Retry(_)) {
            all(event);
        }
    })
}

/// What was recomputed here.
pub(super) fn verified(means: &Means<'_>) -> Verified {
    match means.settings.transfer {
        Way::Store => Verified::Everything,
        Way::Daemon { .. } => Verified::Manifests,
    }
}
