//! What the user is told.

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Redrawn in place.
    Tty,
    /// Whole lines, prefixed.
    Plain,
    /// One JSON event a line.
    Json,
    /// Nothing.
    Quiet,
}
