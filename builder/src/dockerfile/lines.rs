//! Physical lines to logical lines: comments, continuations, heredocs (BuildKit `parser.go`, `Parse`).

use super::error::ParseErrorKind;
use super::heredoc::Heredoc;
use super::instruction::takes_heredocs;
use super::source::Source;
use super::span::Span;

/// One instruction's text with its continuation lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogicalLine {
    pub(super) source: Source,
    pub(super) span: Span,
    pub(super) heredocs: Vec<Heredoc>,
}

/// Joins lines. `escape` ends a line that goes on.
pub(super) struct Joiner<'a> {
    lines: &'a [&'a str],
    escape: char,
    next: usize,
}

impl<'a> Joiner<'a> {
    pub(super) fn new(lines: &'a [&'a str], escape: char) -> Self {
        Self { lines, escape, next: 0 }
    }

    /// Returns all logical lines and, for heredocs without end, the place where they begin.
    pub(super) fn run(mut self) -> (Vec<LogicalLine>, Vec<(Span, ParseErrorKind)>) {
        let mut logical = Vec::new();
        let mut errors = Vec::new();
        while let Some(mut line) = self.join() {
            let text = line.source.text();
            let announced = if takes_heredocs(text) { Heredoc::announced(text) } else { Vec::new() };
            for heredoc in announced {
                let name = heredoc.name.clone();
                let place = line.source.find("<<");
                match self.fill(heredoc) {
                    Some(filled) => line.heredocs.push(filled),
                    None => errors.push((place, ParseErrorKind::UnterminatedHeredoc(name))),
                }
            }
            line.span.end_line = number(self.next);
            logical.push(line);
        }
        (logical, errors)
    }

    fn take(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.next)?;
        self.next += 1;
        Some(line)
    }

    fn join(&mut self) -> Option<LogicalLine> {
        let mut source = Source::default();
        loop {
            let raw = self.take()?;
            let line = raw.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let start = number(self.next);
            let column = number(raw.chars().count() - line.chars().count() + 1);
            let mut goes_on = self.append(&mut source, line, column);
            while goes_on {
                let Some(next) = self.take() else { break };
                let trimmed = next.trim_start();
                if !trimmed.is_empty() && !trimmed.starts_with('#') {
                    goes_on = self.append(&mut source, next, 1);
                }
            }
            if !source.text().trim().is_empty() {
                let span = Span { line: start, column, end_line: start };
                return Some(LogicalLine { source, span, heredocs: Vec::new() });
            }
            source = Source::default();
        }
    }

    /// Appends a line without its continuation mark; returns whether there was one.
    fn append(&self, source: &mut Source, line: &str, column: u32) -> bool {
        let rest = line.trim_end_matches([' ', '\t']).strip_suffix(self.escape);
        source.push(rest.unwrap_or(line), number(self.next), column);
        rest.is_some()
    }

    /// Reads the heredoc's lines; `None` if the file ends first.
    fn fill(&mut self, mut heredoc: Heredoc) -> Option<Heredoc> {
        loop {
            let line = self.take()?;
            if heredoc.ends_at(line) {
                return Some(heredoc);
            }
            heredoc.content.push_str(line);
            heredoc.content.push('\n');
        }
    }
}

pub(super) fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
