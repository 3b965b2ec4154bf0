//! One instruction: keyword, flags, raw arguments.

use super::error::{ParseErrorKind, near};
use super::heredoc::Heredoc;
use super::lines::LogicalLine;
use super::span::Span;
use super::words::take_flags;

/// The instructions BuildKit's built-in frontend knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
}

/// Keyword, name, flags it takes, least number of arguments.
const TABLE: [(Keyword, &str, &[&str], usize); 18] = [
    (Keyword::Add, "ADD", &["chown", "chmod", "link", "keep-git-dir", "checksum", "exclude", "parents", "unpack"], 2),
    (Keyword::Arg, "ARG", &[], 1),
    (Keyword::Cmd, "CMD", &[], 0),
    (Keyword::Copy, "COPY", &["from", "chown", "chmod", "link", "parents", "exclude"], 2),
    (Keyword::Entrypoint, "ENTRYPOINT", &[], 0),
    (Keyword::Env, "ENV", &[], 1),
    (Keyword::Expose, "EXPOSE", &[], 1),
    (Keyword::From, "FROM", &["platform"], 1),
    (Keyword::Healthcheck, "HEALTHCHECK", &["interval", "timeout", "start-period", "start-interval", "retries"], 1),
    (Keyword::Label, "LABEL", &[], 1),
    (Keyword::Maintainer, "MAINTAINER", &[], 1),
    (Keyword::Onbuild, "ONBUILD", &[], 1),
    (Keyword::Run, "RUN", &["mount", "network", "security", "device"], 0),
    (Keyword::Shell, "SHELL", &[], 1),
    (Keyword::Stopsignal, "STOPSIGNAL", &[], 1),
    (Keyword::User, "USER", &[], 1),
    (Keyword::Volume, "VOLUME", &[], 1),
    (Keyword::Workdir, "WORKDIR", &[], 1),
];

impl Keyword {
    /// Returns the upper-case spelling.
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.1)
    }

    fn parse(word: &str) -> Result<Self, ParseErrorKind> {
        TABLE.iter().find(|row| row.1.eq_ignore_ascii_case(word)).map(|row| row.0).ok_or_else(|| {
            let name: String = word.chars().take(64).collect();
            let near = near(&name, TABLE.iter().map(|row| row.1));
            ParseErrorKind::UnknownInstruction { name, near }
        })
    }

    fn flags(self) -> &'static [&'static str] {
        TABLE.iter().find(|row| row.0 == self).map_or(&[], |row| row.2)
    }

    fn least_arguments(self) -> usize {
        TABLE.iter().find(|row| row.0 == self).map_or(0, |row| row.3)
    }
}

/// A `--name[=value]` of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Name without dashes.
    pub name: String,
    /// Value, unquoted but not expanded; empty if none.
    pub value: String,
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// What it is.
    pub keyword: Keyword,
    /// Its flags in order.
    pub flags: Vec<Flag>,
    /// Everything after keyword and flags, continuation lines joined, not expanded.
    pub arguments: String,
    /// Its heredocs in order.
    pub heredocs: Vec<Heredoc>,
    /// Where it is.
    pub span: Span,
    /// The trigger, if this is ONBUILD.
    pub trigger: Option<Box<Instruction>>,
}

impl Instruction {
    /// Returns the value of the last flag of this name.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|flag| flag.name == name).map(|flag| flag.value.as_str())
    }

    /// Returns whether the arguments are in JSON ("exec") form.
    pub fn is_json(&self) -> bool {
        is_json(&self.arguments)
    }

    /// Reads a logical line.
    pub(super) fn parse(line: LogicalLine) -> Result<Self, ParseErrorKind> {
        let LogicalLine { text, span, heredocs } = line;
        let (keyword, rest) = split_keyword(&text);
        let keyword = Keyword::parse(keyword)?;
        let trigger = match keyword {
            Keyword::Onbuild if !rest.is_empty() => {
                let inner = LogicalLine { text: rest.to_owned(), span, heredocs: heredocs.clone() };
                Some(Box::new(parse_trigger(inner)?))
            }
            _ => None,
        };
        let (words, arguments) = if trigger.is_some() { (Vec::new(), rest) } else { take_flags(rest) };
        let flags = words.iter().map(|word| parse_flag(keyword, word)).collect::<Result<_, _>>()?;
        let arguments = arguments.trim().to_owned();
        let instruction = Self { keyword, flags, arguments, heredocs, span, trigger };
        instruction.check_count()?;
        Ok(instruction)
    }

    fn check_count(&self) -> Result<(), ParseErrorKind> {
        let least = self.keyword.least_arguments();
        if self.is_json() || self.arguments.split_whitespace().take(least).count() == least {
            return Ok(());
        }
        Err(ParseErrorKind::MissingArguments { keyword: self.keyword.name(), least })
    }
}

fn parse_trigger(line: LogicalLine) -> Result<Instruction, ParseErrorKind> {
    let keyword = Keyword::parse(split_keyword(&line.text).0)?;
    match keyword {
        Keyword::Onbuild | Keyword::From | Keyword::Maintainer => Err(ParseErrorKind::BadTrigger(keyword.name())),
        _ => Instruction::parse(line),
    }
}

fn parse_flag(keyword: Keyword, word: &str) -> Result<Flag, ParseErrorKind> {
    let body = word.trim_start_matches("--");
    let (name, value) = body.split_once('=').unwrap_or((body, ""));
    let known = keyword.flags();
    if known.contains(&name) {
        return Ok(Flag { name: name.to_owned(), value: value.to_owned() });
    }
    let near = near(name, known.iter().copied());
    Err(ParseErrorKind::UnknownFlag { keyword: keyword.name(), flag: format!("--{name}"), near })
}

fn split_keyword(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.find(char::is_whitespace) {
        Some(at) => (&text[..at], text[at..].trim_start()),
        None => (text, ""),
    }
}

fn is_json(arguments: &str) -> bool {
    arguments.starts_with('[') && serde_json::from_str::<Vec<String>>(arguments).is_ok()
}

/// Returns whether a logical line's instruction may have heredocs: RUN, COPY, ADD, also under ONBUILD, not in JSON form.
pub(super) fn takes_heredocs(text: &str) -> bool {
    let (mut keyword, mut rest) = split_keyword(text);
    if keyword.eq_ignore_ascii_case("ONBUILD") {
        (keyword, rest) = split_keyword(rest);
    }
    let named = ["RUN", "COPY", "ADD"].iter().any(|name| keyword.eq_ignore_ascii_case(name));
    named && !is_json(take_flags(rest).1.trim())
}
