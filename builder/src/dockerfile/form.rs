//! JSON ("exec") and shell form of arguments (BuildKit `line_parsers.go`, `parseMaybeJSON`).

use super::error::ParseErrorKind;
use super::keyword::Keyword;

/// How arguments are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A JSON array of strings.
    Json(Vec<String>),
    /// Anything else.
    Shell,
}

impl Form {
    /// Reads the arguments of an instruction that may be in JSON form. An array with anything but strings is an error; what
    /// is no JSON at all is shell form.
    pub(super) fn parse(keyword: Keyword, arguments: &str) -> Result<Self, ParseErrorKind> {
        let text = match keyword {
            // The first word is the type, CMD.
            Keyword::Healthcheck => arguments.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start()),
            Keyword::Add
            | Keyword::Cmd
            | Keyword::Copy
            | Keyword::Entrypoint
            | Keyword::Run
            | Keyword::Shell
            | Keyword::Volume => arguments,
            _ => return Ok(Self::Shell),
        };
        if !text.starts_with('[') {
            return Ok(Self::Shell);
        }
        match serde_json::from_str::<Vec<serde_json::Value>>(text) {
            Err(_) => Ok(Self::Shell),
            Ok(values) => {
                let strings = values.into_iter().map(|value| match value {
                    serde_json::Value::String(text) => Some(text),
                    _ => None,
                });
                strings.collect::<Option<Vec<_>>>().map(Self::Json).ok_or(ParseErrorKind::NotStrings)
            }
        }
    }
}
