//! JSON lines: `{"version":1,"at":…,"platform":…,"event":…}`.

use std::io::{self, Write};

use polyarch_builder::event::Event;
use serde::Serialize;

use super::Display;

/// Version of a line's form. It changes when a field changes its meaning or goes away.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    #[serde(flatten)]
    event: &'a Event,
}

/// Writes one event a line.
pub struct Json {
    out: Box<dyn Write + Send>,
}

impl Json {
    /// Returns a display that writes to `out`.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self { out }
    }
}

impl Display for Json {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        self.out.write_all(line(event)?.as_bytes())?;
        self.out.flush()
    }
}

fn line(event: &Event) -> io::Result<String> {
    let mut text = serde_json::to_string(&Line { version: VERSION, event })?;
    // JSON escapes only C0; a terminal also obeys DEL and C1. All are inside strings here.
    if text.chars().any(char::is_control) {
        let escaped = |c: char| match c.is_control() {
            true => format!("\\u{:04x}", u32::from(c)),
            false => c.to_string(),
        };
        text = text.chars().map(escaped).collect();
    }
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use polyarch_builder::event::EventKind;

    use super::*;

    #[test]
    fn lines_are_versioned_and_safe() {
        let kind = EventKind::Notice { message: "a\u{9b}31m\u{1b}\n".into() };
        let event = Event { at: Duration::from_millis(1500), platform: None, kind };
        let text = line(&event).unwrap();
        let want = "{\"version\":1,\"at\":{\"secs\":1,\"nanos\":500000000},\"event\":\"notice\",\"message\":\"a\\u009b31m\\u001b\\n\"}\n";
        assert_eq!(text, want);
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
