//! How events leave the run.
//!
//! Owns: the clock of a run and the channel to its display. Never: blocks the run on a slow display
//! for byte progress; lifecycle events wait.

use std::time::Instant;

use polyarch_registry::oci::Platform;
use tokio::sync::mpsc;

use crate::event::{Event, EventKind};

/// Sends events of one run, stamped with the time since its start. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventSink {
    start: Instant,
    platform: Option<Platform>,
    sender: mpsc::UnboundedSender<Event>,
}

impl EventSink {
    /// Returns a sink and the receiver a display reads.
    ///
    /// The channel is unbounded: lifecycle events are few (a handful per vertex), log text is
    /// limited by the daemon (2 MiB a step), and byte progress is rate-limited at its source.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { start: Instant::now(), platform: None, sender }, receiver)
    }

    /// Returns a sink whose events belong to `platform`.
    #[must_use]
    pub fn for_platform(&self, platform: &Platform) -> Self {
        Self { platform: Some(platform.clone()), ..self.clone() }
    }

    /// Sends one event. A display that has gone away is not an error.
    pub fn send(&self, kind: EventKind) {
        let event = Event { at: self.start.elapsed(), platform: self.platform.clone(), kind };
        // The receiver is gone only when the display ended; the run goes on without it.
        let _ = self.sender.send(event);
    }
}
