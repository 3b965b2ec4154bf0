//! What each instruction demands of its arguments (BuildKit `instructions/parse.go`).

use super::error::ParseErrorKind;
use super::form::Form;
use super::heredoc::Heredoc;
use super::instruction::Instruction;
use super::keyword::Keyword;
use super::stage::Assignment;

/// Checks what needs no knowledge of other instructions.
pub(super) fn check(instruction: &Instruction, escape: char) -> Result<(), ParseErrorKind> {
    let inner = instruction.trigger.as_deref().unwrap_or(instruction);
    count(inner)?;
    match inner.keyword {
        Keyword::Arg => drop(Assignment::of_arg(inner, escape)?),
        Keyword::Env | Keyword::Label => drop(Assignment::of_env(inner, escape)?),
        Keyword::Shell if !inner.is_json() => return Err(fault(inner, "takes a JSON array of strings")),
        Keyword::Volume if inner.words().iter().any(|word| word.trim().is_empty()) => {
            return Err(fault(inner, "cannot take an empty path"));
        }
        Keyword::Healthcheck => healthcheck(inner)?,
        Keyword::Add | Keyword::Copy => {
            if inner.words().last().is_some_and(|word| Heredoc::parse(word).is_some()) {
                return Err(fault(inner, "cannot have a heredoc as its destination"));
            }
        }
        Keyword::Run => run(inner)?,
        _ => {}
    }
    let expands = |name: &str| name.find('$').is_some_and(|at| at + 1 < name.len());
    match inner.references().into_iter().find(|reference| expands(&reference.name)) {
        Some(reference) => Err(ParseErrorKind::NoExpansion(format!("from={}", reference.name))),
        None => Ok(()),
    }
}

fn count(instruction: &Instruction) -> Result<(), ParseErrorKind> {
    let least = instruction.keyword.least_arguments();
    let given = match &instruction.form {
        Form::Json(words) if instruction.keyword != Keyword::Healthcheck => words.len(),
        _ => instruction.arguments.split_whitespace().take(least).count(),
    };
    if given >= least {
        return Ok(());
    }
    Err(ParseErrorKind::MissingArguments { keyword: instruction.keyword.name(), least })
}

fn healthcheck(instruction: &Instruction) -> Result<(), ParseErrorKind> {
    let (kind, rest) = instruction.arguments.split_once(char::is_whitespace).unwrap_or((&instruction.arguments, ""));
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if rest.trim().is_empty() => Ok(()),
        "NONE" => Err(fault(instruction, "NONE takes no arguments")),
        "CMD" if rest.trim().is_empty() => Err(fault(instruction, "CMD needs a command")),
        "CMD" => retries(instruction),
        _ => Err(fault(instruction, "takes NONE, or CMD and a command")),
    }
}

fn retries(instruction: &Instruction) -> Result<(), ParseErrorKind> {
    match instruction.flag("retries").map(str::parse::<i32>) {
        None | Some(Ok(0..)) => Ok(()),
        Some(_) => Err(fault(instruction, "--retries takes a number that is not negative")),
    }
}

/// The values BuildKit refuses while parsing; what a mount says is read when its stage is built.
fn run(instruction: &Instruction) -> Result<(), ParseErrorKind> {
    let known = |flag: &str, values: &[&str]| {
        instruction.flag(flag).is_none_or(|value| values.iter().any(|known| known.eq_ignore_ascii_case(value)))
    };
    if !known("network", &["default", "none", "host"]) {
        return Err(fault(instruction, "--network is default, none or host"));
    }
    if !known("security", &["sandbox", "insecure"]) {
        return Err(fault(instruction, "--security is sandbox or insecure"));
    }
    Ok(())
}

fn fault(instruction: &Instruction, fault: &'static str) -> ParseErrorKind {
    ParseErrorKind::BadArguments { keyword: instruction.keyword.name(), fault }
}
