//! The whole way from bytes to stages.

use super::arguments;
use super::directives::Directives;
use super::error::{ParseError, ParseErrorKind};
use super::instruction::Instruction;
use super::keyword::Keyword;
use super::lines::{Joiner, number};
use super::span::Span;
use super::stage::{Assignment, Dockerfile, Stage};

/// More errors help nobody, and a file that is no Dockerfile would have one for every line.
const MOST_ERRORS: usize = 20;

/// Longest line BuildKit reads, in bytes (`bufio.MaxScanTokenSize`).
const LONGEST_LINE: usize = 65_535;

/// Longest piece of a line kept for a message, in characters.
const LINE_TEXT: usize = 4096;

/// Parses a Dockerfile.
///
/// # Errors
/// Returns every error found, in the order of their lines; never an empty list.
pub fn parse(bytes: &[u8]) -> Result<Dockerfile, Vec<ParseError>> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    let mut builder = Builder::default();
    if let Err(e) = std::str::from_utf8(bytes) {
        let before = bytes.get(..e.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        builder.error(Span::at(number(line), 1), ParseErrorKind::NotUtf8);
    }
    if let Some(at) = lines.iter().position(|line| line.len() > LONGEST_LINE) {
        builder.error(Span::at(number(at + 1), 1), ParseErrorKind::LineTooLong);
    }
    let (directives, wrong) = Directives::read(lines.iter().copied());
    for (at, kind) in wrong {
        builder.error(Span::at(number(at + 1), 1), kind);
    }
    builder.escape = directives.escape();
    let (logical, open) = Joiner::new(&lines, builder.escape).run();
    for (span, kind) in open {
        builder.error(span, kind);
    }
    if logical.is_empty() {
        builder.error(Span::at(1, 1), ParseErrorKind::Empty);
    }
    for line in logical {
        let (span, source) = (line.span, line.source.clone());
        if let Err(kind) = Instruction::parse(line).and_then(|instruction| builder.add(instruction)) {
            let place = kind.culprit().map(|part| source.find(part));
            builder.error(place.map_or(span, |place| Span { end_line: span.end_line, ..place }), kind);
        }
        if builder.errors.len() >= MOST_ERRORS {
            break;
        }
    }
    builder.finish(directives, &lines)
}

#[derive(Default)]
struct Builder {
    escape: char,
    global_args: Vec<Assignment>,
    stages: Vec<Stage>,
    errors: Vec<(Span, ParseErrorKind)>,
}

impl Builder {
    fn error(&mut self, span: Span, kind: ParseErrorKind) {
        self.errors.push((span, kind));
    }

    fn add(&mut self, instruction: Instruction) -> Result<(), ParseErrorKind> {
        arguments::check(&instruction, self.escape)?;
        match (instruction.keyword, self.stages.last_mut()) {
            (Keyword::From, _) => self.stages.push(stage(&instruction)?),
            (Keyword::Arg, None) => self.global_args.extend(Assignment::of_arg(&instruction, self.escape)?),
            (_, Some(stage)) => stage.instructions.push(instruction),
            // After a FROM that is itself wrong, only that FROM is worth a message.
            (_, None) if self.errors.iter().any(|(_, kind)| is_about_from(kind)) => {}
            (keyword, None) => return Err(ParseErrorKind::NoStage(keyword.name())),
        }
        Ok(())
    }

    fn finish(mut self, directives: Directives, lines: &[&str]) -> Result<Dockerfile, Vec<ParseError>> {
        if self.stages.is_empty() && self.errors.is_empty() {
            let span = self.global_args.last().map_or(Span::at(1, 1), |arg| arg.span);
            self.error(span, ParseErrorKind::NoFrom);
        }
        if self.errors.is_empty() {
            let lines = lines.iter().map(|line| (*line).to_owned()).collect();
            return Ok(Dockerfile { directives, global_args: self.global_args, stages: self.stages, lines });
        }
        self.errors.sort_by_key(|(span, _)| *span);
        let line_text = |span: Span| {
            let at = usize::try_from(span.line).unwrap_or(0).wrapping_sub(1);
            lines.get(at).map_or_else(String::new, |line| line.chars().take(LINE_TEXT).collect())
        };
        let place = |(span, kind)| ParseError { kind, span, line_text: line_text(span) };
        Err(self.errors.into_iter().map(place).collect())
    }
}

fn is_about_from(kind: &ParseErrorKind) -> bool {
    matches!(kind, ParseErrorKind::FromArguments | ParseErrorKind::BadStageName(_))
        || matches!(kind, ParseErrorKind::UnknownInstruction { near, .. } if near.first() == Some(&"FROM"))
        || matches!(kind, ParseErrorKind::UnknownFlag { keyword: "FROM", .. })
}

fn stage(from: &Instruction) -> Result<Stage, ParseErrorKind> {
    let words: Vec<&str> = from.arguments.split_whitespace().collect();
    let (base, name) = match *words.as_slice() {
        [base] => (base, None),
        [base, keyword, name] if keyword.eq_ignore_ascii_case("AS") => (base, Some(stage_name(name)?)),
        _ => return Err(ParseErrorKind::FromArguments),
    };
    Ok(Stage {
        name,
        base: base.to_owned(),
        platform: from.flag("platform").map(str::to_owned),
        instructions: Vec::new(),
        span: from.span,
        from: from.clone(),
    })
}

/// BuildKit `parseBuildStageName`: lower-cased, `^[a-z][a-z0-9-_.]*$`.
fn stage_name(name: &str) -> Result<String, ParseErrorKind> {
    let lower = name.to_lowercase();
    let letter = lower.starts_with(|c: char| c.is_ascii_lowercase());
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    if letter && lower.chars().all(rest) { Ok(lower) } else { Err(ParseErrorKind::BadStageName(name.to_owned())) }
}
