//! The rules as a document and as the page docs/audit-rules.md. Pure.

use std::fmt::Write as _;

use polyarch_registry::audit::{Rule, rules};
use serde_json::json;

use crate::diagnostics::Diagnostic;
use crate::text::wrap;

/// Width of the tree's documents.
const WIDTH: usize = 130;

/// Returns the rules as JSON.
///
/// # Errors
/// None that rules can cause.
pub fn json() -> Result<String, Diagnostic> {
    let one = |rule: &Rule| {
        json!({
            "id": rule.id, "title": rule.title, "severity": rule.severity, "group": rule.group.name(),
            "reads": rule.cost.name(), "explanation": rule.explanation, "fix": rule.fix, "evidence": rule.evidence,
        })
    };
    let document = json!({ "version": 1, "rules": rules().iter().map(one).collect::<Vec<_>>() });
    Ok(format!("{document:#}\n"))
}

/// Returns the page.
pub fn page() -> String {
    let mut out = String::from(
        "# Rules of `polyarch audit`\n\n<!-- made by `polyarch audit rules --format markdown`; change the rules, not this page -->\n\n\
         `polyarch audit explain RULE` shows the same. A rule has no say where what it reads was not asked for: see\n\
         [audit.md](audit.md#what-is-read). Severities are the rules' own; some cases of a rule are milder.\n\n\
         | rule | severity | column | reads | finds |\n|---|---|---|---|---|\n",
    );
    // Writing to a String cannot fail.
    for rule in rules() {
        let (id, cost) = (rule.id, rule.cost.name());
        let title = rule.title.replace('|', "\\|");
        let _ =
            writeln!(out, "| [{id}](#{id}) | {} | {} | {cost} | {title} |", rule.severity.name(), rule.group.name());
    }
    for rule in rules() {
        let _ = writeln!(out, "\n## {}\n", rule.id);
        let text = format!("{}. {}", capital(rule.title), rule.explanation);
        wrap(&text, WIDTH).iter().for_each(|line| out.push_str(&format!("{line}\n")));
        out.push('\n');
        wrap(&format!("**Fix:** {}.", rule.fix.trim_end_matches('.')), WIDTH)
            .iter()
            .for_each(|line| out.push_str(&format!("{line}\n")));
        if !rule.evidence.is_empty() {
            out.push('\n');
            wrap(&format!("Seen in {}.", rule.evidence.join(", ")), WIDTH)
                .iter()
                .for_each(|line| out.push_str(&format!("{line}\n")));
        }
    }
    out
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_in_docs_is_that_of_the_rules() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/audit-rules.md");
        let kept = std::fs::read_to_string(path).unwrap();
        let advice = "stale: `cargo run -p polyarch-cli -- audit rules --format markdown > docs/audit-rules.md`";
        assert!(kept == super::page(), "docs/audit-rules.md is {advice}");
    }

    #[test]
    fn every_rule_is_in_the_document() {
        let document: serde_json::Value = serde_json::from_str(&super::json().unwrap()).unwrap();
        let ids: Vec<_> =
            document["rules"].as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect();
        let want: Vec<_> = polyarch_registry::audit::rules().iter().map(|rule| rule.id).collect();
        assert_eq!((ids, &document["version"]), (want, &1.into()));
    }
}
