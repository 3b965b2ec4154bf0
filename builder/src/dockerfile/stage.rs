//! Stages and global arguments.

use super::directives::Directives;
use super::error::ParseErrorKind;
use super::instruction::Instruction;
use super::span::Span;
use super::words::split_assignments;

/// A parsed Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// Directives of the first lines.
    pub directives: Directives,
    /// ARGs before the first FROM.
    pub global_args: Vec<Assignment>,
    /// Stages in order; never empty.
    pub stages: Vec<Stage>,
    /// The lines of the text, for messages.
    pub lines: Vec<String>,
}

impl Dockerfile {
    /// Returns the text of a line, counted from 1; empty if there is none.
    pub fn line(&self, number: u32) -> &str {
        let at = usize::try_from(number).unwrap_or(0).wrapping_sub(1);
        self.lines.get(at).map_or("", String::as_str)
    }
}

/// One build stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Name, lower-case.
    pub name: Option<String>,
    /// Base as written, before expansion.
    pub base: String,
    /// `--platform` as written, before expansion.
    pub platform: Option<String>,
    /// Instructions after FROM.
    pub instructions: Vec<Instruction>,
    /// Where FROM is.
    pub span: Span,
    /// FROM itself.
    pub from: Instruction,
}

/// `NAME` or `NAME=value` of ARG or ENV; the value is not expanded and keeps its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Name.
    pub name: String,
    /// Value, if there is an equals sign.
    pub value: Option<String>,
    /// Where the instruction is.
    pub span: Span,
}

impl Assignment {
    /// Reads ARG's arguments.
    pub fn of_arg(instruction: &Instruction, escape: char) -> Result<Vec<Self>, ParseErrorKind> {
        let words = split_assignments(&instruction.arguments, escape);
        words.iter().map(|word| Self::parse(word, instruction.span)).collect()
    }

    /// Reads ENV's or LABEL's arguments: `name=value …`, or the old `name value`.
    pub fn of_env(instruction: &Instruction, escape: char) -> Result<Vec<Self>, ParseErrorKind> {
        let words = split_assignments(&instruction.arguments, escape);
        let span = instruction.span;
        match words.first() {
            Some(first) if !first.contains('=') => {
                let value = instruction.arguments.strip_prefix(first.as_str()).unwrap_or("").trim_start();
                if value.is_empty() {
                    return Err(ParseErrorKind::NotNameValue(first.clone()));
                }
                Ok(vec![Self { name: first.clone(), value: Some(value.to_owned()), span }])
            }
            _ => words
                .iter()
                .map(|word| Self::parse(word, span))
                .map(|read| match read {
                    Ok(Self { name, value: None, .. }) => Err(ParseErrorKind::NotNameValue(name)),
                    other => other,
                })
                .collect(),
        }
    }

    fn parse(word: &str, span: Span) -> Result<Self, ParseErrorKind> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word, None),
        };
        if name.is_empty() {
            return Err(ParseErrorKind::NotNameValue(word.to_owned()));
        }
        Ok(Self { name: name.to_owned(), value, span })
    }
}
