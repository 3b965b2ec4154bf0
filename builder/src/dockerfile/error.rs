//! What is wrong with a Dockerfile, where, and what was probably meant.

use super::Span;

/// One error, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}: {kind}", span.line)]
pub struct ParseError {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// Where.
    pub span: Span,
    /// Text of the line where `span` begins.
    pub line_text: String,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    /// The file has no instruction at all.
    #[error("the Dockerfile has no instructions")]
    Empty,
    /// The first word of a line is no instruction.
    #[error("unknown instruction {name:?}")]
    UnknownInstruction {
        /// The word.
        name: String,
        /// Instructions it resembles, best first.
        near: Vec<&'static str>,
    },
    /// An instruction has a flag it does not know.
    #[error("unknown flag {flag:?} for {keyword}")]
    UnknownFlag {
        /// The instruction.
        keyword: &'static str,
        /// The flag as written.
        flag: String,
        /// Flags it resembles, best first.
        near: Vec<&'static str>,
    },
    /// A directive is written twice.
    #[error("only one {0} directive can be used")]
    RepeatedDirective(String),
    /// The escape directive is neither a backslash nor a backtick.
    #[error("escape character {0:?} is neither \\ nor `")]
    BadEscape(String),
    /// A heredoc has no end.
    #[error("heredoc {0:?} is not terminated")]
    UnterminatedHeredoc(String),
    /// There is no FROM.
    #[error("the Dockerfile has no FROM")]
    NoFrom,
    /// An instruction other than ARG stands before the first FROM.
    #[error("{0} before the first FROM")]
    NoStage(&'static str),
    /// FROM has a wrong number of arguments.
    #[error("FROM takes an image, or an image, AS and a name")]
    FromArguments,
    /// A stage name has an unacceptable character.
    #[error("invalid stage name {0:?}: it must begin with a letter and hold letters, digits, '-', '_' and '.'")]
    BadStageName(String),
    /// An instruction lacks arguments.
    #[error("{keyword} needs at least {least} argument(s)")]
    MissingArguments {
        /// The instruction.
        keyword: &'static str,
        /// Arguments needed.
        least: usize,
    },
    /// ENV or LABEL has a word without `=`, or a name is empty.
    #[error("{0:?} is not of the form name=value")]
    NotNameValue(String),
    /// The instruction cannot be an ONBUILD trigger.
    #[error("{0} cannot be an ONBUILD trigger")]
    BadTrigger(&'static str),
    /// A variable in a place where none are expanded.
    #[error("variable expansion is not supported in {0:?}")]
    NoExpansion(String),
    /// The text is not UTF-8.
    #[error("the line is not UTF-8")]
    NotUtf8,
}

impl ParseErrorKind {
    /// Returns what was probably meant, best first.
    pub fn near(&self) -> &[&'static str] {
        match self {
            Self::UnknownInstruction { near, .. } | Self::UnknownFlag { near, .. } => near,
            _ => &[],
        }
    }
}

/// Returns the candidates that resemble `word`, best first (Damerau-Levenshtein distance of at most a third of its length).
pub(crate) fn near<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    /// Longer words are not worth comparing.
    const LONGEST: usize = 64;
    let word: String = word.chars().take(LONGEST).flat_map(char::to_lowercase).collect();
    let limit = word.chars().count().div_ceil(3).max(1);
    let distance = |candidate: &str| {
        let lower: String = candidate.chars().take(LONGEST).flat_map(char::to_lowercase).collect();
        strsim::damerau_levenshtein(&word, &lower)
    };
    let mut found: Vec<_> = candidates.into_iter().map(|c| (distance(c), c)).filter(|(d, _)| *d <= limit).collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().map(|(_, candidate)| candidate).take(3).collect()
}
