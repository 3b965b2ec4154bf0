//! Publishing from the store, shared by `build` and `push`.

use std::sync::Arc;

use polyarch_builder::event::{Direction, EventKind, TransferHow};
use polyarch_builder::event_sink::EventSink;
use polyarch_registry::client::Registry;
use polyarch_registry::oci::{RawManifest, Reference};
use polyarch_registry::store::BlobStore;
use polyarch_registry::transfer::{
    Events, MountSources, Outcome, PARALLEL, Publication, Publisher, TransferEvent, TransferKind,
};

use crate::console::Console;
use crate::diagnostics::Diagnostic;
use crate::report::result::TagOutcome;
use crate::report::{BuildReport, Mode, metadata, summary};

/// Returns a publisher whose progress goes to a run's events.
pub fn publisher(registry: Registry, store: Arc<dyn BlobStore>, sink: EventSink) -> Publisher {
    Publisher { registry, store, events: events(sink), parallel: PARALLEL }
}

/// Publishes a root under tags and returns what became of each.
pub async fn publish(
    publisher: &Publisher,
    root: RawManifest,
    tags: &[Reference],
) -> (Vec<TagOutcome>, Vec<Diagnostic>) {
    let publication = Publication { root, destinations: tags.to_vec(), mounts: MountSources::new() };
    outcomes(publisher.publish(&publication).await)
}

/// Turns a publisher's outcomes into rows of the report, and each different failure into a diagnostic.
pub fn outcomes(outcomes: Vec<Outcome>) -> (Vec<TagOutcome>, Vec<Diagnostic>) {
    let mut diagnostics: Vec<Diagnostic> = Vec::new();
    let rows = outcomes.into_iter().map(|outcome| {
        let result = match outcome.result {
            Ok(published) => Ok(published.digest),
            Err(error) => {
                let diagnostic = Diagnostic::from(&*error);
                // The rest of the chain is told once, with the diagnostic.
                let reason = diagnostic.chain.first().cloned().unwrap_or_default();
                if !diagnostics.contains(&diagnostic) {
                    diagnostics.push(diagnostic);
                }
                Err(reason)
            }
        };
        TagOutcome { reference: outcome.destination.to_string(), result }
    });
    (rows.collect(), diagnostics)
}

/// Translates a transfer's events into a run's.
pub fn events(sink: EventSink) -> Events {
    Arc::new(move |event: TransferEvent| {
        if let Some(kind) = translate(event) {
            sink.send(kind);
        }
    })
}

fn translate(event: TransferEvent) -> Option<EventKind> {
    let direction = Direction::ToRegistry;
    Some(match event.kind {
        TransferKind::BlobSending { digest, sent, size } => {
            EventKind::Transfer { digest, direction, current: sent, total: size }
        }
        TransferKind::BlobSent { digest, .. } => EventKind::TransferDone { digest, direction, how: TransferHow::Sent },
        TransferKind::BlobPresent { digest, .. } => {
            EventKind::TransferDone { digest, direction, how: TransferHow::Present }
        }
        TransferKind::BlobMounted { digest, .. } => {
            EventKind::TransferDone { digest, direction, how: TransferHow::Mounted }
        }
        TransferKind::TagMoved { tag, digest } | TransferKind::TagUnchanged { tag, digest } => {
            EventKind::TagMoved { reference: format!("{}:{tag}", event.repository), digest }
        }
        TransferKind::Retry(notice) => {
            EventKind::Retry { what: notice.request, reason: notice.detail, wait: notice.delay }
        }
        TransferKind::BlobReceiving { digest, received, size } => {
            EventKind::Transfer { digest, direction: Direction::IntoStore, current: received, total: size }
        }
        TransferKind::BlobReceived { digest, .. } => {
            EventKind::TransferDone { digest, direction: Direction::IntoStore, how: TransferHow::Sent }
        }
        TransferKind::ManifestPushed { .. } | TransferKind::ManifestVerified { .. } => return None,
    })
}

/// Writes the result to stdout: the summary, the metadata document, or the digest alone.
///
/// # Errors
/// stdout cannot be written.
pub fn tell(console: &Console, mode: Mode, report: &BuildReport) -> Result<(), Diagnostic> {
    match mode {
        Mode::Quiet => match &report.root {
            Some(root) => console.result(format!("{}\n", root.digest)),
            None => Ok(()),
        },
        Mode::Json => console.result(format!("{}\n", metadata::document(report))),
        Mode::Tty | Mode::Plain => console.result(summary::render(report, console.out)),
    }
}
