//! Colours of the terminal, in one place. Output reads the same without them.

use std::fmt::Display;

/// Whether a stream gets colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colored: bool,
}

impl Style {
    /// Returns a style for a stream that gets colour or not.
    pub const fn new(colored: bool) -> Self {
        Self { colored }
    }

    /// Returns a style without colour.
    pub const fn plain() -> Self {
        Self::new(false)
    }

    /// Something failed.
    pub fn error(self, text: impl Display) -> String {
        self.paint("1;31", text)
    }

    /// Something needs attention.
    pub fn warning(self, text: impl Display) -> String {
        self.paint("1;33", text)
    }

    /// Advice.
    pub fn hint(self, text: impl Display) -> String {
        self.paint("1;36", text)
    }

    /// Something succeeded.
    pub fn good(self, text: impl Display) -> String {
        self.paint("32", text)
    }

    /// A heading.
    pub fn bold(self, text: impl Display) -> String {
        self.paint("1", text)
    }

    /// Something secondary.
    pub fn dim(self, text: impl Display) -> String {
        self.paint("2", text)
    }

    /// Wraps text in an SGR sequence (ECMA-48). The text must have been escaped before.
    fn paint(self, code: &str, text: impl Display) -> String {
        if self.colored { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}
