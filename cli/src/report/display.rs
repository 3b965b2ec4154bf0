//! Displays: one small trait, and the loop that feeds one from a run.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use polyarch_builder::event::Event;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{MissedTickBehavior, interval};

use super::json::Json;
use super::plain::Plain;
use super::tty::Tty;
use crate::style::Style;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One row per platform, redrawn in place.
    Tty,
    /// Whole lines, prefixed with their platform.
    Plain,
    /// One versioned JSON event a line.
    Json,
    /// Nothing; stdout has the digest alone.
    Quiet,
}

/// How text looks where it is read.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Colours.
    pub style: Style,
    /// Who else reads the log.
    pub reader: Reader,
}

/// Who else reads a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// People.
    People,
    /// GitHub's runner, which takes orders from lines that begin with `::`.
    Github,
}

impl Look {
    /// Returns a line of a build's output, safe to show.
    pub fn log_line(self, line: &str) -> String {
        let line = crate::text::log_line(line);
        match self.reader {
            Reader::People => line,
            Reader::Github => crate::text::neutralise_ci(&line),
        }
    }
}

/// Shows events. An error means that nobody can see them any more.
pub trait Display: Send {
    /// Takes one event.
    ///
    /// # Errors
    /// The stream cannot be written.
    fn event(&mut self, event: &Event) -> io::Result<()>;

    /// Time has passed: `now` since the start of the run.
    ///
    /// # Errors
    /// The stream cannot be written.
    fn tick(&mut self, _now: Duration) -> io::Result<()> {
        Ok(())
    }

    /// The stream of events has ended; what is on the screen stays.
    ///
    /// # Errors
    /// The stream cannot be written.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Quiet;

impl Display for Quiet {
    fn event(&mut self, _event: &Event) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the display of a mode that writes to `out`.
pub fn display(mode: Mode, out: Box<dyn Write + Send>, look: Look) -> Box<dyn Display> {
    match mode {
        Mode::Tty => Box::new(Tty::new(out, look)),
        Mode::Plain => Box::new(Plain::new(out, look)),
        Mode::Json => Box::new(Json::new(out)),
        Mode::Quiet => Box::new(Quiet),
    }
}

/// Redraws per second are bounded by this: faster is flicker, slower looks stuck.
const TICK: Duration = Duration::from_millis(100);

/// Feeds a display until the run drops its last sink. A display that fails is dropped; the run goes on.
pub async fn show(mut events: UnboundedReceiver<Event>, display: Box<dyn Display>) {
    let mut display = Some(display);
    let mut last = (Duration::ZERO, Instant::now());
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let done = tokio::select! {
            event = events.recv() => match event {
                Some(event) => {
                    last = (event.at, Instant::now());
                    feed(&mut display, |display| display.event(&event));
                    false
                }
                None => true,
            },
            _ = ticks.tick() => {
                let now = last.0 + last.1.elapsed();
                feed(&mut display, |display| display.tick(now));
                false
            }
        };
        if done {
            return feed(&mut display, |display| display.finish());
        }
    }
}

fn feed(display: &mut Option<Box<dyn Display>>, act: impl FnOnce(&mut Box<dyn Display>) -> io::Result<()>) {
    let Some(Err(error)) = display.as_mut().map(act) else { return };
    // A broken pipe is the reader's right; anything else is not worth a build either.
    tracing::debug!(%error, "display ended");
    *display = None;
}
