//! Ignore patterns as moby/patternmatcher reads them: `.dockerignore` and the patterns a daemon sends.
//!
//! Owns: parsing of ignore files, pattern compilation, matching with parent directories and `!` exceptions.
//! Never: touches the file system; never backtracks, so a hostile pattern costs pattern length times path length.

mod choice;
mod file;
mod glob;
mod nfa;
mod path;
mod regex;
mod set;
#[cfg(test)]
mod tests;

pub use choice::candidates;
pub use file::parse_ignore_file;
pub use glob::Glob;
pub use path::clean;
pub use set::{ParentMatch, Pattern, PatternSet};

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The pattern is a lone `!`.
    #[error("exclusion pattern \"!\" excludes nothing")]
    LoneExclamation,
    /// Brackets, ranges or escapes are malformed, or use an escape letter polyarch does not read.
    #[error("pattern {0:?} is malformed")]
    Malformed(String),
}
