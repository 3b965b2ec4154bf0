//! Where each character of an instruction's joined text stands in the file.

use super::span::Span;

/// The text of one instruction, continuation lines joined, and the places its parts came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    pub(super) text: String,
    pub(super) pieces: Vec<Piece>,
}

/// A part of one physical line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Byte offset in the joined text.
    pub(super) offset: usize,
    /// Line, from 1.
    pub(super) line: u32,
    /// Column of the first character, from 1.
    pub(super) column: u32,
}

impl Source {
    /// Returns the joined text: keyword, flags and arguments.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the place of a byte of the joined text.
    pub fn place(&self, offset: usize) -> Span {
        let at = self.pieces.partition_point(|piece| piece.offset <= offset).saturating_sub(1);
        let Some(piece) = self.pieces.get(at) else { return Span::at(1, 1) };
        let before = self.text.get(piece.offset..offset).unwrap_or_default();
        let columns = u32::try_from(before.chars().count()).unwrap_or(u32::MAX);
        Span::at(piece.line, piece.column.saturating_add(columns))
    }

    /// Returns the place where `part` first stands in the text, as a whole word if it does so anywhere, else the beginning.
    pub fn find(&self, part: &str) -> Span {
        let whole = |at: &usize| {
            let before = self.text[..*at].chars().next_back();
            let after = self.text[at + part.len()..].chars().next();
            before.is_none_or(|c| !c.is_alphanumeric()) && after.is_none_or(|c| !c.is_alphanumeric())
        };
        let mut places = self.text.match_indices(part).map(|(at, _)| at);
        let first = self.text.find(part).unwrap_or(0);
        self.place(places.find(whole).unwrap_or(first))
    }

    pub(super) fn push(&mut self, text: &str, line: u32, column: u32) {
        self.pieces.push(Piece { offset: self.text.len(), line, column });
        self.text.push_str(text);
    }
}
