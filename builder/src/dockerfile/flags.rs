//! `--name[=value]` of an instruction (BuildKit `instructions/bflag.go`).

use super::error::{ParseErrorKind, near};
use super::keyword::Keyword;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlagKind {
    /// Nothing, or `true` or `false`.
    Bool,
    /// One value.
    Text,
    /// A value each time it is given.
    List,
}

/// A `--name[=value]` of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Name without dashes.
    pub name: String,
    /// Value, unquoted but not expanded; `true` for a flag that needs none.
    pub value: String,
}

/// Reads the words of an instruction's flags.
pub(super) fn parse(keyword: Keyword, words: &[String]) -> Result<Vec<Flag>, ParseErrorKind> {
    let mut flags: Vec<Flag> = Vec::new();
    for word in words {
        let (flag, kind) = one(keyword, word)?;
        if kind != FlagKind::List && flags.iter().any(|earlier| earlier.name == flag.name) {
            return Err(fault(keyword, &flag.name, "is given twice".to_owned()));
        }
        flags.push(flag);
    }
    Ok(flags)
}

fn one(keyword: Keyword, word: &str) -> Result<(Flag, FlagKind), ParseErrorKind> {
    let body = word.strip_prefix("--").unwrap_or(word);
    let (name, value) = match body.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (body, None),
    };
    let Some((_, kind)) = keyword.flags().iter().find(|(known, _)| *known == name) else {
        let near = near(name, keyword.flags().iter().map(|(name, _)| *name));
        let flag = format!("--{}", name.chars().take(64).collect::<String>());
        return Err(ParseErrorKind::UnknownFlag { keyword: keyword.name(), flag, near });
    };
    let value = match (kind, value) {
        (FlagKind::Bool, None) => "true".to_owned(),
        (FlagKind::Bool, Some(value)) => match value.to_ascii_lowercase() {
            lower if matches!(lower.as_str(), "true" | "false") => lower,
            other => return Err(fault(keyword, name, format!("is true or false, not {other:?}"))),
        },
        (_, Some(value)) => value.to_owned(),
        (_, None) => return Err(fault(keyword, name, "needs a value".to_owned())),
    };
    Ok((Flag { name: name.to_owned(), value }, *kind))
}

fn fault(keyword: Keyword, name: &str, fault: String) -> ParseErrorKind {
    ParseErrorKind::BadFlag { keyword: keyword.name(), flag: format!("--{name}"), fault }
}
