//! The state of a run as displays see it: events in, state out. Pure.

use std::time::Duration;

use indexmap::IndexMap;
use polyarch_builder::event::{Event, EventKind, Outcome, VertexId};
use polyarch_registry::oci::{Descriptor, Platform};

use super::moving::Moving;
use crate::text::escape;

/// The state of a run.
#[derive(Debug, Default)]
pub struct Model {
    /// Platforms in the order asked for.
    pub platforms: IndexMap<Platform, PlatformState>,
    /// The assembled result.
    pub root: Option<Descriptor>,
    /// Tags that point at it by now.
    pub tags: Vec<String>,
    /// Time of the newest event or tick.
    pub now: Duration,
    /// Bytes on their way.
    pub moving: Moving,
}

/// Byte progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bytes {
    /// So far.
    pub current: u64,
    /// In all; 0 when unknown.
    pub total: u64,
}

/// The state of one platform.
#[derive(Debug, Default)]
pub struct PlatformState {
    /// Node and what it runs.
    pub node: Option<String>,
    /// How far it is.
    pub phase: Phase,
    /// Steps by vertex, in the order they were seen.
    pub steps: IndexMap<VertexId, Step>,
    /// When its solve was sent.
    pub started: Option<Duration>,
}

/// How far a platform is.
#[derive(Debug, Default, Clone, PartialEq)]
pub enum Phase {
    /// Nothing was sent yet.
    #[default]
    Waiting,
    /// The daemon works on it.
    Building,
    /// It ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// Wall time.
        elapsed: Duration,
    },
}

/// One step of a platform's build.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Number within its platform, from 1.
    pub number: usize,
    /// BuildKit's name, unescaped.
    pub name: String,
    /// How far it is.
    pub state: StepState,
    /// The newest line of its output, unescaped.
    pub last_line: Option<String>,
    /// Bytes it reports, by what is counted.
    pub progress: IndexMap<String, Bytes>,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq)]
pub enum StepState {
    /// Known, not begun.
    Seen,
    /// Runs since this time.
    Running(Duration),
    /// Taken from cache.
    Cached,
    /// Ran to its end.
    Done(Duration),
    /// Failed with the daemon's text.
    Failed(String),
}

impl Step {
    /// Returns whether this is the frontend's own work, not a line of the Dockerfile.
    pub fn is_internal(&self) -> bool {
        self.name.starts_with("[internal]") || self.name.starts_with("[auth]")
    }

    fn is_over(&self) -> bool {
        !matches!(self.state, StepState::Seen | StepState::Running(_))
    }
}

/// How many steps a platform has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepCount {
    /// Ended, cached ones among them.
    pub over: usize,
    /// Taken from cache.
    pub cached: usize,
    /// Known so far.
    pub known: usize,
}

impl PlatformState {
    /// Returns the step that began last and still runs; the Dockerfile's before the frontend's.
    pub fn current(&self) -> Option<&Step> {
        let running = self.steps.values().filter_map(|step| match step.state {
            StepState::Running(since) => Some((!step.is_internal(), since, step)),
            _ => None,
        });
        running.max_by_key(|(own, since, step)| (*own, *since, step.number)).map(|(_, _, step)| step)
    }

    /// Returns counts of the Dockerfile's steps.
    pub fn count(&self) -> StepCount {
        let mut count = StepCount::default();
        for step in self.steps.values().filter(|step| !step.is_internal()) {
            count.known += 1;
            count.over += usize::from(step.is_over());
            count.cached += usize::from(step.state == StepState::Cached);
        }
        count
    }

    fn step(&mut self, vertex: &VertexId) -> &mut Step {
        let number = self.steps.len() + 1;
        self.steps.entry(vertex.clone()).or_insert_with(|| Step {
            number,
            name: String::new(),
            state: StepState::Seen,
            last_line: None,
            progress: IndexMap::new(),
        })
    }
}

impl Model {
    /// Takes one event.
    pub fn apply(&mut self, event: &Event) {
        self.now = self.now.max(event.at);
        match &event.kind {
            EventKind::RunStarted { platforms } => {
                for platform in platforms {
                    self.platforms.entry(platform.clone()).or_default();
                }
            }
            EventKind::Transfer { .. } | EventKind::TransferDone { .. } => self.moving.apply(event),
            EventKind::Assembled { root } => self.root = Some(root.clone()),
            EventKind::TagMoved { reference, .. } => self.tags.push(reference.clone()),
            kind => {
                if let Some(platform) = &event.platform {
                    let state = self.platforms.entry(platform.clone()).or_default();
                    apply_to_platform(state, event.at, kind);
                }
            }
        }
    }

    /// Whether there is nothing to show yet.
    pub fn is_idle(&self) -> bool {
        self.platforms.is_empty() && self.moving.is_idle()
    }

    /// Returns how many platforms have ended.
    pub fn ended(&self) -> usize {
        self.platforms.values().filter(|state| matches!(state.phase, Phase::Ended { .. })).count()
    }
}

/// Returns a warning with its line of the Dockerfile, which BuildKit's own lints name in the message too. Escaped.
pub fn warning(message: &str, line: Option<u32>) -> String {
    let place = line.map(|line| format!(" (line {line})")).unwrap_or_default();
    let place = if message.trim_end().ends_with(place.trim()) { "" } else { place.as_str() };
    format!("{}{place}", escape(message))
}

/// Returns a line of the plan: where a platform is built, and how. Escaped.
pub fn place(node: &str, version: &str, how: &str) -> String {
    let how = if how.is_empty() { String::new() } else { format!(": {}", escape(how)) };
    format!("on {} ({}){how}", escape(node), escape(version))
}

fn apply_to_platform(state: &mut PlatformState, at: Duration, kind: &EventKind) {
    match kind {
        EventKind::NodeChosen { node, version, .. } => state.node = Some(format!("{node} ({version})")),
        EventKind::PlatformStarted => {
            state.phase = Phase::Building;
            state.started = Some(at);
        }
        EventKind::PlatformFinished { outcome, elapsed } => {
            state.phase = Phase::Ended { outcome: outcome.clone(), elapsed: *elapsed };
        }
        EventKind::VertexSeen { vertex, name } => state.step(vertex).name.clone_from(name),
        EventKind::VertexStarted { vertex } => state.step(vertex).state = StepState::Running(at),
        EventKind::VertexFinished { vertex, cached, error, elapsed } => {
            state.step(vertex).state = match (error, cached) {
                (Some(error), _) => StepState::Failed(error.clone()),
                (None, true) => StepState::Cached,
                (None, false) => StepState::Done(*elapsed),
            };
        }
        EventKind::VertexLog { vertex, text, .. } => {
            if let Some(line) = text.lines().rev().find(|line| !line.trim().is_empty()) {
                state.step(vertex).last_line = Some(line.to_owned());
            }
        }
        EventKind::VertexProgress { vertex, id, current, total } => {
            state.step(vertex).progress.insert(id.clone(), Bytes { current: *current, total: *total });
        }
        _ => {}
    }
}
