//! The report as GitHub-flavoured Markdown, for the summary of a CI step.
//!
//! Owns: what is left out where the whole would be too long. Pure.

use std::fmt::Write as _;

use polyarch_registry::audit::{Group, ImageReport, Report, Severity};

use super::fold::{Block, blocks, told};
use super::matrix::{Cell, Matrix, groups};
use super::tally::{Tally, by_rule};
use super::{one_line, plural, short};
use crate::text::{bytes, escape};

/// GitHub refuses a step's summary above 1 MiB; some is left for the last line and for what another step adds.
const MOST: usize = 1_000_000;
/// Other tags named with a folded one.
const OTHERS: usize = 20;

/// Returns the text.
pub fn render(report: &Report) -> String {
    render_at_most(report, MOST)
}

/// Returns the text in at most so many bytes, but for its head and last line.
pub(super) fn render_at_most(report: &Report, most: usize) -> String {
    render_columns(report, &groups(report), most)
}

pub(super) fn render_columns(report: &Report, columns: &[Group], most: usize) -> String {
    let mut out = head(report);
    let blocks = blocks(report);
    let mut left_out = 0;
    for block in &blocks {
        let text = section(block, columns);
        // A smaller one may still fit, but then the order would be wrong.
        if left_out > 0 || out.len() + text.len() > most {
            left_out += 1;
            continue;
        }
        out.push_str(&text);
    }
    if left_out > 0 {
        let parts = plural(left_out, "section");
        out.push_str(&format!("**{parts} left out**, for a summary has at most 1 MiB. The JSON report has all.\n"));
    }
    out
}

fn head(report: &Report) -> String {
    let tally = Tally::of(report);
    let verdict = match (tally.open(), tally.unchecked) {
        (0, 0) => "nothing found".to_owned(),
        (0, unchecked) => format!("{} could not be checked", plural(unchecked, "thing")),
        _ => tally.severities(),
    };
    let mut parts = vec![plural(report.images.len(), "image"), format!("{} clean", tally.clean)];
    for (count, name) in [(tally.known, "known"), (tally.waived, "waived"), (tally.unchecked, "could not be checked")] {
        if count > 0 {
            parts.push(format!("{count} {name}"));
        }
    }
    let mut out = format!("## Image audit: {verdict}\n\n{}.", parts.join(", "));
    if let Some(one) = &report.comparison {
        out.push_str(&format!(" Baseline: {} new, {} known, {} fixed.", one.new, one.known, one.fixed.len()));
    }
    out.push_str("\n\n");
    let rules = by_rule(report);
    if !rules.is_empty() {
        out.push_str("| rule | severity | findings | images |\n|---|---|--:|--:|\n");
        for (id, of) in rules {
            let line = format!("| {} | {} | {} | {} |\n", code(id), of.severity.name(), of.findings, of.places);
            out.push_str(&line);
        }
        out.push('\n');
    }
    out
}

fn section(block: &Block<'_>, columns: &[Group]) -> String {
    let tally = Tally::of_findings(block.findings);
    let mut said: Vec<String> = Vec::new();
    for (count, name) in [(tally.errors, "error"), (tally.warnings, "warning"), (tally.infos, "note")] {
        if count > 0 {
            said.push(plural(count, name));
        }
    }
    for (count, name) in
        [(tally.known, "known"), (tally.waived, "waived"), (block.unchecked.len(), "could not be checked")]
    {
        if count > 0 {
            said.push(format!("{count} {name}"));
        }
    }
    let said = if said.is_empty() { "nothing found".to_owned() } else { said.join(", ") };
    let name = block.image.map_or_else(|| block.repository.to_owned(), ImageReport::name);
    let others = match block.others.len() {
        0 => String::new(),
        count => format!(" and {}", plural(count, "more tag")),
    };
    let open = if tally.errors > 0 { " open" } else { "" };
    let mut out = format!("<details{open}><summary>{}{others}: {said}</summary>\n\n", code(&name));
    if !block.others.is_empty() {
        let mut names: Vec<String> =
            block.others.iter().take(OTHERS).map(|image| code(image.tag.as_deref().unwrap_or("?"))).collect();
        names.extend((block.others.len() > OTHERS).then(|| "…".to_owned()));
        out.push_str(&format!("The same in {}\n\n", names.join(", ")));
    }
    if let Some(image) = block.image
        && let Some(matrix) = Matrix::of(image, columns)
    {
        table(&mut out, image, &matrix, columns);
    }
    findings(&mut out, block);
    out + "</details>\n\n"
}

fn table(out: &mut String, image: &ImageReport, matrix: &Matrix<'_>, columns: &[Group]) {
    let names: Vec<&str> = columns.iter().map(|group| group.name()).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "| | size | {} |\n|---|--:|{}", names.join(" | "), "---|".repeat(columns.len()));
    for row in &matrix.rows {
        let child = image.platforms.iter().find(|one| Some(one.platform.as_str()) == row.platform);
        let size = child.filter(|one| one.state.is_read()).map(|one| bytes(one.size)).unwrap_or_default();
        let cells: Vec<&str> = row.cells.iter().map(|cell| word(*cell)).collect();
        let _ = writeln!(out, "| {} | {size} | {} |", safe(row.platform.unwrap_or("image")), cells.join(" | "));
    }
    out.push('\n');
}

fn word(cell: Cell) -> &'static str {
    match cell {
        Cell::Ok => "ok",
        Cell::Unchecked => "could not check",
        Cell::NotRead => "–",
        Cell::Found(Severity::Error) => "**error**",
        Cell::Found(Severity::Warning) => "**warning**",
        Cell::Found(Severity::Info) => "info",
    }
}

fn findings(out: &mut String, block: &Block<'_>) {
    if block.findings.is_empty() && block.unchecked.is_empty() {
        return;
    }
    out.push_str("| | rule | where | what | fix |\n|---|---|---|---|---|\n");
    for told in told(block.findings) {
        let one = told.finding;
        let (level, fix) = match (&one.waived, one.known) {
            (Some(reason), _) => ("waived", format!("waived: {}", safe(reason))),
            (None, true) => ("known", safe(&one.fix)),
            (None, false) => (one.severity.name(), safe(&one.fix)),
        };
        let whole = if block.image.is_some() { "image" } else { "repository" };
        let place = if told.platforms.is_empty() { whole.to_owned() } else { safe(&told.platforms.join(", ")) };
        let _ = writeln!(out, "| {level} | {} | {place} | {} | {fix} |", code(&one.rule), safe(&short(&one.message)));
    }
    for one in block.unchecked {
        let digest = one.digest.as_ref().map(|digest| format!(" {}", digest.short())).unwrap_or_default();
        let _ = writeln!(out, "| could not check | | {}{digest} | {} | |", safe(&one.what), safe(&short(&one.reason)));
    }
    out.push('\n');
}

/// Returns text as code: by HTML, for of that a backtick cannot get out.
fn code(text: &str) -> String {
    format!("<code>{}</code>", safe(text))
}

/// Returns text in which nothing means anything to Markdown, to HTML, or to GitHub (mentions, links to issues, formulas).
fn safe(text: &str) -> String {
    let mut out = String::new();
    for c in escape(&one_line(text)).chars() {
        match c {
            '&' | '<' | '>' | '"' | '\'' | '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '~' | '@'
            | '!' | '$' | '{' | '}' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            // Two of them end a scheme or begin a runner's command; one reads better as it is.
            ':' if out.ends_with(':') => out.push_str("&#58;"),
            '/' if out.ends_with(':') => out.push_str("&#47;"),
            c => out.push(c),
        }
    }
    out.replace("www.", "www&#46;")
}
