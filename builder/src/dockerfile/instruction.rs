//! One instruction: keyword, flags, raw arguments.

use std::sync::Arc;

use super::error::ParseErrorKind;
use super::flags::{self, Flag};
use super::form::Form;
use super::heredoc::Heredoc;
use super::keyword::Keyword;
use super::lines::LogicalLine;
use super::source::Source;
use super::span::Span;
use super::words::take_flags;

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// What it is.
    pub keyword: Keyword,
    /// Its flags in order.
    pub flags: Vec<Flag>,
    /// Everything after keyword and flags, continuation lines joined, not expanded.
    pub arguments: String,
    /// How the arguments are written.
    pub form: Form,
    /// Its heredocs in order.
    pub heredocs: Vec<Heredoc>,
    /// Where it is.
    pub span: Span,
    /// Its whole text and where each part of it stands.
    pub source: Arc<Source>,
    /// The trigger, if this is ONBUILD and it can be read.
    pub trigger: Option<Box<Instruction>>,
    /// Why it cannot: an error only for the stages it would run in.
    pub bad_trigger: Option<Box<ParseErrorKind>>,
}

impl Instruction {
    /// Returns the value of the last flag of this name.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|flag| flag.name == name).map(|flag| flag.value.as_str())
    }

    /// Returns whether the arguments are in JSON ("exec") form.
    pub fn is_json(&self) -> bool {
        matches!(self.form, Form::Json(_))
    }

    /// Returns the arguments of an instruction that takes a list: the JSON strings, or what white space separates.
    pub fn words(&self) -> Vec<&str> {
        match &self.form {
            Form::Json(words) => words.iter().map(String::as_str).collect(),
            Form::Shell => self.arguments.split_whitespace().collect(),
        }
    }

    /// Returns the span of the instruction, pointing at the first place where `part` stands in it.
    pub fn point_at(&self, part: &str) -> Span {
        let place = self.source.find(part);
        Span { end_line: place.line, ..place }
    }

    /// Reads an ONBUILD trigger of a base image's config, which stands where its FROM is.
    ///
    /// # Errors
    /// What BuildKit would refuse.
    pub fn of_trigger(text: &str, from: Span) -> Result<Self, ParseErrorKind> {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let mut source = Source::default();
        source.push(first, from.line, from.column);
        let mut lines = rest.lines();
        let announced = if takes_heredocs(first) { Heredoc::announced(first) } else { Vec::new() };
        let filled = announced.into_iter().map(|mut heredoc| {
            for line in lines.by_ref().take_while(|line| *line != heredoc.name) {
                heredoc.content.push_str(line);
                heredoc.content.push('\n');
            }
            heredoc
        });
        let heredocs = filled.collect();
        let source = Arc::new(source);
        Self::read(source.text(), &source, from, heredocs, true)
    }

    /// Reads a logical line.
    pub(super) fn parse(line: LogicalLine) -> Result<Self, ParseErrorKind> {
        let source = Arc::new(line.source);
        Self::read(source.text(), &source, line.span, line.heredocs, false)
    }

    fn read(
        text: &str,
        source: &Arc<Source>,
        span: Span,
        heredocs: Vec<Heredoc>,
        is_trigger: bool,
    ) -> Result<Self, ParseErrorKind> {
        let (word, rest) = split_keyword(text);
        let keyword = Keyword::parse(word)?;
        if is_trigger && matches!(keyword, Keyword::Onbuild | Keyword::From | Keyword::Maintainer) {
            return Err(ParseErrorKind::BadTrigger(keyword.name()));
        }
        if keyword == Keyword::Onbuild && !rest.is_empty() {
            let (trigger, bad_trigger) = match Self::read(rest, source, span, heredocs.clone(), true) {
                Err(error @ ParseErrorKind::BadTrigger(_)) => return Err(error),
                Err(error) => (None, Some(Box::new(error))),
                Ok(inner) => (Some(Box::new(inner)), None),
            };
            let (arguments, source) = (rest.to_owned(), Arc::clone(source));
            let (flags, form) = (Vec::new(), Form::Shell);
            return Ok(Self { keyword, flags, arguments, form, heredocs, span, source, trigger, bad_trigger });
        }
        let (words, arguments) = take_flags(rest);
        let flags = flags::parse(keyword, &words)?;
        let arguments = arguments.trim().to_owned();
        let form = Form::parse(keyword, &arguments)?;
        let source = Arc::clone(source);
        Ok(Self { keyword, flags, arguments, form, heredocs, span, source, trigger: None, bad_trigger: None })
    }
}

fn split_keyword(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.find(char::is_whitespace) {
        Some(at) => (&text[..at], text[at..].trim_start()),
        None => (text, ""),
    }
}

/// Returns whether a logical line's instruction may have heredocs: RUN, COPY, ADD, also under ONBUILD, not in JSON form.
pub(super) fn takes_heredocs(text: &str) -> bool {
    if !text.contains("<<") {
        return false;
    }
    let (mut word, mut rest) = split_keyword(text);
    if word.eq_ignore_ascii_case("ONBUILD") {
        (word, rest) = split_keyword(rest);
    }
    let keyword = match Keyword::parse(word) {
        Ok(keyword @ (Keyword::Run | Keyword::Copy | Keyword::Add)) => keyword,
        _ => return false,
    };
    !matches!(Form::parse(keyword, take_flags(rest).1.trim()), Ok(Form::Json(_)))
}
