//! Errors as the user sees them: what failed, why, and what to do.
//!
//! Owns: exit codes and hints for every library error, the rendering of `error:`, `caused by:` and
//! `hint:`. Never: parses messages; it asks the errors.

mod registry;

use std::error::Error;
use std::fmt::Write as _;

use crate::exit_code::ExitCode;
use crate::settings::{SettingsError, ValueError};
use crate::style::Style;
use crate::text::escape;

pub use registry::store_advice;

/// An error ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How the process ends.
    pub code: ExitCode,
    /// What failed, then its causes, outermost first.
    pub chain: Vec<String>,
    /// A text the user wrote, and the byte offset of the fault in it.
    pub pointer: Option<(String, usize)>,
    /// What to do, most useful first.
    pub hints: Vec<String>,
}

impl Diagnostic {
    /// Returns a diagnostic of an error and all its sources.
    pub fn new(code: ExitCode, error: &(dyn Error + 'static)) -> Self {
        let mut chain: Vec<String> = Vec::new();
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            // A transparent layer says what the one above it said.
            if chain.last() != Some(&text) {
                chain.push(text);
            }
            next = error.source();
        }
        Self { code, chain, pointer: None, hints: Vec::new() }
    }

    /// Returns the diagnostic of a cancelled command.
    pub fn cancelled() -> Self {
        Self::message(ExitCode::Cancelled, "cancelled")
    }

    /// Returns the diagnostic of something that must not happen.
    pub fn bug(error: &(dyn Error + 'static)) -> Self {
        Self::new(ExitCode::Bug, error).hint("this is a bug in polyarch; please report it with the output of -vv")
    }

    /// Returns a diagnostic of one sentence.
    pub fn message(code: ExitCode, text: impl Into<String>) -> Self {
        Self { code, chain: vec![text.into()], pointer: None, hints: Vec::new() }
    }

    /// Returns the same diagnostic with what was attempted above it.
    #[must_use]
    pub fn context(mut self, attempted: impl Into<String>) -> Self {
        self.chain.insert(0, attempted.into());
        self
    }

    /// Returns the same diagnostic with an error and its causes below it.
    #[must_use]
    pub fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        self.chain.extend(Self::new(self.code, error).chain);
        self
    }

    /// Returns the same diagnostic with advice, unless it has that advice already.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        if !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
        self
    }

    /// Returns the text, ending in a newline. Everything untrusted is escaped.
    pub fn render(&self, style: Style) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        for (depth, text) in self.chain.iter().enumerate() {
            let text = indent(&escape(text));
            let _ = match depth {
                0 => writeln!(out, "{} {text}", style.error("error:")),
                _ => writeln!(out, "  caused by: {text}"),
            };
        }
        if let Some((text, at)) = &self.pointer {
            let before = escape(text.get(..*at).unwrap_or(text));
            let _ =
                writeln!(out, "\n    {}\n    {}{}", escape(text), " ".repeat(before.chars().count()), style.error("^"));
        }
        if self.pointer.is_some() && !self.hints.is_empty() {
            out.push('\n');
        }
        for hint in &self.hints {
            let _ = writeln!(out, "{} {}", style.hint("hint:"), indent(&escape(hint)));
        }
        out
    }
}

/// Continues a text of several lines under its first one.
fn indent(text: &str) -> String {
    text.replace('\n', "\n    ")
}

impl From<SettingsError> for Diagnostic {
    fn from(error: SettingsError) -> Self {
        let diagnostic = Self::new(ExitCode::Usage, &error);
        match error {
            SettingsError::Value { source, .. } => diagnostic.with_value(source),
            SettingsError::Context { near, .. } if !near.is_empty() => {
                diagnostic.hint(format!("did you mean `{}`?", near.join("`, `")))
            }
            SettingsError::Context { .. } => {
                diagnostic.hint("CONTEXT is a directory, a Git or HTTP URL, or `-` for standard input")
            }
            SettingsError::Dockerfile { near, .. } if !near.is_empty() => {
                diagnostic.hint(format!("there is {}; name one with --file", near.join(", ")))
            }
            SettingsError::Dockerfile { .. } => diagnostic.hint("name the Dockerfile with --file, or pipe it: -f -"),
            SettingsError::Conflict { hint: Some(hint), .. } => diagnostic.hint(hint),
            SettingsError::NoHome { option, .. } => diagnostic.hint(format!("name a directory with {option}")),
            SettingsError::Conflict { .. } | SettingsError::Io { .. } => diagnostic,
        }
    }
}

impl Diagnostic {
    fn with_value(mut self, error: ValueError) -> Self {
        // A caret under the first character says nothing the value itself does not.
        self.pointer = error.at.filter(|at| *at > 0).map(|at| (error.value, at));
        match error.hint {
            Some(hint) => self.hint(hint),
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_chain_pointer_and_unique_hints() {
        let error = ValueError::new("a:B", "upper case").at(2).hint("write it small").of("--tag");
        let shown = Diagnostic::from(error).hint("write it small").render(Style::plain());
        assert_eq!(
            shown,
            "error: `--tag a:B` cannot be used\n  caused by: upper case\n\n    a:B\n      ^\n\nhint: write it small\n"
        );
    }

    #[test]
    fn escapes_what_others_wrote() {
        let shown = Diagnostic::message(ExitCode::Build, "bad \x1b[2Jname").render(Style::plain());
        assert_eq!(shown, "error: bad \\u{1b}[2Jname\n");
    }
}
