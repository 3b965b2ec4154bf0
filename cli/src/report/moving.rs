//! Bytes on their way: how many of how many, and how fast. Pure; time is the events' own.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use polyarch_builder::event::{Direction, Event, EventKind, TransferHow};
use polyarch_registry::oci::{Digest, Platform};

use super::model::Bytes;
use crate::text;

/// The rate is that of so much time.
const WINDOW: Duration = Duration::from_secs(5);
/// A rate over less says nothing.
const SHORTEST: Duration = Duration::from_secs(1);
/// Time between samples.
const SAMPLE: Duration = Duration::from_millis(250);

/// Byte progress of a run.
#[derive(Debug, Default)]
pub struct Moving {
    blobs: HashMap<(Direction, Option<Platform>, Digest), Bytes>,
    ways: HashMap<Direction, Way>,
}

/// One direction.
#[derive(Debug, Default)]
struct Way {
    sum: Bytes,
    /// Times and sums, oldest first.
    samples: VecDeque<(Duration, u64)>,
}

impl Moving {
    /// Takes one event.
    pub fn apply(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Transfer { digest, direction, current, total } => {
                let bytes = Bytes { current: *current, total: *total };
                self.set((*direction, event.platform.clone(), digest.clone()), Some(bytes), event.at);
            }
            EventKind::TransferDone { digest, direction, how } => {
                let key = (*direction, event.platform.clone(), digest.clone());
                let now = match how {
                    TransferHow::Sent => {
                        self.blobs.get(&key).map(|bytes| Bytes { current: bytes.total.max(bytes.current), ..*bytes })
                    }
                    // Nothing of it is on its way.
                    TransferHow::Present | TransferHow::Mounted => None,
                };
                self.set(key, now, event.at);
            }
            _ => {}
        }
    }

    fn set(&mut self, key: (Direction, Option<Platform>, Digest), bytes: Option<Bytes>, at: Duration) {
        let way = self.ways.entry(key.0).or_default();
        let before = match bytes {
            Some(bytes) => self.blobs.insert(key, bytes),
            None => self.blobs.remove(&key),
        };
        let (before, now) = (before.unwrap_or_default(), bytes.unwrap_or_default());
        // Numbers from a daemon are untrusted.
        let change = |sum: u64, before: u64, now: u64| sum.saturating_sub(before).saturating_add(now);
        way.sum.current = change(way.sum.current, before.current, now.current);
        way.sum.total = change(way.sum.total, before.total, now.total);
        if way.samples.back().is_none_or(|(last, _)| at.saturating_sub(*last) >= SAMPLE) {
            way.samples.push_back((at, way.sum.current));
        }
        while way.samples.len() > 1 && way.samples.front().is_some_and(|(first, _)| at.saturating_sub(*first) > WINDOW)
        {
            way.samples.pop_front();
        }
    }

    /// Whether nothing has moved yet.
    pub fn is_idle(&self) -> bool {
        self.ways.is_empty()
    }

    /// Returns the sum of one direction: of one platform, or of all with `None`.
    pub fn sum(&self, direction: Direction, platform: Option<&Platform>) -> Bytes {
        if platform.is_none() {
            return self.ways.get(&direction).map(|way| way.sum).unwrap_or_default();
        }
        let mine = self.blobs.iter().filter(|(key, _)| key.0 == direction && key.1.as_ref() == platform);
        mine.fold(Bytes::default(), |sum, (_, bytes)| Bytes {
            current: sum.current.saturating_add(bytes.current),
            total: sum.total.saturating_add(bytes.total),
        })
    }

    /// Returns bytes a second of late, once that can be said.
    pub fn rate(&self, direction: Direction, now: Duration) -> Option<u64> {
        let way = self.ways.get(&direction)?;
        let (from, had) = way.samples.front()?;
        let time = now.saturating_sub(*from);
        let moved = way.sum.current.saturating_sub(*had);
        // Beyond u64 only with forged numbers.
        (time >= SHORTEST).then(|| (moved as f64 / time.as_secs_f64()) as u64)
    }

    /// Returns `12.3 MB of 45.6 MB, 8.1 MB/s`; nothing where nothing moves.
    pub fn told(&self, direction: Direction, now: Duration) -> Option<String> {
        let Bytes { current, total } = self.sum(direction, None);
        if current == 0 && total == 0 {
            return None;
        }
        let mut told = match total > current {
            true => format!("{} of {}", text::bytes(current), text::bytes(total)),
            false => text::bytes(current),
        };
        if let Some(rate) = self.rate(direction, now).filter(|_| total > current) {
            told.push_str(&format!(", {}/s", text::bytes(rate)));
        }
        Some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: u64, kind: EventKind) -> Event {
        Event { at: Duration::from_millis(at), platform: None, kind }
    }

    fn transfer(at: u64, blob: &str, current: u64) -> Event {
        let direction = Direction::ToRegistry;
        event(at, EventKind::Transfer { digest: Digest::sha256(blob), direction, current, total: 10_000_000 })
    }

    fn done(at: u64, blob: &str, how: TransferHow) -> Event {
        event(at, EventKind::TransferDone { digest: Digest::sha256(blob), direction: Direction::ToRegistry, how })
    }

    #[test]
    fn what_is_there_does_not_count_and_the_rate_is_of_late() {
        let mut moving = Moving::default();
        let told = |moving: &Moving, at| moving.told(Direction::ToRegistry, Duration::from_millis(at));
        assert_eq!(told(&moving, 0), None);
        for blob in ["a", "b", "c"] {
            moving.apply(&transfer(0, blob, 0));
        }
        assert_eq!(told(&moving, 10).unwrap(), "0 B of 30.0 MB");
        moving.apply(&done(20, "c", TransferHow::Present));
        moving.apply(&transfer(500, "a", 1_000_000));
        assert_eq!(told(&moving, 500).unwrap(), "1.0 MB of 20.0 MB", "too early for a rate");
        moving.apply(&transfer(2000, "a", 4_000_000));
        assert_eq!(told(&moving, 2000).unwrap(), "4.0 MB of 20.0 MB, 2.0 MB/s");
        moving.apply(&done(4000, "a", TransferHow::Sent));
        moving.apply(&transfer(20_000, "b", 0));
        assert_eq!(told(&moving, 22_000).unwrap(), "10.0 MB of 20.0 MB, 0 B/s", "nothing of late");
        moving.apply(&transfer(20_500, "b", 0));
        moving.apply(&done(23_000, "b", TransferHow::Sent));
        assert_eq!(told(&moving, 23_000).unwrap(), "20.0 MB");
    }
}
