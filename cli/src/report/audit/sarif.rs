//! The report as SARIF 2.1.0, for code scanning services.
//!
//! Owns: where a finding about an image is, in a format made for files. A repository and tag stand for a path, without a digest:
//! services tell alerts apart by path, and each build would be a new alert. Pure.

use std::collections::{BTreeMap, BTreeSet};

use polyarch_registry::audit::baseline::{Fixed, fingerprint};
use polyarch_registry::audit::{Finding, Report, Severity, Unchecked, rule, rules};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::one_line;
use crate::report::sarif;

/// Results GitHub's code scanning takes; it refuses a file with more.
const MOST: usize = 25_000;

/// Returns the log, ending in a newline.
pub fn render(report: &Report) -> String {
    render_at_most(report, MOST)
}

/// Returns the log with at most so many results, worst first.
pub(super) fn render_at_most(report: &Report, most: usize) -> String {
    let mut all: Vec<Place<'_>> =
        report.named_findings().map(|(repository, tag, finding)| Place { repository, tag, finding }).collect();
    all.sort_by_key(|place| (!place.finding.is_open(), std::cmp::Reverse(place.finding.severity)));
    let left_out = all.len().saturating_sub(most);
    let mut seen = BTreeMap::new();
    let has_baseline = report.comparison.is_some();
    let mut results: Vec<Value> = all.iter().take(most).map(|place| result(place, &mut seen, has_baseline)).collect();
    let fixed = report.comparison.iter().flat_map(|comparison| &comparison.fixed);
    results.extend(fixed.take(most - results.len()).map(absent));
    let invocation = json!({
        "executionSuccessful": true,
        "toolExecutionNotifications": notifications(report, left_out, most),
        "endTimeUtc": report.time.as_ref().filter(|time| OffsetDateTime::parse(time, &Rfc3339).is_ok()),
    });
    sarif::log(descriptors(report), results, json!({ "invocations": [without_nulls(invocation)] }))
}

struct Place<'a> {
    repository: &'a str,
    tag: Option<&'a str>,
    finding: &'a Finding,
}

/// Our rules, and those of findings another version made.
fn descriptors(report: &Report) -> Vec<Value> {
    let ours = rules().iter().map(|rule| {
        let markdown = format!("{}\n\n**Fix:** {}\n\n`polyarch audit explain {}`", rule.explanation, rule.fix, rule.id);
        json!({
            "id": rule.id,
            "name": rule.id,
            "shortDescription": { "text": rule.title },
            "fullDescription": { "text": rule.explanation },
            "help": { "text": format!("{} Fix: {}", rule.explanation, rule.fix), "markdown": markdown },
            "defaultConfiguration": { "level": level(rule.severity) },
            "properties": {
                "tags": ["container-image", rule.group.name()],
                "precision": "very-high",
                "problem.severity": problem(rule.severity),
            },
        })
    });
    let others: BTreeSet<&str> =
        report.findings().map(|one| one.rule.as_str()).filter(|id| rule(id).is_none()).collect();
    let others = others.into_iter().map(|id| {
        let text = json!({ "text": format!("a rule of another version of polyarch: {}", one_line(id)) });
        json!({ "id": one_line(id), "shortDescription": text, "fullDescription": text, "help": text })
    });
    ours.chain(others).collect()
}

fn result(place: &Place<'_>, seen: &mut BTreeMap<String, usize>, has_baseline: bool) -> Value {
    let finding = place.finding;
    let platform = finding.platform.as_ref().map(|one| format!(" ({one})")).unwrap_or_default();
    let name = name(place.repository, place.tag);
    let print = fingerprint(place.repository, place.tag, finding);
    // Two results with one fingerprint would be one alert.
    let number = seen.entry(print.clone()).and_modify(|number| *number += 1).or_insert(1);
    let mut result = json!({
        "ruleId": one_line(&finding.rule),
        "level": level(finding.severity),
        "message": { "text": one_line(&format!("{name}{platform}: {}. Fix: {}", finding.message, finding.fix)) },
        "locations": [location(place.repository, place.tag, finding.platform.as_deref())],
        "partialFingerprints": { "primaryLocationLineHash": format!("{print}:{number}"), "polyarch/v1": print },
    });
    if let Some(digest) = &finding.digest {
        result["properties"] = json!({ "digest": digest });
    }
    if let Some(reason) = &finding.waived {
        let reason = one_line(reason);
        result["suppressions"] = json!([{ "kind": "external", "status": "accepted", "justification": reason }]);
    }
    if has_baseline {
        result["baselineState"] = json!(if finding.known { "unchanged" } else { "new" });
    }
    result
}

fn absent(fixed: &Fixed) -> Value {
    let tag = fixed.tag.as_deref();
    json!({
        "ruleId": one_line(&fixed.rule),
        "level": level(fixed.severity),
        "message": { "text": one_line(&format!("{}: {}", name(&fixed.repository, tag), fixed.message)) },
        "locations": [location(&fixed.repository, tag, fixed.platform.as_deref())],
        "baselineState": "absent",
    })
}

fn notifications(report: &Report, left_out: usize, most: usize) -> Vec<Value> {
    let images = report
        .images
        .iter()
        .flat_map(|image| image.unchecked.iter().map(|one| (image.repository.as_str(), image.tag.as_deref(), one)));
    let repositories = report
        .repositories
        .iter()
        .flat_map(|repository| repository.unchecked.iter().map(|one| (repository.repository.as_str(), None, one)));
    let mut all: Vec<Value> = images
        .chain(repositories)
        .take(MOST)
        .map(|(repository, tag, one)| notification(repository, tag, one))
        .collect();
    if left_out > 0 {
        let text = format!("{left_out} results are left out: code scanning takes {most}. The JSON report has all.");
        all.push(json!({ "level": "warning", "message": { "text": text } }));
    }
    all
}

fn notification(repository: &str, tag: Option<&str>, one: &Unchecked) -> Value {
    let digest = one.digest.as_ref().map(|digest| format!(" {digest}")).unwrap_or_default();
    let text = format!("{}: could not check {}{digest}: {}", name(repository, tag), one.what, one.reason);
    json!({
        "level": "warning",
        "message": { "text": one_line(&text) },
        "locations": [location(repository, tag, None)],
    })
}

fn name(repository: &str, tag: Option<&str>) -> String {
    tag.map_or_else(|| repository.to_owned(), |tag| format!("{repository}:{tag}"))
}

/// The region is there because code scanning asks for one; an image has no lines.
fn location(repository: &str, tag: Option<&str>, platform: Option<&str>) -> Value {
    let name = one_line(&name(repository, tag));
    let mut logical = vec![json!({ "fullyQualifiedName": name, "kind": "image" })];
    if let Some(platform) = platform {
        let platform = one_line(platform);
        logical
            .push(json!({ "name": platform, "fullyQualifiedName": format!("{name}#{platform}"), "kind": "platform" }));
    }
    let region = json!({ "startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1 });
    json!({
        "physicalLocation": { "artifactLocation": { "uri": uri(repository, tag) }, "region": region },
        "logicalLocations": logical,
    })
}

/// `host/name/tag` as a relative reference (RFC 3986, 4.2): of other characters only those that no segment gives a meaning stay.
fn uri(repository: &str, tag: Option<&str>) -> String {
    let segments = one_line(repository).split('/').filter(|one| !one.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    // `.` and `..` would be another path.
    let segments =
        segments.into_iter().map(|one| if matches!(one.as_str(), "." | "..") { "_".to_owned() } else { one });
    let segments = segments.chain(tag.map(one_line)).map(|segment| {
        let mut out = String::new();
        for byte in segment.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
                other => out.push_str(&format!("%{other:02X}")),
            }
        }
        out
    });
    segments.collect::<Vec<_>>().join("/")
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

/// What code scanning sorts by.
fn problem(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "recommendation",
    }
}

fn without_nulls(mut object: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_and_tag_are_a_relative_path() {
        for (repository, tag, want) in [
            ("registry.example.com/team/app", Some("1.4"), "registry.example.com/team/app/1.4"),
            ("localhost:5000/app", None, "localhost%3A5000/app"),
            ("oci:../out", Some("a b"), "oci%3A../out/a%20b"),
            ("oci:/srv/../out", None, "oci%3A/srv/_/out"),
            ("r/ä", None, "r/%C3%A4"),
        ] {
            assert_eq!(uri(repository, tag), want);
        }
    }
}
