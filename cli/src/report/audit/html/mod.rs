//! The report as one HTML file that works offline: an overview, filters, and each image's tree.
//!
//! Owns: the data the page draws itself from. The page asks nobody for anything; its policy (CSP) allows its own script and
//! style by their hashes and nothing else. Text is made visible here, and becomes text there, never markup. Pure.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use polyarch_registry::audit::{Finding, Group, ImageReport, Report, Severity, Unchecked, rule};
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use super::matrix::{Cell, Matrix, groups};
use super::one_line;
use super::tally::Tally;
use crate::text::escape;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("app.js");

/// Returns the page.
pub fn render(report: &Report) -> String {
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    let body = include_str!("page.html");
    let tally = Tally::of(report);
    // Data last: it may hold what looks like a placeholder.
    body.replace("{{policy}}", &policy)
        .replace("{{style}}", STYLE)
        .replace("{{script}}", SCRIPT)
        .replace("{{version}}", env!("CARGO_PKG_VERSION"))
        .replace("{{verdict}}", &verdict(&tally))
        .replace("{{sub}}", &text(&sub(report)))
        .replace("{{data}}", &data(report))
}

fn verdict(tally: &Tally) -> String {
    if tally.open() == 0 { "nothing new found".to_owned() } else { tally.severities() }
}

fn sub(report: &Report) -> String {
    let time = report.time.as_deref().map(|time| format!(", {}", moment(time))).unwrap_or_default();
    format!("{}{time}, {:.1} s", super::plural(report.images.len(), "image"), report.stats.seconds)
}

/// Returns a time to the minute, or as it is written.
fn moment(written: &str) -> String {
    let parts = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let utc = OffsetDateTime::parse(written, &Rfc3339).ok().map(|time| time.to_offset(UtcOffset::UTC));
    utc.and_then(|time| time.format(&parts).ok()).unwrap_or_else(|| shown(written))
}

/// A source of CSP level 2 for an inline element.
fn hash(text: &str) -> String {
    let digest = polyarch_registry::oci::Digest::sha256(text);
    let bytes: Vec<u8> = digest
        .encoded()
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    format!("sha256-{}", STANDARD.encode(bytes))
}

/// Returns the data as JSON in which nothing ends a script element.
fn data(report: &Report) -> String {
    let columns = groups(report);
    let mut repositories: HashMap<&str, usize> = HashMap::new();
    let mut names: Vec<String> = Vec::new();
    let mut number = |name| {
        *repositories.entry(name).or_insert_with(|| {
            names.push(shown(name));
            names.len() - 1
        })
    };
    let images: Vec<Value> = report.images.iter().map(|one| image(one, number(&one.repository), &columns)).collect();
    let others = report.repositories.iter().map(|one| {
        json!({ "r": number(&one.repository), "isImage": false, "platforms": [], "attestations": 0,
            "findings": findings(&one.findings), "unchecked": unchecked(&one.unchecked) })
    });
    let others: Vec<Value> = others.collect();
    let comparison = report.comparison.as_ref().map(|one| json!({ "new": one.new, "fixed": one.fixed.len() }));
    let data = json!({
        "groups": columns.iter().map(|group| group.name()).collect::<Vec<_>>(),
        "rules": rules(report), "repos": names, "images": images, "repositories": others, "comparison": comparison,
    });
    script_safe(&data.to_string())
}

/// Explanations of the rules that found something, once.
fn rules(report: &Report) -> Map<String, Value> {
    let known: BTreeMap<_, _> =
        report.findings().filter_map(|one| rule(&one.rule)).map(|rule| (rule.id, rule)).collect();
    let describe = |rule: &polyarch_registry::audit::Rule| json!({ "title": rule.title, "explanation": rule.explanation, "fix": rule.fix });
    known.into_iter().map(|(id, rule)| (id.to_owned(), describe(rule))).collect()
}

fn image(image: &ImageReport, repository: usize, columns: &[Group]) -> Value {
    let platforms = image.platforms.iter().map(|one| {
        without_nulls(json!({
            "platform": shown(&one.platform), "digest": one.digest, "state": one.state, "size": one.size,
            "layers": one.layers, "created": one.created.as_deref().map(shown),
        }))
    });
    let rows = |matrix: Matrix<'_>| {
        let row = |row: &super::matrix::Row<'_>| {
            let cells: String = row.cells.iter().map(|cell| letter(*cell)).collect();
            json!([shown(row.platform.unwrap_or("image")), cells])
        };
        matrix.rows.iter().map(row).collect::<Vec<_>>()
    };
    without_nulls(json!({
        "r": repository, "isImage": true, "tag": image.tag.as_deref().map(shown), "digest": image.digest,
        "platforms": platforms.collect::<Vec<_>>(), "attestations": image.attestations,
        "findings": findings(&image.findings), "unchecked": unchecked(&image.unchecked),
        "matrix": Matrix::of(image, columns).map(rows),
    }))
}

fn letter(cell: Cell) -> char {
    match cell {
        Cell::Ok => 'o',
        Cell::Unchecked => '?',
        Cell::NotRead => '-',
        Cell::Found(Severity::Error) => 'e',
        Cell::Found(Severity::Warning) => 'w',
        Cell::Found(Severity::Info) => 'i',
    }
}

fn findings(findings: &[Finding]) -> Vec<Value> {
    let one = |one: &Finding| {
        // Mostly the rule's own, which is there once.
        let own = rule(&one.rule).is_some_and(|rule| rule.fix == one.fix);
        without_nulls(json!({
            "rule": shown(&one.rule), "severity": one.severity, "platform": one.platform.as_deref().map(shown),
            "message": shown(&one.message), "fix": (!own).then(|| shown(&one.fix)),
            "waived": one.waived.as_deref().map(shown), "known": one.known.then_some(true),
        }))
    };
    findings.iter().map(one).collect()
}

fn unchecked(unchecked: &[Unchecked]) -> Vec<Value> {
    let one = |one: &Unchecked| {
        without_nulls(json!({ "what": shown(&one.what), "digest": one.digest, "reason": shown(&one.reason) }))
    };
    unchecked.iter().map(one).collect()
}

fn shown(text: &str) -> String {
    escape(&one_line(text))
}

/// Returns JSON for a script element, in which `<` may begin its end or a comment (HTML 4.12.1.3). Outside of strings JSON has none.
fn script_safe(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Returns text for an element.
fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('{', "&#123;")
}

fn without_nulls(mut object: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    object
}
