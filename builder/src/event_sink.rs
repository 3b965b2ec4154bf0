//! How events leave the run.
//!
//! Owns: the clock of a run, the channel to its display, and how often byte progress is told. Never: waits for a display,
//! drops a lifecycle event.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use polyarch_registry::oci::Platform;
use tokio::sync::mpsc;

use crate::event::{Event, EventKind};

/// Least time between two values of one progress.
const INTERVAL: Duration = Duration::from_millis(100);
/// Progresses remembered before those that no longer matter are forgotten.
const FORGET_AT: usize = 1024;

/// Sends events of one run, stamped with the time since its start. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventSink {
    start: Instant,
    platform: Option<Platform>,
    sender: mpsc::UnboundedSender<Event>,
    pace: Arc<Mutex<Pace>>,
}

impl EventSink {
    /// Returns a sink and the receiver a display reads.
    ///
    /// The channel is unbounded: lifecycle events are few (a handful per vertex), log text is limited by the daemon
    /// (2 MiB a step), and of byte progress the sink passes on one value per key and 100 ms, and those that complete it.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { start: Instant::now(), platform: None, sender, pace: Arc::default() }, receiver)
    }

    /// Returns a sink whose events belong to `platform`.
    #[must_use]
    pub fn for_platform(&self, platform: &Platform) -> Self {
        Self { platform: Some(platform.clone()), ..self.clone() }
    }

    /// Sends one event, unless it is byte progress that follows too soon; the last value of a vertex is sent when it ends.
    /// A display that has gone away is not an error.
    pub fn send(&self, kind: EventKind) {
        let due = {
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            let mut due = pace.last_values(self.platform.as_ref(), &kind);
            due.extend(pace.admits(self.platform.as_ref(), &kind, Instant::now()).then_some(kind));
            due
        };
        for kind in due {
            let event = Event { at: self.start.elapsed(), platform: self.platform.clone(), kind };
            // The receiver is gone only when the display ended; the run goes on without it.
            let _ = self.sender.send(event);
        }
    }
}

/// When each progress was told last.
#[derive(Debug, Default)]
struct Pace {
    /// Makes numbers of keys: two keys with one number only slow each other down.
    hasher: RandomState,
    told: HashMap<u64, Instant>,
    /// The newest value of each vertex's progress that was not told.
    held: HashMap<u64, (Option<Platform>, EventKind)>,
    forget_at: usize,
}

impl Pace {
    /// Takes what was held back of a vertex that ends with this event.
    fn last_values(&mut self, platform: Option<&Platform>, ending: &EventKind) -> Vec<EventKind> {
        let EventKind::VertexFinished { vertex: ended, .. } = ending else { return Vec::new() };
        let is_of = |(of, kind): &(Option<Platform>, EventKind)| {
            let is_vertex = matches!(kind, EventKind::VertexProgress { vertex, .. } if vertex == ended);
            is_vertex && of.as_ref() == platform
        };
        self.held.extract_if(|_, held| is_of(held)).map(|(_, (_, kind))| kind).collect()
    }

    fn admits(&mut self, platform: Option<&Platform>, kind: &EventKind, now: Instant) -> bool {
        let (key, current, total) = match kind {
            EventKind::Transfer { digest, direction, current, total } => {
                (self.hasher.hash_one((platform, direction, digest)), *current, *total)
            }
            EventKind::VertexProgress { vertex, id, current, total } => {
                (self.hasher.hash_one((platform, vertex, id)), *current, *total)
            }
            EventKind::TransferDone { digest, direction, .. } => {
                self.told.remove(&self.hasher.hash_one((platform, direction, digest)));
                return true;
            }
            _ => return true,
        };
        let complete = total > 0 && current == total;
        let due = self.told.get(&key).is_none_or(|told| now.duration_since(*told) >= INTERVAL);
        if complete || due {
            self.forget(now);
            self.told.insert(key, now);
            self.held.remove(&key);
        } else if matches!(kind, EventKind::VertexProgress { .. }) {
            self.held.insert(key, (platform.cloned(), kind.clone()));
        }
        complete || due
    }

    /// Forgets what is too long ago to hold anything back, once there is much of it.
    fn forget(&mut self, now: Instant) {
        if self.told.len() >= self.forget_at.max(FORGET_AT) {
            self.told.retain(|_, told| now.duration_since(*told) < INTERVAL);
            self.forget_at = self.told.len() * 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use polyarch_registry::oci::Digest;

    use super::*;
    use crate::event::{Direction, TransferHow, VertexId};

    fn transfer(blob: &str, current: u64) -> EventKind {
        EventKind::Transfer { digest: Digest::sha256(blob), direction: Direction::IntoStore, current, total: 10 }
    }

    fn progress(id: &str, current: u64) -> EventKind {
        EventKind::VertexProgress { vertex: VertexId("v".into()), id: id.into(), current, total: 0 }
    }

    #[test]
    fn tells_progress_seldom_and_its_end_always() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let how = TransferHow::Sent;
        let done = EventKind::TransferDone { digest: Digest::sha256("a"), direction: Direction::IntoStore, how };
        for (millis, kind, want) in [
            (0, transfer("a", 1), true),
            (1, transfer("a", 2), false),
            (1, transfer("b", 2), true),
            (2, progress("a", 1), true),
            (3, progress("a", 2), false),
            (3, progress("b", 2), true),
            (99, transfer("a", 3), false),
            (100, transfer("a", 4), true),
            (101, transfer("a", 10), true),
            (102, done, true),
            (102, transfer("a", 1), true),
            (102, progress("a", 3), true),
        ] {
            let now = start + Duration::from_millis(millis);
            assert_eq!(pace.admits(None, &kind, now), want, "{millis}: {kind:?}");
        }
        let platform = "linux/arm64".parse().unwrap();
        assert!(pace.admits(Some(&platform), &transfer("a", 2), start + Duration::from_millis(103)));
    }

    #[test]
    fn a_vertex_ends_with_its_last_value() {
        let (sink, mut events) = EventSink::channel();
        for current in [1, 2, 3] {
            sink.send(progress("a", current));
        }
        let vertex = VertexId("v".into());
        let end = EventKind::VertexFinished { vertex, cached: false, error: None, elapsed: Duration::ZERO };
        sink.send(end.clone());
        let told: Vec<EventKind> = std::iter::from_fn(|| events.try_recv().ok()).map(|event| event.kind).collect();
        assert_eq!(told, [progress("a", 1), progress("a", 3), end]);
    }

    #[test]
    fn forgets_what_no_longer_matters() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for id in 0..5000 {
            now += Duration::from_millis(1);
            assert!(pace.admits(None, &progress(&id.to_string(), 1), now));
        }
        assert!(pace.told.len() <= FORGET_AT, "{}", pace.told.len());
    }
}
