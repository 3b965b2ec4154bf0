//! Findings for people.

use std::fmt::Write as _;

use polyarch_builder::lint::{Finding, Severity};

use super::super::plan::Prepared;
use super::super::planning::errors;
use crate::style::Style;
use crate::text::{escape, wrap};

const WIDTH: usize = 80;

/// Returns all findings, each with its source line and its repair.
pub(super) fn text(prepared: &Prepared, findings: &[Finding], style: Style) -> String {
    let mut out = String::new();
    for finding in findings {
        one(&mut out, prepared, finding, style);
    }
    if !findings.is_empty() {
        let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let warnings = findings.len() - errors;
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}, {}", plural(errors, "error"), plural(warnings, "warning"));
    }
    out
}

fn one(out: &mut String, prepared: &Prepared, finding: &Finding, style: Style) {
    let severity = match finding.severity {
        Severity::Error => style.error("error:"),
        Severity::Warning => style.warning("warning:"),
    };
    let _ = writeln!(out, "{severity} {}", style.bold(escape(&finding.rule)));
    let mut message = finding.message.clone();
    if !finding.platforms.is_empty() {
        let names: Vec<String> = finding.platforms.iter().map(ToString::to_string).collect();
        let _ = write!(message, " ({})", names.join(", "));
    }
    for line in wrap(&escape(&message), WIDTH - 2) {
        let _ = writeln!(out, "  {line}");
    }
    let at = errors::at(&prepared.name, finding.span, "", prepared.file.line(finding.span.line));
    for line in escape(&at).lines() {
        let _ = writeln!(out, "  {}", style.dim(line.trim_end_matches([':', ' '])));
    }
    let fix = finding.fix.as_deref().map(|fix| ("fix", fix)).or(finding.url.as_deref().map(|url| ("see", url)));
    if let Some((label, fix)) = fix {
        for (at, line) in wrap(&escape(fix), WIDTH - 7).into_iter().enumerate() {
            let label = if at == 0 { style.hint(format!("{label}:")) } else { "    ".to_owned() };
            let _ = writeln!(out, "  {label} {line}");
        }
    }
    out.push('\n');
}
