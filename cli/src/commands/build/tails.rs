//! What a failure report needs from the stream of events: names and the last output of steps.
//!
//! Owns: a bounded memory of it. Never: shows anything.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use polyarch_builder::event::{Event, EventKind, VertexId};

use crate::report::Display;

/// Bytes of output kept per step; the report shows its last lines.
const KEPT: usize = 16 << 10;

/// Names and last outputs by step.
#[derive(Debug, Default)]
pub(super) struct Tails(HashMap<VertexId, Tail>);

#[derive(Debug, Default)]
struct Tail {
    name: String,
    text: String,
}

impl Tails {
    /// Takes note of an event.
    fn note(&mut self, event: &Event) {
        match &event.kind {
            EventKind::VertexSeen { vertex, name } => self.0.entry(vertex.clone()).or_default().name.clone_from(name),
            EventKind::VertexLog { vertex, text, .. } => self.0.entry(vertex.clone()).or_default().add(text),
            _ => {}
        }
    }

    /// Returns the step's name.
    pub(super) fn name(&self, vertex: &VertexId) -> Option<&str> {
        self.0.get(vertex).map(|tail| tail.name.as_str()).filter(|name| !name.is_empty())
    }

    /// Returns the step's last lines.
    pub(super) fn lines(&self, vertex: &VertexId) -> Vec<String> {
        self.0.get(vertex).map(|tail| tail.text.lines().map(str::to_owned).collect()).unwrap_or_default()
    }
}

impl Tail {
    fn add(&mut self, text: &str) {
        self.text.push_str(text);
        if self.text.len() > 2 * KEPT {
            let cut = self.text.len() - KEPT;
            let cut = (cut..self.text.len()).find(|at| self.text.is_char_boundary(*at)).unwrap_or(cut);
            self.text.drain(..cut);
        }
    }
}

/// Wraps a display; the memory is complete when the display has ended.
pub(super) fn record(inner: Box<dyn Display>) -> (Box<dyn Display>, Arc<Mutex<Tails>>) {
    let tails = Arc::<Mutex<Tails>>::default();
    (Box::new(Recorder { inner: Some(inner), tails: Arc::clone(&tails) }), tails)
}

/// A display that remembers what it shows.
struct Recorder {
    inner: Option<Box<dyn Display>>,
    tails: Arc<Mutex<Tails>>,
}

impl Recorder {
    /// A display that fails is dropped; remembering goes on.
    fn feed(&mut self, act: impl FnOnce(&mut Box<dyn Display>) -> io::Result<()>) {
        if let Some(Err(error)) = self.inner.as_mut().map(act) {
            tracing::debug!(%error, "display ended");
            self.inner = None;
        }
    }
}

impl Display for Recorder {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner).note(event);
        self.feed(|inner| inner.event(event));
        Ok(())
    }

    fn tick(&mut self, now: Duration) -> io::Result<()> {
        self.feed(|inner| inner.tick(now));
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.feed(|inner| inner.finish());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(text: &str) -> Event {
        let kind = EventKind::VertexLog {
            vertex: VertexId("v".into()),
            stream: polyarch_builder::event::Stream::Stdout,
            text: text.into(),
        };
        Event { at: Duration::ZERO, platform: None, kind }
    }

    #[test]
    fn keeps_the_end_of_a_long_log() {
        let mut tails = Tails::default();
        for number in 0..10_000 {
            tails.note(&log(&format!("line é {number}\n")));
        }
        let lines = tails.lines(&VertexId("v".into()));
        assert_eq!(lines.last().map(String::as_str), Some("line é 9999"));
        assert!(lines.iter().map(String::len).sum::<usize>() <= 2 * KEPT);
    }
}
