//! Whole lines, each prefixed with its platform and step, in BuildKit's plain style.
//!
//! One step speaks at a time: lines of others wait until it ends or has been silent for a while.
//! Time is the events' own, so a replay prints the same.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, Write};
use std::time::Duration;

use polyarch_builder::event::{Direction, Event, EventKind, Outcome, Stream, VertexId};
use polyarch_registry::oci::Platform;

use super::lines::LineBuffer;
use super::moving::Moving;
use super::{Display, Look};
use crate::text::{bytes, duration, escape};

/// A step that said nothing for so long gives way to others.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a copy without platforms says how far it is.
const STILL_MOVING: Duration = Duration::from_secs(5);
/// The user's line endings of both streams of a step.
const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// A step of a platform.
type Key = (Option<Platform>, VertexId);

/// Prints lines.
pub struct Plain {
    out: Box<dyn Write + Send>,
    look: Look,
    width: usize,
    steps: HashMap<Key, Spoken>,
    counts: HashMap<Option<Platform>, usize>,
    /// Who prints the output of a step that several platforms share.
    owners: HashMap<VertexId, Option<Platform>>,
    partial: LineBuffer<(Key, u8)>,
    speaker: Option<(Key, Duration)>,
    waiting: VecDeque<(Key, Vec<String>)>,
    warned: HashSet<String>,
    moving: Moving,
    /// When something was last said of that; never of a build, whose steps speak.
    told: Option<Duration>,
}

/// What is known of a step.
#[derive(Default)]
struct Spoken {
    /// Number within its platform, in the order of first words; `None` until then.
    number: Option<usize>,
    name: String,
    started: Duration,
}

impl Plain {
    /// Returns a display that writes to `out`.
    pub fn new(out: Box<dyn Write + Send>, look: Look) -> Self {
        Self {
            out,
            look,
            width: 0,
            steps: HashMap::new(),
            counts: HashMap::new(),
            owners: HashMap::new(),
            partial: LineBuffer::new(),
            speaker: None,
            waiting: VecDeque::new(),
            warned: HashSet::new(),
            moving: Moving::default(),
            told: Some(Duration::ZERO),
        }
    }

    /// Says how far a copy is, now and then.
    fn still_moving(&mut self, now: Duration) -> io::Result<()> {
        if self.told.is_none_or(|told| now.saturating_sub(told) < STILL_MOVING) {
            return Ok(());
        }
        self.told = Some(now);
        let ways = [("fetch", Direction::IntoStore), ("push", Direction::ToRegistry), ("load", Direction::ToDaemon)];
        let is_open = |way| {
            let sum = self.moving.sum(way, None);
            sum.total > sum.current
        };
        let told = ways.iter().filter(|(_, way)| is_open(*way));
        let lines = told.filter_map(|(name, way)| Some(format!("{name} {}", self.moving.told(*way, now)?)));
        let lines: Vec<String> = lines.collect();
        self.print(&lines)
    }

    fn step(&mut self, key: &Key) -> &mut Spoken {
        self.steps.entry(key.clone()).or_default()
    }

    /// Lines of a step: at once if it is its turn, else later.
    fn say(&mut self, key: &Key, at: Duration, lines: Vec<String>) -> io::Result<()> {
        let lines = self.introduced(key, lines);
        match &mut self.speaker {
            None => self.speaker = Some((key.clone(), at)),
            Some((speaker, since)) if speaker == key => *since = at,
            Some(_) => {
                self.queue(key, lines);
                return self.hand_over(at);
            }
        }
        self.print(&lines)
    }

    fn queue(&mut self, key: &Key, lines: Vec<String>) {
        match self.waiting.iter_mut().find(|(other, _)| other == key) {
            Some((_, queued)) => queued.extend(lines),
            None => self.waiting.push_back((key.clone(), lines)),
        }
    }

    /// The step has said its last; whoever waits longest is next.
    fn done(&mut self, key: &Key, at: Duration) -> io::Result<()> {
        self.steps.remove(key);
        self.speaker.take_if(|(speaker, _)| speaker == key);
        while self.speaker.is_none() {
            let Some((next, lines)) = self.waiting.pop_front() else { break };
            self.print(&lines)?;
            // One that has ended meanwhile does not keep the word.
            if self.steps.contains_key(&next) {
                self.speaker = Some((next, at));
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, now: Duration) -> io::Result<()> {
        match &self.speaker {
            Some((_, since)) if now.saturating_sub(*since) >= PATIENCE && !self.waiting.is_empty() => {}
            _ => return Ok(()),
        }
        let Some((next, lines)) = self.waiting.pop_front() else { return Ok(()) };
        self.print(&lines)?;
        let goes_on = self.steps.contains_key(&next);
        self.speaker = goes_on.then_some((next, now));
        Ok(())
    }

    /// Prefixes lines, and puts the step's name before its first ones.
    fn introduced(&mut self, key: &Key, lines: Vec<String>) -> Vec<String> {
        let step = self.steps.entry(key.clone()).or_default();
        let name = step.number.is_none().then(|| escape(&step.name).replace('\n', " "));
        let number = *step.number.get_or_insert_with(|| {
            let count = self.counts.entry(key.0.clone()).or_default();
            *count += 1;
            *count
        });
        let prefix = format!("{}#{number}", self.prefix(key.0.as_ref()));
        name.into_iter().chain(lines).map(|line| format!("{prefix} {line}").trim_end().to_owned()).collect()
    }

    fn prefix(&self, platform: Option<&Platform>) -> String {
        match platform {
            Some(platform) => format!("{:<width$} ", escape(&platform.to_string()), width = self.width),
            None => String::new(),
        }
    }

    fn print(&mut self, lines: &[String]) -> io::Result<()> {
        let mut text = String::new();
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    fn log(&mut self, key: &Key, at: Duration, stream: Stream, text: &str) -> io::Result<()> {
        let owner = self.owners.entry(key.1.clone()).or_insert_with(|| key.0.clone());
        if *owner != key.0 {
            return Ok(());
        }
        let whole = self.partial.push((key.clone(), stream as u8), text);
        match whole.is_empty() {
            true => Ok(()),
            false => self.log_lines(key, at, &whole),
        }
    }

    fn log_lines(&mut self, key: &Key, at: Duration, whole: &[String]) -> io::Result<()> {
        let since = at.saturating_sub(self.step(key).started).as_secs_f64();
        let lines = whole.iter().map(|line| format!("{since:.3} {}", self.look.log_line(line))).collect();
        self.say(key, at, lines)
    }

    fn finished(&mut self, key: &Key, at: Duration, end: String) -> io::Result<()> {
        for stream in STREAMS {
            if let Some(rest) = self.partial.finish(&(key.clone(), stream as u8)) {
                self.log_lines(key, at, &[rest])?;
            }
        }
        self.say(key, at, vec![end])?;
        self.done(key, at)
    }

    fn vertex(&mut self, key: &Key, at: Duration, kind: &EventKind) -> io::Result<()> {
        match kind {
            EventKind::VertexSeen { name, .. } => self.step(key).name.clone_from(name),
            EventKind::VertexStarted { .. } => {
                self.step(key).started = at;
                return self.say(key, at, Vec::new());
            }
            EventKind::VertexLog { stream, text, .. } => return self.log(key, at, *stream, text),
            EventKind::VertexFinished { cached, error, elapsed, .. } => {
                let style = self.look.style;
                let end = match (error, cached) {
                    (Some(error), _) => format!("{} {}", style.error("ERROR:"), escape(error).replace('\n', " ")),
                    (None, true) => style.good("CACHED"),
                    (None, false) => style.good(format!("DONE {}", duration(*elapsed))),
                };
                return self.finished(key, at, end);
            }
            _ => {}
        }
        Ok(())
    }

    /// Nothing of a platform waits longer than the platform itself.
    fn platform_over(&mut self, platform: Option<&Platform>) -> io::Result<()> {
        let (now, later) = self.waiting.drain(..).partition(|(key, _)| key.0.as_ref() == platform);
        self.waiting = later;
        let now: VecDeque<(Key, Vec<String>)> = now;
        for (_, lines) in now {
            self.print(&lines)?;
        }
        self.speaker.take_if(|(speaker, _)| speaker.0.as_ref() == platform);
        self.steps.retain(|key, _| key.0.as_ref() != platform);
        // Steps it shared with others are theirs now.
        self.owners.retain(|_, owner| owner.as_ref() != platform);
        Ok(())
    }

    fn other(&mut self, event: &Event) -> io::Result<()> {
        if let EventKind::PlatformFinished { .. } = event.kind {
            self.platform_over(event.platform.as_ref())?;
        }
        let line = match &event.kind {
            EventKind::Warning { message, line, .. } => {
                let text = format!("{} {}", self.look.style.warning("warning:"), super::model::warning(message, *line));
                // Every platform's frontend finds the same fault.
                self.warned.insert(text.clone()).then_some(text)
            }
            _ => general(&event.kind, self.look),
        };
        let Some(line) = line else { return Ok(()) };
        let shared = matches!(event.kind, EventKind::Warning { .. });
        let prefix = if shared { String::new() } else { self.prefix(event.platform.as_ref()) };
        self.print(&[format!("{prefix}{line}")])
    }
}

/// Events that are no step's.
fn general(kind: &EventKind, look: Look) -> Option<String> {
    let style = look.style;
    Some(match kind {
        EventKind::NodeChosen { node, version, how, .. } => super::model::place(node, version, how),
        EventKind::PlatformFinished { outcome, elapsed } => {
            let time = duration(*elapsed);
            match outcome {
                Outcome::Built { manifest, layers, cached, executed } => format!(
                    "{} {} {layers} layers, {cached} steps cached, {executed} executed, {time}",
                    style.good("BUILT"),
                    manifest.digest
                ),
                Outcome::Ready { cached, executed } => {
                    format!("{} {cached} steps cached, {executed} executed, {time}", style.good("BUILT"))
                }
                Outcome::Failed { reason } => {
                    format!("{} after {time}: {}", style.error("FAILED"), escape(reason).replace('\n', " "))
                }
                Outcome::Cancelled => format!("{} after {time}", style.warning("CANCELLED")),
            }
        }
        EventKind::Notice { message } => format!("{} {}", style.bold("note:"), escape(message)),
        EventKind::Retry { what, reason, wait } => {
            format!("{} {}: {}; again in {}", style.warning("retry:"), escape(what), escape(reason), duration(*wait))
        }
        EventKind::Assembled { root } => format!("assembled {} ({})", root.digest, bytes(root.size)),
        EventKind::TagMoved { reference, digest } => format!("tag {} -> {digest}", escape(reference)),
        _ => return None,
    })
}

impl Display for Plain {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let vertex = match &event.kind {
            EventKind::Transfer { .. } | EventKind::TransferDone { .. } => {
                self.moving.apply(event);
                return Ok(());
            }
            EventKind::RunStarted { platforms } => {
                self.told = None;
                self.width = platforms.iter().map(|platform| platform.to_string().len()).max().unwrap_or(0);
                return Ok(());
            }
            EventKind::VertexSeen { vertex, .. }
            | EventKind::VertexStarted { vertex }
            | EventKind::VertexFinished { vertex, .. }
            | EventKind::VertexLog { vertex, .. } => vertex,
            _ => return self.other(event),
        };
        self.vertex(&(event.platform.clone(), vertex.clone()), event.at, &event.kind)
    }

    fn tick(&mut self, now: Duration) -> io::Result<()> {
        self.still_moving(now)?;
        self.hand_over(now)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.speaker = None;
        while let Some((_, lines)) = self.waiting.pop_front() {
            self.print(&lines)?;
        }
        Ok(())
    }
}
