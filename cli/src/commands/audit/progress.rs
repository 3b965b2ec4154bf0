//! How far an audit is: a line on a terminal that is drawn again and again, else a line in the log now and then.
//!
//! Owns: the rate, and the time that is left. Never: writes to stdout.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use polyarch_registry::audit::Progress as State;
use tokio::time::{MissedTickBehavior, interval};

use crate::report::{Look, Mode};
use crate::text::{duration, fit};

/// Between two drawings.
const FRAME: Duration = Duration::from_millis(100);
/// Between two lines of a log.
const LINE: Duration = Duration::from_secs(5);

/// The progress of one audit.
pub struct Progress {
    mode: Mode,
    look: Look,
    start: Instant,
    latest: Mutex<State>,
}

impl Progress {
    /// Returns the progress of an audit that begins now.
    pub fn new(mode: Mode, look: Look) -> Self {
        Self { mode, look, start: Instant::now(), latest: Mutex::default() }
    }

    /// Takes note.
    pub fn set(&self, now: State) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Returns the latest.
    pub fn latest(&self) -> State {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows it while something else is done.
    pub async fn beside<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut ticks = interval(if self.mode == Mode::Tty { FRAME } else { LINE });
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = ticks.tick() => self.show(),
            }
        }
    }

    /// Takes the line off the terminal.
    pub fn clear(&self) {
        if self.mode == Mode::Tty {
            write("\r\x1b[K");
        }
    }

    fn show(&self) {
        let state = self.latest();
        if state.known == 0 {
            return;
        }
        let line = line(state, self.start.elapsed());
        match self.mode {
            Mode::Tty => {
                let width = console::Term::stderr().size_checked().map_or(80, |(_, width)| usize::from(width));
                let line = fit(&line, width.saturating_sub(1));
                write(&format!("\r{}\x1b[K", self.look.style.dim(line)));
            }
            Mode::Plain | Mode::Json => tracing::info!("{line}"),
            Mode::Quiet => {}
        }
    }
}

/// If nobody can read it, nobody needs to.
fn write(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

/// Says how far an audit is after some time. Pure.
pub fn line(state: State, elapsed: Duration) -> String {
    let State { done, known, findings, resumed, places, places_done, places_listed } = state;
    let is_listed = places_listed == places;
    let mut parts = vec![match is_listed {
        true => format!("{done} of {known} images"),
        false => format!("{done} of {known} images and more"),
    }];
    if places > 1 {
        parts.push(format!("{places_done} of {places} repositories"));
    }
    parts.push(format!("{findings} finding{}", if findings == 1 { "" } else { "s" }));
    // What another run has done says nothing about this one's speed.
    let rate = done.saturating_sub(resumed) as f64 / elapsed.as_secs_f64().max(0.001);
    if rate > 0.0 && elapsed >= Duration::from_secs(1) {
        parts.push(if rate < 10.0 { format!("{rate:.1}/s") } else { format!("{rate:.0}/s") });
        let left = known.saturating_sub(done) as f64 / rate;
        if is_listed && let Ok(left) = Duration::try_from_secs_f64(left.ceil()) {
            parts.push(format!("{} left", duration(left)));
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: State =
        State { done: 412, known: 10_000, findings: 3, resumed: 12, places: 1, places_done: 0, places_listed: 1 };

    #[test]
    fn rate_and_time_left_are_those_of_this_run() {
        let text = line(ONE, Duration::from_secs(10));
        assert_eq!(text, format!("412 of 10000 images, 3 findings, 40/s, {} left", duration(Duration::from_secs(240))));
        let slow = State { done: 15, known: 100, findings: 1, ..ONE };
        assert!(line(slow, Duration::from_secs(10)).starts_with("15 of 100 images, 1 finding, 0.3/s, "));
    }

    #[test]
    fn nothing_is_foretold_before_something_is_known() {
        assert_eq!(line(ONE, Duration::from_millis(900)), "412 of 10000 images, 3 findings");
        assert_eq!(line(State { done: 12, ..ONE }, Duration::from_secs(9)), "12 of 10000 images, 3 findings");
        let many = State { places: 40, places_done: 3, places_listed: 5, ..ONE };
        let text = line(many, Duration::from_secs(10));
        assert_eq!(text, "412 of 10000 images and more, 3 of 40 repositories, 3 findings, 40/s");
    }
}
