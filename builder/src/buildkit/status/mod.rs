//! From BuildKit's status stream to events.
//!
//! Owns: what was already told about each vertex of one solve; BuildKit repeats itself, and a vertex may
//! complete more than once. Pure: no clock, no channel.

mod text;

use std::collections::HashMap;
use std::time::Duration;

use crate::event::{EventKind, Stream, VertexId};
use crate::steps::{Step, Steps};
use bollard_buildkit_proto::google::protobuf::Timestamp;
use bollard_buildkit_proto::moby::buildkit::v1 as proto;
use text::Utf8Carry;

/// Turns status messages of one solve into events.
#[derive(Debug, Default)]
pub struct StatusMapper {
    steps: Steps,
    progress: HashMap<(String, String), (u64, u64)>,
    carry: HashMap<(String, i64), Utf8Carry>,
}

impl StatusMapper {
    /// Returns the events of one message.
    pub(super) fn apply(&mut self, message: proto::StatusResponse) -> Vec<EventKind> {
        let mut events = Vec::new();
        for vertex in message.vertexes {
            self.vertex(vertex, &mut events);
        }
        events.extend(message.statuses.into_iter().filter_map(|status| self.progress(status)));
        events.extend(message.logs.into_iter().filter_map(|log| self.log(log)));
        events.extend(message.warnings.into_iter().map(warning));
        events
    }

    /// Whether the daemon has told anything yet.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.0.is_empty()
    }

    /// Returns what became of every vertex.
    pub(super) fn into_steps(self) -> Steps {
        self.steps
    }

    fn vertex(&mut self, wire: proto::Vertex, events: &mut Vec<EventKind>) {
        let vertex = VertexId(wire.digest);
        let step = self.steps.0.entry(vertex.clone()).or_insert_with(|| {
            let name = wire.name.clone();
            events.push(EventKind::VertexSeen { vertex: vertex.clone(), name: name.clone() });
            Step { name, ..Step::default() }
        });
        // A layer that comes from an imported cache is told as work inside a cached vertex: cached once is cached.
        step.cached |= wire.cached;
        if wire.started.is_some() && !step.started {
            step.started = true;
            events.push(EventKind::VertexStarted { vertex: vertex.clone() });
        }
        let error = (!wire.error.is_empty()).then_some(wire.error);
        let Some(completed) = wire.completed else { return };
        // A later completion matters only when it brings an error.
        if step.completed && (error.is_none() || step.error.is_some()) {
            return;
        }
        step.completed = true;
        step.error.clone_from(&error);
        let elapsed = wire.started.map_or(Duration::ZERO, |started| between(started, completed));
        events.push(EventKind::VertexFinished { vertex, cached: step.cached, error, elapsed });
    }

    fn progress(&mut self, wire: proto::VertexStatus) -> Option<EventKind> {
        let (current, total) = (u64::try_from(wire.current).unwrap_or(0), u64::try_from(wire.total).unwrap_or(0));
        // What has ended was as much as it is, even where that was not known before.
        let total = if total == 0 && wire.completed.is_some() { current } else { total };
        let known = self.progress.insert((wire.vertex.clone(), wire.id.clone()), (current, total));
        if known == Some((current, total)) {
            return None;
        }
        Some(EventKind::VertexProgress { vertex: VertexId(wire.vertex), id: wire.id, current, total })
    }

    fn log(&mut self, wire: proto::VertexLog) -> Option<EventKind> {
        let carry = self.carry.entry((wire.vertex.clone(), wire.stream)).or_default();
        let text = carry.decode(&wire.msg);
        if text.is_empty() {
            return None;
        }
        let stream = if wire.stream == 2 { Stream::Stderr } else { Stream::Stdout };
        Some(EventKind::VertexLog { vertex: VertexId(wire.vertex), stream, text })
    }
}

fn warning(wire: proto::VertexWarning) -> EventKind {
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let start = wire.ranges.first().and_then(|range| range.start);
    EventKind::Warning {
        message: lossy(&wire.short),
        detail: wire.detail.iter().map(|line| lossy(line)).collect(),
        url: (!wire.url.is_empty()).then_some(wire.url),
        line: start.and_then(|position| u32::try_from(position.line).ok()).filter(|line| *line > 0),
    }
}

/// Time between two of the daemon's clock readings; 0 when they are out of order.
fn between(start: Timestamp, end: Timestamp) -> Duration {
    let nanos = |t: Timestamp| i128::from(t.seconds) * 1_000_000_000 + i128::from(t.nanos);
    u64::try_from(nanos(end) - nanos(start)).map_or(Duration::ZERO, Duration::from_nanos)
}

#[cfg(test)]
mod tests;
