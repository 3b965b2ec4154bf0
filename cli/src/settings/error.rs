//! Why settings cannot be made from the command line.

use std::path::PathBuf;

use polyarch_registry::oci::ReferenceError;

/// Why one value of an option cannot be used. Pure parsers return it; the caller adds the option's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ValueError {
    /// The value as the user wrote it.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
    /// Byte offset of the fault in `value`, where one place is at fault.
    pub at: Option<usize>,
    /// What the user may have meant.
    pub hint: Option<String>,
}

impl ValueError {
    /// Returns an error about the whole value.
    pub fn new(value: &str, reason: impl Into<String>) -> Self {
        Self { value: value.to_owned(), reason: reason.into(), at: None, hint: None }
    }

    /// Returns the same error with the place of the fault.
    #[must_use]
    pub fn at(self, at: usize) -> Self {
        Self { at: Some(at), ..self }
    }

    /// Returns the same error with advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Returns the same error with "did you mean", if there is anything near.
    #[must_use]
    pub fn near(self, word: &str, known: &[&str]) -> Self {
        match super::near::nearest(word, known.iter().copied()) {
            Some(name) => self.hint(format!("did you mean `{name}`?")),
            None => self.hint(format!("known: {}", known.join(", "))),
        }
    }

    /// Returns the error under the name of its option.
    pub fn of(self, option: &'static str) -> SettingsError {
        SettingsError::Value { option, source: self }
    }
}

impl From<ReferenceError> for ValueError {
    fn from(error: ReferenceError) -> Self {
        Self {
            value: error.text,
            reason: format!("invalid reference: {}", error.reason),
            at: Some(error.at),
            hint: None,
        }
    }
}

/// Why settings cannot be made from the command line.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// An option's value cannot be used.
    #[error("`{option}{}{}` cannot be used", separator(option), .source.value)]
    Value {
        /// Option as written, such as `--tag`.
        option: &'static str,
        /// Why.
        #[source]
        source: ValueError,
    },
    /// The context is neither a directory nor a URL.
    #[error("build context {path:?} {reason}")]
    Context {
        /// As the user wrote it.
        path: String,
        /// What it is instead.
        reason: &'static str,
        /// Directories with a similar name.
        near: Vec<String>,
    },
    /// The Dockerfile is not there.
    #[error("there is no Dockerfile at {}", .path.display())]
    Dockerfile {
        /// Where it was looked for.
        path: PathBuf,
        /// Files in the same folder that may have been meant.
        near: Vec<String>,
    },
    /// Two options cannot be used together, or one needs another.
    #[error("{what}")]
    Conflict {
        /// What excludes what, or needs what.
        what: String,
        /// What to do.
        hint: Option<&'static str>,
    },
    /// A directory that depends on the environment cannot be found.
    #[error("there is no place for {what}: neither {option} nor $HOME is set")]
    NoHome {
        /// What needs a place.
        what: &'static str,
        /// Option that names one.
        option: &'static str,
    },
    /// A named file or standard input cannot be read.
    #[error("{action} {}", .path.display())]
    Io {
        /// What was attempted, such as `read`.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
}

/// As one writes it: `--tag VALUE`, and `VARIABLE=VALUE` in an environment.
fn separator(option: &str) -> char {
    if option.contains('_') { '=' } else { ' ' }
}

impl SettingsError {
    /// Returns a conflict without further advice.
    pub fn conflict(what: impl Into<String>) -> Self {
        Self::Conflict { what: what.into(), hint: None }
    }
}
