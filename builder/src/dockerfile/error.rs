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
    /// A flag has a wrong value, or is given too often.
    #[error("{flag} of {keyword} {fault}")]
    BadFlag {
        /// The instruction.
        keyword: &'static str,
        /// The flag, with its dashes.
        flag: String,
        /// What is wrong with it.
        fault: String,
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
    /// The arguments are not what the instruction takes.
    #[error("{keyword} {fault}")]
    BadArguments {
        /// The instruction.
        keyword: &'static str,
        /// What it demands.
        fault: &'static str,
    },
    /// A JSON array has something else than strings.
    #[error("a JSON array of arguments must hold strings only")]
    NotStrings,
    /// ENV or LABEL has a word without `=`, or a name is empty.
    #[error("{0:?} is not of the form name=value")]
    NotNameValue(String),
    /// The instruction cannot be an ONBUILD trigger.
    #[error("{0} cannot be an ONBUILD trigger")]
    BadTrigger(&'static str),
    /// A variable in a place where none are expanded.
    #[error("variable expansion is not supported in {0:?}")]
    NoExpansion(String),
    /// A line is longer than BuildKit reads.
    #[error("the line is longer than 65535 bytes")]
    LineTooLong,
    /// The text is not UTF-8.
    #[error("the line is not UTF-8")]
    NotUtf8,
}

impl ParseErrorKind {
    /// Returns the part of the instruction that is at fault, as it is written there.
    pub(super) fn culprit(&self) -> Option<&str> {
        match self {
            Self::UnknownFlag { flag, .. } | Self::BadFlag { flag, .. } => Some(flag),
            Self::BadStageName(text) | Self::NotNameValue(text) | Self::NoExpansion(text) => Some(text),
            Self::BadTrigger(name) => Some(name),
            Self::NotStrings => Some("["),
            _ => None,
        }
    }

    /// Returns advice, where there is one that fits.
    pub fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::Empty | Self::NoFrom => "begin with FROM and a base image, or FROM scratch",
            Self::RepeatedDirective(_) => "leave one of the two",
            Self::BadEscape(_) => "write `# escape=\\` or `# escape=`, with a backtick",
            Self::UnterminatedHeredoc(_) => {
                "end it with a line that holds this word alone; a shell's `<<` outside a heredoc needs quotes"
            }
            Self::NoStage(_) => "only ARG may stand before the first FROM",
            Self::FromArguments => "write `FROM IMAGE` or `FROM IMAGE AS NAME`",
            Self::BadStageName(_) => "such as build, build-2 or final",
            Self::NotStrings => "put every argument in double quotes",
            Self::NotNameValue(_) => "write name=value; a value with spaces needs quotes",
            Self::NoExpansion(_) => "name a stage: `FROM image:$TAG AS alias`, then --from=alias",
            Self::LineTooLong => "break it with a line continuation, or move the text into a file and COPY it",
            Self::NotUtf8 => "save the file as UTF-8",
            Self::BadTrigger(_) => "write the instruction in the Dockerfile that builds on this image",
            _ => return None,
        })
    }

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
