//! Whole lines out of pieces of output. Pure.

use std::collections::HashMap;
use std::hash::Hash;

/// Longer lines are cut into several, so that output without line ends cannot grow without bound. Bytes.
const MAX_LINE: usize = 16 << 10;

/// Unfinished lines by the stream they came from.
#[derive(Debug)]
pub struct LineBuffer<K> {
    partial: HashMap<K, String>,
}

impl<K: Eq + Hash> LineBuffer<K> {
    /// Returns a buffer with nothing in it.
    pub fn new() -> Self {
        Self { partial: HashMap::new() }
    }

    /// Adds text and returns the lines it completes, without their ends.
    pub fn push(&mut self, key: K, text: &str) -> Vec<String> {
        let pending = self.partial.entry(key).or_default();
        let mut lines = Vec::new();
        for piece in text.split_inclusive('\n') {
            pending.push_str(piece);
            if pending.ends_with('\n') {
                pending.pop();
                lines.push(std::mem::take(pending));
            }
            while pending.len() > MAX_LINE {
                let end = (0..=MAX_LINE).rev().find(|end| pending.is_char_boundary(*end)).unwrap_or(MAX_LINE);
                let rest = pending.split_off(end);
                lines.push(std::mem::replace(pending, rest));
            }
        }
        lines
    }

    /// Ends a stream and returns its last line, if that had no end.
    pub fn finish(&mut self, key: &K) -> Option<String> {
        self.partial.remove(key).filter(|line| !line.is_empty())
    }
}

impl<K: Eq + Hash> Default for LineBuffer<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_and_streams_apart() {
        let mut buffer = LineBuffer::new();
        assert!(buffer.push(1, "ab").is_empty());
        assert_eq!(buffer.push(2, "x\ny"), ["x"]);
        assert_eq!(buffer.push(1, "c\n\nd"), ["abc", ""]);
        assert_eq!(buffer.finish(&1).as_deref(), Some("d"));
        assert_eq!(buffer.finish(&2).as_deref(), Some("y"));
        assert_eq!(buffer.finish(&2), None);
    }

    #[test]
    fn endless_lines_are_cut_between_characters() {
        let mut buffer = LineBuffer::new();
        let text = "é".repeat(MAX_LINE);
        let lines = buffer.push(1, &text);
        assert!(lines.iter().all(|line| line.len() <= MAX_LINE));
        assert_eq!(lines.concat() + &buffer.finish(&1).unwrap_or_default(), text);
    }
}
