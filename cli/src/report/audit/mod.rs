//! An audit's report in every format. Pure: a report in, text out; each format escapes in its own way what registries said.

pub mod fold;
pub mod html;
pub mod inventory;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod matrix;
pub mod rules;
pub mod sarif;
pub mod tally;
pub mod text;

#[cfg(test)]
mod tests;

use polyarch_registry::audit::Report;
use polyarch_registry::oci::Digest;

use crate::args::audit_output::AuditFormat;
use crate::diagnostics::Diagnostic;
use crate::style::Style;

/// Returns a report in a format.
///
/// # Errors
/// None that a report can cause.
pub fn render(format: AuditFormat, report: &Report, style: Style) -> Result<String, Diagnostic> {
    match format {
        AuditFormat::Text => Ok(text::render(report, style)),
        AuditFormat::Json => json::render(report),
        AuditFormat::Junit => Ok(junit::render(report)),
        AuditFormat::Markdown => Ok(markdown::render(report)),
        AuditFormat::Html => Ok(html::render(report)),
        AuditFormat::Sarif => Ok(sarif::render(report)),
    }
}

/// Longest text of a registry that is shown, in characters. Findings have some hundred.
const LONGEST: usize = 2000;

/// Returns text of a registry on one line and bounded; it is not escaped yet.
pub(super) fn one_line(text: &str) -> String {
    let mut short: String =
        text.chars().take(LONGEST).map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Returns `1 image`, `2 images`.
pub(super) fn plural(count: usize, name: &str) -> String {
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// Returns a text whose digests are as short as elsewhere: the whole ones are in the other formats.
pub(super) fn short(text: &str) -> String {
    let word = |word: &str| match word.parse::<Digest>() {
        Ok(digest) => digest.short().to_owned(),
        Err(_) => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
