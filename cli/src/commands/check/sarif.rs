//! Findings as SARIF 2.1.0 (OASIS), for code scanning services.

use polyarch_builder::lint::{Finding, Severity, rules};
use serde_json::{Value, json};

use super::super::plan::Prepared;
use crate::report::sarif;

/// Returns the log, ending in a newline.
pub(super) fn render(prepared: &Prepared, findings: &[Finding]) -> String {
    let ours = rules().iter().map(|rule| {
        json!({
            "id": rule.id,
            "shortDescription": { "text": rule.summary },
            "help": { "text": format!("docs/lints/{}.md", rule.id) },
            "defaultConfiguration": { "level": level(rule.severity) },
        })
    });
    let mut list: Vec<Value> = ours.collect();
    for finding in findings {
        if !list.iter().any(|rule| rule["id"] == finding.rule.as_str()) {
            let mut rule = json!({ "id": finding.rule, "shortDescription": { "text": finding.rule } });
            if let Some(url) = &finding.url {
                rule["helpUri"] = json!(url);
            }
            list.push(rule);
        }
    }
    let results: Vec<Value> = findings.iter().map(|finding| result(prepared, finding)).collect();
    sarif::log(list, results, json!({}))
}

fn result(prepared: &Prepared, finding: &Finding) -> Value {
    let mut message = finding.message.clone();
    if !finding.platforms.is_empty() {
        let names: Vec<String> = finding.platforms.iter().map(ToString::to_string).collect();
        message = format!("{message} ({})", names.join(", "));
    }
    if let Some(fix) = &finding.fix {
        message = format!("{message}. Fix: {fix}");
    }
    let region = json!({
        "startLine": finding.span.line,
        "startColumn": finding.span.column,
        "endLine": finding.span.end_line.max(finding.span.line),
    });
    let place = json!({ "artifactLocation": { "uri": prepared.name.replace(' ', "%20") }, "region": region });
    json!({
        "ruleId": finding.rule,
        "level": level(finding.severity),
        "message": { "text": message },
        "locations": [{ "physicalLocation": place }],
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
