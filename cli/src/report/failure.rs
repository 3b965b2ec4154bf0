//! A failed platform in full: step, exit code, the Dockerfile's lines, the end of its log.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use polyarch_registry::oci::Platform;

use super::Look;
use super::result::{BuildReport, Failure, RowResult, SourceSnippet};
use crate::text::escape;

/// Lines of the Dockerfile shown before and after the fault.
const CONTEXT: u32 = 2;
/// Lines of the log shown; the whole of it went by before.
const LOG_LINES: usize = 20;

/// Returns every failure of a report; equal ones of several platforms once.
pub fn render(report: &BuildReport, look: Look) -> String {
    let mut shown: BTreeMap<String, Vec<&Platform>> = BTreeMap::new();
    let mut order = Vec::new();
    for row in &report.platforms {
        let RowResult::Failed(failure) = &row.result else { continue };
        let text = body(failure, look);
        let platforms = shown.entry(text.clone()).or_default();
        if platforms.is_empty() {
            order.push((text, failure));
        }
        platforms.push(&row.platform);
    }
    let mut out = String::new();
    for (text, failure) in order {
        let names: Vec<String> = shown[&text].iter().map(|platform| escape(&platform.to_string())).collect();
        let what = failure.vertex.as_deref().unwrap_or(&failure.message);
        let what = escape(what).replace('\n', " ");
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{} {}: {what}", look.style.error("error:"), names.join(", "));
        out.push_str(&text);
    }
    out
}

fn body(failure: &Failure, look: Look) -> String {
    let mut out = String::new();
    if failure.vertex.is_some() {
        let _ = writeln!(out, "  caused by: {}", escape(&failure.message).replace('\n', "\n    "));
    }
    if let Some(code) = failure.exit_code {
        let _ = writeln!(out, "  exit code: {code}{}", meaning(code));
    }
    if let Some(source) = &failure.source {
        out.push_str(&snippet(source, look));
    }
    if !failure.log_tail.is_empty() {
        let _ = writeln!(out, "\n  last lines of its output:");
        let skip = failure.log_tail.len().saturating_sub(LOG_LINES);
        for line in &failure.log_tail[skip..] {
            let _ = writeln!(out, "  {} {}", look.style.dim("|"), look.log_line(line));
        }
    }
    if let Some(hint) = &failure.hint {
        let _ = writeln!(out, "{} {}", look.style.hint("hint:"), escape(hint));
    }
    out
}

/// What a shell's exit code says beyond "failed".
fn meaning(code: i32) -> &'static str {
    match code {
        126 => " (the command cannot be executed)",
        127 => " (command not found)",
        137 => " (killed, often for lack of memory)",
        139 => " (segmentation fault; under emulation, often the emulator's)",
        _ => "",
    }
}

/// `Dockerfile:7` and the lines around it, the faulty ones marked.
fn snippet(source: &SourceSnippet, look: Look) -> String {
    let lines: Vec<&str> = source.text.lines().collect();
    let count = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    let inside = |range: &&(u32, u32)| range.0 >= 1 && range.0 <= count && range.1 >= range.0;
    let ranges: Vec<(u32, u32)> = source.ranges.iter().filter(inside).copied().collect();
    let (Some(first), Some(last)) = (ranges.iter().map(|r| r.0).min(), ranges.iter().map(|r| r.1.min(count)).max())
    else {
        return String::new();
    };
    let mut out = format!("\n  {}:{first}\n", escape(&source.file));
    let (from, to) = (first.saturating_sub(CONTEXT).max(1), last.saturating_add(CONTEXT).min(count));
    for number in from..=to {
        let is_fault = ranges.iter().any(|range| (range.0..=range.1).contains(&number));
        let mark = if is_fault { look.style.error(">") } else { " ".to_owned() };
        let text = escape(lines.get(number as usize - 1).copied().unwrap_or_default());
        let _ = writeln!(out, "  {mark} {number:>3} | {text}");
    }
    out
}
