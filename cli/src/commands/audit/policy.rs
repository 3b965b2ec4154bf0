//! A policy's file: reading it, and showing what is wrong with it as a compiler does.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use polyarch_registry::audit::policy::{PolicyFault, Waiver, schema};
use polyarch_registry::audit::{Policy, Report};
use time::{Date, OffsetDateTime};

use crate::args::audit_policy::PolicyCommand;
use crate::commands::Context;
use crate::diagnostics::Diagnostic;
use crate::exit_code::ExitCode;
use crate::settings::Surroundings;
use crate::settings::near::nearest;
use crate::style::Style;
use crate::text::{escape, fit};

/// Largest policy that is read, in bytes.
const LIMIT: u64 = 1 << 20;
/// Widest line of a policy that is shown.
const WIDTH: usize = 100;
/// Most faults that are shown.
const FAULTS: usize = 20;

/// Runs `polyarch audit policy`.
///
/// # Errors
/// The file cannot be read. What is wrong with it is shown and has its exit code.
pub fn run(command: &PolicyCommand, context: &Context, around: &Surroundings) -> Result<ExitCode, Diagnostic> {
    let PolicyCommand::Check(args) = command else {
        let text = serde_json::to_string_pretty(&schema()).map_err(|error| Diagnostic::bug(&error))?;
        context.console.result(text + "\n")?;
        return Ok(ExitCode::Done);
    };
    let today = today();
    let Some(policy) = load(&args.file, today, context, around)? else { return Ok(ExitCode::Usage) };
    let expired = policy.waivers.iter().filter(|waiver| waiver.is_expired(today)).count();
    let expired = if expired > 0 { format!(", {expired} of them expired") } else { String::new() };
    let (groups, waivers) = (policy.overrides(), policy.waivers.len());
    let plural = |count: usize, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
    context.console.result(format!(
        "{}: good: {}, {}{expired}\n",
        escape(&args.file.display().to_string()),
        plural(groups, "group of repositories", "groups of repositories"),
        plural(waivers, "waiver", "waivers"),
    ))?;
    Ok(ExitCode::Done)
}

/// Returns the day it is, in UTC.
pub fn today() -> Date {
    OffsetDateTime::now_utc().date()
}

/// Reads a policy. `None`: it is none, and why is on stderr.
///
/// # Errors
/// The file cannot be read.
pub fn load(file: &Path, today: Date, context: &Context, around: &Surroundings) -> Result<Option<Policy>, Diagnostic> {
    let unreadable = |error: &(dyn std::error::Error + 'static)| {
        Diagnostic::new(ExitCode::Usage, error).context(format!("cannot read the policy {}", file.display()))
    };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(around.cwd.join(file)).map_err(|error| unreadable(&error))?;
    opened.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > LIMIT {
        let text = format!("the policy {} is larger than {LIMIT} bytes", file.display());
        return Err(Diagnostic::message(ExitCode::Usage, text));
    }
    let text = String::from_utf8(bytes).map_err(|error| unreadable(&error))?;
    match Policy::parse(&text, today) {
        Ok(policy) => Ok(Some(policy)),
        Err(error) => {
            let shown = shown(&file.display().to_string(), &text, error.faults(), context.console.err);
            context.console.say(&shown);
            Ok(None)
        }
    }
}

/// Tells of waivers that are about nothing.
pub fn tell_unused(file: &Path, policy: &Policy, report: &Report, context: &Context) {
    for Waiver { rule, line, .. } in policy.unused_waivers(report) {
        let text = format!("{}:{line}: the waiver of {rule} is about nothing that was found", file.display());
        context.console.say(&format!("{} {}\n", context.console.err.warning("warning:"), escape(&text)));
    }
}

fn shown(file: &str, text: &str, faults: &[PolicyFault], style: Style) -> String {
    let mut out = String::new();
    for fault in faults.iter().take(FAULTS) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{} {}", style.error("error:"), escape(&fault.message));
        let _ = writeln!(out, "  --> {}:{}:{}", escape(file), fault.line, fault.column);
        place(&mut out, text, fault, style);
        if let Some((word, known)) = &fault.unknown {
            let hint = match nearest(word, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known: {}", known.join(", ")),
            };
            let _ = writeln!(out, "{} {hint}", style.hint("hint:"));
        }
        out.push('\n');
    }
    let count = faults.len();
    let _ = match count {
        1 => writeln!(out, "1 error in {}", escape(file)),
        _ if count > FAULTS => writeln!(out, "{count} errors in {}; the first {FAULTS} are shown", escape(file)),
        _ => writeln!(out, "{count} errors in {}", escape(file)),
    };
    out
}

/// The line, and carets under what is wrong in it.
fn place(out: &mut String, text: &str, fault: &PolicyFault, style: Style) {
    let line = text.lines().nth(fault.line - 1).unwrap_or_default();
    let start = line.char_indices().nth(fault.column - 1).map_or(line.len(), |(at, _)| at);
    let length = fault.span.len().min(line.len() - start);
    let (before, rest) = line.split_at(start);
    let wrong = rest.get(..length).unwrap_or(rest);
    let width = |text: &str| console::measure_text_width(&escape(text));
    let number = fault.line.to_string();
    let gap = " ".repeat(number.len());
    let carets = "^".repeat(width(wrong).clamp(1, WIDTH));
    let _ = writeln!(out, "{gap} |\n{number} | {}", fit(&escape(line), WIDTH));
    if width(before) < WIDTH {
        let _ = writeln!(out, "{gap} | {}{}", " ".repeat(width(before)), style.error(carets));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_shown_where_they_are() {
        let text = "# \u{e4}\nrequird-platforms = []\nmax-layers = \"\u{1b}[2J\" # x\nprofiles = [\"zzz\"]";
        let today = Date::from_calendar_date(2026, time::Month::November, 20).unwrap();
        let error = Policy::parse(text, today).unwrap_err();
        // A control character is no TOML: nothing else is looked at.
        assert_eq!(error.faults().len(), 1);
        let error = Policy::parse(&text.replace('\u{1b}', ""), today).unwrap_err();
        let shown = shown("policy.toml", &text.replace('\u{1b}', ""), error.faults(), Style::plain());
        assert_eq!(
            shown,
            "error: unknown key `requird-platforms`\n  --> policy.toml:2:1\n  |\n2 | requird-platforms = []\n  | \
             ^^^^^^^^^^^^^^^^^\nhint: did you mean `required-platforms`?\n\nerror: it must be a whole number, at least 1\n  \
             --> policy.toml:3:14\n  |\n3 | max-layers = \"[2J\" # x\n  |              ^^^^^\n\nerror: unknown profile \
             `zzz`\n  --> policy.toml:4:13\n  |\n4 | profiles = [\"zzz\"]\n  |             ^^^^^\nhint: known: lambda, quay, \
             docker-20.10, containerd-1.6, strict\n\n3 errors in policy.toml\n"
        );
    }
}
