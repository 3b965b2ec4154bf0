//! Dockerfiles: text to instructions with positions, instructions to stages, and the expansion of variables.
//!
//! Owns: the syntax, as BuildKit's built-in frontend reads it. Pure: no files, clock or environment; never panics, takes
//! time linear in the text. Never: decides what runs where; that is [`crate::plan`].

mod arguments;
mod directives;
mod error;
mod expand;
mod flags;
mod form;
mod heredoc;
mod instruction;
mod keyword;
mod lines;
mod locate;
mod mount;
mod parse;
mod references;
mod shell_pattern;
mod source;
mod span;
mod stage;
#[cfg(test)]
mod tests;
mod words;

pub use directives::{Directives, detect_syntax};
pub(crate) use error::near;
pub use error::{ParseError, ParseErrorKind};
pub use expand::{ExpandError, LONGEST_HEREDOC, expand, expand_heredoc};
pub use flags::Flag;
pub use form::Form;
pub use heredoc::Heredoc;
pub use instruction::Instruction;
pub use keyword::Keyword;
pub use mount::{Mount, MountError, MountKind};
pub use parse::parse;
pub use references::Reference;
pub use source::Source;
pub use span::Span;
pub use stage::{Assignment, Dockerfile, Stage};
