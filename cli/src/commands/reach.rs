//! Reaching builders, and leaving them as they were. For every command that asks a daemon.

use futures::future::join_all;
use polyarch_builder::event::EventKind;
use polyarch_builder::event_sink::EventSink;
use polyarch_builder::limits::Limits;
use polyarch_builder::node::probe::Node;
use polyarch_builder::node::reach::Reach;
use tokio_util::sync::CancellationToken;

use crate::diagnostics::Diagnostic;

/// Reaches all builders at once.
///
/// # Errors
/// The first builder that does not answer; the others are left as they were.
pub async fn connect(
    builders: &[String],
    reach: Reach<'_>,
    cancel: &CancellationToken,
) -> Result<Vec<Node>, Diagnostic> {
    let work = join_all(builders.iter().map(|builder| reach.node(builder)));
    let reached = tokio::select! {
        reached = work => reached,
        () = cancel.cancelled() => return Err(Diagnostic::cancelled()),
    };
    let (mut nodes, mut failure) = (Vec::new(), None);
    for result in reached {
        match result {
            Ok(node) => nodes.push(node),
            Err(error) => failure = failure.or(Some(Diagnostic::from(error))),
        }
    }
    match failure {
        None => Ok(nodes),
        Some(failure) => {
            shut_down(nodes, reach.limits, reach.events).await;
            Err(failure)
        }
    }
}

/// Removes what was started. Failures are told; the next run sweeps what is left.
pub async fn shut_down(nodes: Vec<Node>, limits: &Limits, events: &EventSink) {
    let work = nodes.into_iter().filter_map(|node| node.dind).map(|dind| dind.shutdown());
    let done = tokio::time::timeout(limits.grace, join_all(work)).await;
    let failed = match done {
        Ok(results) => results.into_iter().any(|result| result.is_err()),
        Err(_) => true,
    };
    if failed {
        let message = "a Docker-in-Docker container could not be removed; the next run removes it".to_owned();
        events.send(EventKind::Notice { message });
    }
}
