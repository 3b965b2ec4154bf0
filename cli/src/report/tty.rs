//! A terminal: one row per platform, redrawn in place. [`frame`] is pure; [`Tty`] paints it.

use std::collections::HashSet;
use std::io::{self, Write};
use std::time::Duration;

use polyarch_builder::event::{Direction, Event, EventKind, Outcome};
use polyarch_registry::oci::Platform;

use super::model::{Model, Phase, PlatformState, StepState, place};
use super::{Display, Look};
use crate::text::{bytes, cell, duration, escape, fit};

/// Width and height of a terminal, in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// Redraws at most so often for events; ticks fill the gaps.
const FRAME: Duration = Duration::from_millis(50);

/// Paints frames over one another.
pub struct Tty {
    out: Box<dyn Write + Send>,
    look: Look,
    size: Box<dyn Fn() -> Size + Send>,
    model: Model,
    /// Widths of the lines on the screen: a narrower window has wrapped them since.
    painted: Vec<usize>,
    painted_at: Option<Duration>,
    warned: HashSet<String>,
}

impl Tty {
    /// Returns a display for the terminal behind stderr.
    pub fn new(out: Box<dyn Write + Send>, look: Look) -> Self {
        let size = || {
            let (height, width) = console::Term::stderr().size_checked().unwrap_or((24, 80));
            Size { width: width.into(), height: height.into() }
        };
        Self::sized(out, look, Box::new(size))
    }

    /// Returns a display for a terminal whose size is asked for before each frame.
    pub fn sized(out: Box<dyn Write + Send>, look: Look, size: Box<dyn Fn() -> Size + Send>) -> Self {
        Self { out, look, size, model: Model::default(), painted: Vec::new(), painted_at: None, warned: HashSet::new() }
    }

    /// Paints a frame, with `above` as lines that stay.
    fn paint(&mut self, above: &[String]) -> io::Result<()> {
        let size = (self.size)();
        let width = size.width.max(20);
        let lines = frame(&self.model, self.look, Size { width: width - 1, height: size.height });
        let mut text = String::new();
        let rows: usize = self.painted.iter().map(|painted| painted.div_ceil(width).max(1)).sum();
        if rows > 0 {
            text.push_str(&format!("\x1b[{rows}A"));
        }
        // The terminal may have echoed a key, such as Ctrl-C.
        text.push('\r');
        for line in above.iter().chain(&lines) {
            text.push_str(line);
            text.push_str("\x1b[K\n");
        }
        // What a longer frame left below.
        text.push_str("\x1b[J");
        self.painted = lines.iter().map(|line| console::measure_text_width(line)).collect();
        self.painted_at = Some(self.model.now);
        // One write: half a frame is never seen.
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// Lines that stay on the screen.
    fn lasting(&mut self, event: &Event) -> Option<String> {
        let style = self.look.style;
        let line = match &event.kind {
            EventKind::NodeChosen { node, version, how, .. } => {
                let platform = event.platform.as_ref().map(ToString::to_string).unwrap_or_default();
                style.dim(format!("{} {}", escape(&platform), place(node, version, how)))
            }
            EventKind::Warning { message, line, .. } => {
                format!("{} {}", style.warning("warning:"), super::model::warning(message, *line))
            }
            EventKind::Notice { message } => format!("{} {}", style.bold("note:"), escape(message)),
            EventKind::Retry { what, reason, wait } => {
                let wait = duration(*wait);
                format!("{} {}: {}; again in {wait}", style.warning("retry:"), escape(what), escape(reason))
            }
            _ => return None,
        };
        let once = matches!(event.kind, EventKind::Warning { .. });
        (!once || self.warned.insert(line.clone())).then_some(line)
    }
}

impl Display for Tty {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.model.apply(event);
        if let Some(line) = self.lasting(event) {
            return self.paint(&[line]);
        }
        let is_due = self.painted_at.is_none_or(|at| self.model.now.saturating_sub(at) >= FRAME);
        if is_due { self.paint(&[]) } else { Ok(()) }
    }

    fn tick(&mut self, now: Duration) -> io::Result<()> {
        self.model.now = self.model.now.max(now);
        if self.model.is_idle() { Ok(()) } else { self.paint(&[]) }
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.model.is_idle() { Ok(()) } else { self.paint(&[]) }
    }
}

/// Returns the lines of the screen, none wider than `size.width`, no more than fit its height.
pub fn frame(model: &Model, look: Look, size: Size) -> Vec<String> {
    let mut lines = vec![header(model, look)];
    let label = model.platforms.keys().map(|platform| platform.to_string().len()).max().unwrap_or(0).clamp(5, 24);
    for (platform, state) in &model.platforms {
        lines.push(row(model, platform, state, Row { look, label, width: size.width }));
        if let Some(line) = newest_output(state, look) {
            lines.push(format!("{:label$}   {}", "", look.style.dim(format!("| {line}"))));
        }
    }
    // Of a build each platform's row has what it gets into the store.
    let fetch = model.platforms.is_empty().then_some(("fetch", Direction::IntoStore));
    for (name, way) in fetch.into_iter().chain([("push", Direction::ToRegistry), ("load", Direction::ToDaemon)]) {
        if let Some(told) = model.moving.told(way, model.now) {
            lines.push(format!("{}  {told}", cell(name, label)));
        }
    }
    // The last row of the screen is where the cursor stands.
    let room = size.height.saturating_sub(1).max(1);
    if lines.len() > room {
        let hidden = lines.len() - room + 1;
        lines.truncate(room - 1);
        lines.push(format!("… {hidden} more"));
    }
    lines.iter().map(|line| fit(line, size.width)).collect()
}

fn header(model: &Model, look: Look) -> String {
    if model.platforms.is_empty() {
        return look.style.bold(duration(model.now));
    }
    let (ended, all) = (model.ended(), model.platforms.len());
    let sent = model.moving.sum(Direction::ContextOut, None).current;
    let context = if sent > 0 { format!(", context {}", bytes(sent)) } else { String::new() };
    look.style.bold(format!("{ended}/{all} platforms, {}{context}", duration(model.now)))
}

#[derive(Clone, Copy)]
struct Row {
    look: Look,
    label: usize,
    width: usize,
}

fn row(model: &Model, platform: &Platform, state: &PlatformState, row: Row) -> String {
    let style = row.look.style;
    let (what, right) = match &state.phase {
        Phase::Waiting => (style.dim("waiting"), String::new()),
        Phase::Building => (step_name(state), numbers(model, platform, state)),
        Phase::Ended { outcome, elapsed } => (ending(outcome, row.look), duration(*elapsed)),
    };
    let label = cell(&escape(&platform.to_string()), row.label);
    let used = row.label + 2 + console::measure_text_width(&right) + 2;
    format!("{label}  {}  {right}", cell(&what, row.width.saturating_sub(used).max(10)))
}

fn step_name(state: &PlatformState) -> String {
    match (state.current(), &state.node) {
        (Some(step), _) => escape(&step.name).replace('\n', " "),
        (None, Some(_)) if !state.steps.is_empty() => "finishing".to_owned(),
        (None, Some(node)) => format!("on {}", escape(node)),
        (None, None) => "starting".to_owned(),
    }
}

/// `5/9 steps, 3 cached, in 12.1 MB, 4.5s`.
fn numbers(model: &Model, platform: &Platform, state: &PlatformState) -> String {
    let count = state.count();
    let mut parts = vec![format!("{}/{} steps", count.over, count.known)];
    if count.cached > 0 {
        parts.push(format!("{} cached", count.cached));
    }
    let received = model.moving.sum(Direction::IntoStore, Some(platform));
    if received.current > 0 {
        parts.push(format!("in {}", bytes(received.current)));
    }
    parts.push(duration(model.now.saturating_sub(state.started.unwrap_or(model.now))));
    parts.join(", ")
}

fn ending(outcome: &Outcome, look: Look) -> String {
    match outcome {
        Outcome::Built { manifest, layers, cached, executed } => {
            let digest = format!("sha256:{}", manifest.digest.short());
            look.style.good(format!("built {digest}, {layers} layers, {cached} cached, {executed} run"))
        }
        Outcome::Ready { cached, executed } => look.style.good(format!("built, {cached} cached, {executed} run")),
        Outcome::Failed { reason } => look.style.error(format!("failed: {}", escape(reason).replace('\n', " "))),
        Outcome::Cancelled => look.style.warning("cancelled"),
    }
}

/// The last line a running step printed, or how far its largest download is.
fn newest_output(state: &PlatformState, look: Look) -> Option<String> {
    if state.phase != Phase::Building {
        return None;
    }
    let step = state.current().filter(|step| matches!(step.state, StepState::Running(_)))?;
    let line = step.last_line.as_deref().map(|line| look.log_line(line));
    line.filter(|line| !line.trim().is_empty()).or_else(|| {
        let (id, at) = step.progress.iter().filter(|(_, at)| at.total > at.current).max_by_key(|(_, at)| at.total)?;
        Some(format!("{} {}", escape(id), of_total(at.current, at.total)))
    })
}

fn of_total(current: u64, total: u64) -> String {
    if total > current { format!("{} of {}", bytes(current), bytes(total)) } else { bytes(current) }
}
