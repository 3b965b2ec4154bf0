//! The report for people: worst first, grouped by tag.

use std::fmt::Write as _;

use polyarch_registry::audit::{Group, ImageReport, Report, Severity, Unchecked};

use super::fold::{Block, Told, blocks, told};
use super::matrix::{Cell, Matrix, groups};
use super::tally::{Tally, by_rule};
use super::{one_line, plural, short};
use crate::style::Style;
use crate::text::{bytes, cell as pad, escape, neutralise_ci, wrap};

const WIDTH: usize = 80;
/// Where messages begin: two spaces, the longest severity, two spaces.
const INDENT: usize = 11;
/// Other tags named with a folded one.
const OTHERS: usize = 12;

/// Returns the text.
pub fn render(report: &Report, style: Style) -> String {
    render_columns(report, &groups(report), style)
}

pub(super) fn render_columns(report: &Report, columns: &[Group], style: Style) -> String {
    let mut out = String::new();
    let mut has_gaps = false;
    for block in blocks(report) {
        has_gaps |= self::block(&mut out, &block, columns, style);
    }
    if has_gaps {
        out.push_str(&style.dim("?  could not be checked      -  not read\n\n"));
    }
    out + &summary(report, style)
}

/// Returns whether its table has a cell that needs a word of explanation.
fn block(out: &mut String, block: &Block<'_>, columns: &[Group], style: Style) -> bool {
    let name = block.image.map_or_else(|| block.repository.to_owned(), ImageReport::name);
    let digest = block.image.filter(|image| image.tag.is_some()).and_then(|image| image.digest.as_ref());
    let digest = digest.map(|digest| format!("  {}", style.dim(digest.short()))).unwrap_or_default();
    line(out, &format!("{}{digest}", style.bold(safe(&name))));
    if !block.others.is_empty() {
        line(out, &style.dim(others(&block.others)));
    }
    let mut has_gaps = false;
    if let Some(image) = block.image
        && let Some(matrix) = Matrix::of(image, columns)
    {
        has_gaps = matrix.has(Cell::Unchecked) || matrix.has(Cell::NotRead);
        out.push('\n');
        table(out, image, &matrix, columns, style);
    }
    out.push('\n');
    told(block.findings).iter().for_each(|one| finding(out, one, style));
    block.unchecked.iter().for_each(|one| unchecked(out, one, style));
    if !block.findings.is_empty() || !block.unchecked.is_empty() {
        out.push('\n');
    }
    has_gaps
}

fn others(images: &[&ImageReport]) -> String {
    let name = |image: &&ImageReport| match (&image.tag, &image.digest) {
        (Some(tag), _) => safe(tag),
        (None, Some(digest)) => digest.short().to_owned(),
        (None, None) => "?".to_owned(),
    };
    let mut names = images.iter().take(OTHERS).map(name).collect::<Vec<_>>().join(", ");
    if images.len() > OTHERS {
        names.push_str(", …");
    }
    let text = format!("and {}: {names}", plural(images.len(), "more tag"));
    wrap(&text, WIDTH - 2).iter().map(|line| format!("  {}", neutralise_ci(line))).collect::<Vec<_>>().join("\n")
}

fn table(out: &mut String, image: &ImageReport, matrix: &Matrix<'_>, columns: &[Group], style: Style) {
    let names: Vec<String> = matrix.rows.iter().map(|row| safe(row.platform.unwrap_or("image"))).collect();
    let sizes = matrix.rows.iter().map(|row| {
        let child = image.platforms.iter().find(|one| Some(one.platform.as_str()) == row.platform);
        child.filter(|one| one.state.is_read()).map(|one| bytes(one.size)).unwrap_or_default()
    });
    let sizes: Vec<String> = sizes.collect();
    let first = names.iter().map(|name| console::measure_text_width(name)).max().unwrap_or_default();
    let second = sizes.iter().map(String::len).max().unwrap_or_default();
    let (gap, has_sizes) = spacing(first, second, columns);
    let start = |name: &str, size: &str| match has_sizes {
        true => format!("  {}{gap}{}", pad(name, first), style.dim(crate::text::right(size, second))),
        false => format!("  {}", pad(name, first)),
    };
    let mut head = start("", "");
    columns.iter().for_each(|group| head.push_str(&style.dim(format!("{gap}{}", group.name()))));
    line(out, &head);
    for ((row, name), size) in matrix.rows.iter().zip(&names).zip(&sizes) {
        let mut text = start(name, size);
        for (cell, group) in row.cells.iter().zip(columns) {
            text.push_str(gap);
            text.push_str(&word(*cell, group.name().len(), style));
        }
        line(out, &text);
    }
}

/// Returns what is between columns, and whether there is room for sizes: not with every column.
fn spacing(first: usize, second: usize, columns: &[Group]) -> (&'static str, bool) {
    let names: usize = columns.iter().map(|group| group.name().len()).sum();
    let fits = |(gap, has_sizes): &(&str, bool)| {
        let sizes = if *has_sizes { gap.len() + second } else { 0 };
        2 + first + sizes + columns.len() * gap.len() + names <= WIDTH
    };
    [("  ", true), (" ", true), ("  ", false)].into_iter().find(fits).unwrap_or((" ", false))
}

fn word(cell: Cell, width: usize, style: Style) -> String {
    match cell {
        Cell::Ok => style.good(pad("ok", width)),
        Cell::Unchecked => style.warning(pad("?", width)),
        Cell::NotRead => style.dim(pad("-", width)),
        Cell::Found(Severity::Error) => style.error(pad("error", width)),
        Cell::Found(Severity::Warning) => style.warning(pad("warn", width)),
        Cell::Found(Severity::Info) => style.hint(pad("info", width)),
    }
}

fn finding(out: &mut String, told: &Told<'_>, style: Style) {
    let one = told.finding;
    let level = match (&one.waived, one.severity) {
        (Some(_), _) => style.dim("waived "),
        (None, Severity::Error) => style.error("error  "),
        (None, Severity::Warning) => style.warning("warning"),
        (None, Severity::Info) => style.hint("info   "),
    };
    let known = if one.known { ", known" } else { "" };
    let place = if told.platforms.is_empty() { String::new() } else { format!("{}: ", told.platforms.join(", ")) };
    let message = safe(&format!("{place}{} [{}{known}]", short(&one.message), one.rule));
    for (number, text) in wrap(&message, WIDTH - INDENT).iter().enumerate() {
        let start = if number == 0 { format!("  {level}  ") } else { " ".repeat(INDENT) };
        line(out, &(start + &neutralise_ci(text)));
    }
    let more = match &one.waived {
        Some(reason) => format!("waived: {reason}"),
        None => format!("fix: {}", one.fix),
    };
    for text in wrap(&safe(&more), WIDTH - INDENT) {
        line(out, &format!("{}{}", " ".repeat(INDENT), style.dim(neutralise_ci(&text))));
    }
}

fn unchecked(out: &mut String, one: &Unchecked, style: Style) {
    let digest = one.digest.as_ref().map(|digest| format!(" {}", digest.short())).unwrap_or_default();
    let text = safe(&format!("could not check {}{digest}: {}", one.what, short(&one.reason)));
    for (number, text) in wrap(&text, WIDTH - INDENT).iter().enumerate() {
        let start = if number == 0 { format!("  {}  ", style.warning("?      ")) } else { " ".repeat(INDENT) };
        line(out, &(start + &neutralise_ci(text)));
    }
}

fn summary(report: &Report, style: Style) -> String {
    let tally = Tally::of(report);
    let mut out = String::new();
    let rules = by_rule(report);
    if !rules.is_empty() {
        let rows: Vec<[String; 4]> = rules
            .iter()
            .map(|(id, of)| [one_line(id), of.severity.name().into(), of.findings.to_string(), of.places.to_string()])
            .collect();
        out.push_str(&crate::commands::table::render(["RULE", "SEVERITY", "FINDINGS", "IMAGES"], &rows, style));
        let more = if rules.len() > 1 { " (or another of them)" } else { "" };
        out.push_str(&format!("\npolyarch audit explain {}{more}\n\n", safe(rules[0].0)));
    }
    let mut parts = Vec::new();
    match (tally.open(), tally.unchecked) {
        (0, 0) if report.images.is_empty() => parts.push(style.warning("nothing was audited")),
        (0, 0) => parts.push(style.good("nothing found")),
        (0, _) => {}
        _ => parts.push(tally.severities()),
    }
    if tally.clean > 0 && tally.open() + tally.known + tally.waived + tally.unchecked > 0 {
        parts.push(format!("{} clean", tally.clean));
    }
    if tally.known > 0 {
        parts.push(format!("{} known", tally.known));
    }
    if tally.waived > 0 {
        parts.push(format!("{} waived", tally.waived));
    }
    if tally.unchecked > 0 {
        parts.push(style.warning(format!("{} could not be checked", plural(tally.unchecked, "thing"))));
    }
    let counts = format!("{}: {}", plural(report.images.len(), "image"), parts.join("; "));
    wrap(&counts, WIDTH).iter().for_each(|text| line(&mut out, text));
    if let Some(one) = &report.comparison {
        out.push_str(&format!("baseline: {} new, {} known, {} fixed\n", one.new, one.known, one.fixed.len()));
    }
    out
}

/// Adds a line without spaces at its end.
fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}", neutralise_ci(text.trim_end()));
}

fn safe(text: &str) -> String {
    escape(&one_line(text))
}
