//! Positions in a Dockerfile.

use serde::Serialize;

/// Lines of an instruction, and the column where the point of interest begins. All counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Span {
    /// First line.
    pub line: u32,
    /// Column in the first line, in characters.
    pub column: u32,
    /// Last line, heredocs included.
    pub end_line: u32,
}

impl Span {
    /// A position within one line.
    pub fn at(line: u32, column: u32) -> Self {
        Self { line, column, end_line: line }
    }
}
