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
        Keyword::Add | Keyword::Copy if inner.words().last().is_some_and(|word| Heredoc::parse(word).is_some()) => {
            return Err(fault(inner, "cannot have a heredoc as its destination"));
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
        "CMD" => retries(instruction).and_then(|()| intervals(instruction)),
        _ => Err(fault(instruction, "takes NONE, or CMD and a command")),
    }
}

fn retries(instruction: &Instruction) -> Result<(), ParseErrorKind> {
    match instruction.flag("retries").map(str::parse::<i32>) {
        None | Some(Ok(0..)) => Ok(()),
        Some(_) => Err(fault(instruction, "--retries takes a number that is not negative")),
    }
}

fn intervals(instruction: &Instruction) -> Result<(), ParseErrorKind> {
    for flag in ["interval", "timeout", "start-period", "start-interval"] {
        let is_fine =
            |text: &str| text.is_empty() || duration(text).is_some_and(|nanos| nanos == 0 || nanos >= 1_000_000);
        if !instruction.flag(flag).is_none_or(is_fine) {
            let fault = "is a time such as 30s or 1m30s, at least 1ms".to_owned();
            return Err(ParseErrorKind::BadFlag { keyword: "HEALTHCHECK", flag: format!("--{flag}"), fault });
        }
    }
    Ok(())
}

/// Reads a Go duration (`1h2m3.5s`) in nanoseconds; negative ones are none here.
fn duration(text: &str) -> Option<u128> {
    const UNITS: [(&str, u128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (digits, after) = rest.split_at(number);
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let scale = UNITS.iter().find(|(name, _)| *name == &after[..unit])?.1;
        let value: f64 = digits.parse().ok()?;
        total = total.checked_add((value * scale as f64) as u128)?;
        rest = &after[unit..];
    }
    (!text.is_empty()).then_some(total)
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
