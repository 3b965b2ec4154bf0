//! The report as JUnit XML: a test suite per image, a test case per rule and platform. As Jenkins and GitLab read it; there is no
//! standard.
//!
//! Owns: what passes, fails, is skipped or is an error. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use polyarch_registry::audit::{Finding, Report, Rule, Severity, Unchecked, rules};

use super::one_line;
use crate::text::escape;

/// Images with a passed test case for every rule that found nothing. Above that it is one for each clean image, or the file would
/// be larger than what reads it takes.
const FEW: usize = 1000;

#[derive(Default)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

/// Returns the document.
pub fn render(report: &Report) -> String {
    let judged: Vec<&Rule> = rules().iter().filter(|rule| report.scope.reads(rule.cost)).collect();
    let judged = if report.images.len() > FEW { &[] } else { &judged[..] };
    let (mut suites, mut all) = (String::new(), Counts::default());
    let images = report.images.iter().map(|image| (image.name(), &image.findings, &image.unchecked, judged));
    let repositories =
        report.repositories.iter().map(|one| (one.repository.clone(), &one.findings, &one.unchecked, &[][..]));
    for (name, findings, unchecked, judged) in images.chain(repositories) {
        let counts = suite(&mut suites, &name, report.time.as_deref(), findings, unchecked, judged);
        all.tests += counts.tests;
        all.failures += counts.failures;
        all.errors += counts.errors;
    }
    // Writing to a String cannot fail.
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (tests, failures, errors) = (all.tests, all.failures, all.errors);
    let _ = writeln!(
        out,
        "<testsuites name=\"polyarch audit\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{:.3}\">",
        report.stats.seconds
    );
    out + &suites + "</testsuites>\n"
}

fn suite(
    out: &mut String,
    name: &str,
    time: Option<&str>,
    findings: &[Finding],
    unchecked: &[Unchecked],
    judged: &[&Rule],
) -> Counts {
    let (mut cases, mut counts) = (String::new(), Counts::default());
    let mut found: BTreeMap<(&str, Option<&str>), Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        found.entry((&finding.rule, finding.platform.as_deref())).or_default().push(finding);
    }
    for rule in judged.iter().filter(|rule| findings.iter().all(|one| one.rule != rule.id)) {
        case(&mut cases, &mut counts, name, rule.id, "");
    }
    for ((rule, platform), findings) in found {
        let title = platform.map_or_else(|| rule.to_owned(), |platform| format!("{rule} {platform}"));
        let body = outcome(&findings, &mut counts);
        case(&mut cases, &mut counts, name, &title, &body);
    }
    for (number, one) in unchecked.iter().enumerate() {
        counts.errors += 1;
        let digest = one.digest.as_ref().map(|digest| format!(" {digest}")).unwrap_or_default();
        let what = format!("could not check {}{digest}", one.what);
        let body =
            format!("      <error type=\"unchecked\" message=\"{}\"/>\n", xml(&format!("{what}: {}", one.reason)));
        // A registry may be asked for one thing in two ways.
        case(&mut cases, &mut counts, name, &format!("{what} #{}", number + 1), &body);
    }
    if counts.tests == 0 {
        case(&mut cases, &mut counts, name, "audit", "");
    }
    let Counts { tests, failures, errors, skipped } = &counts;
    let stamp = time.map(|time| format!(" timestamp=\"{}\"", xml(time.trim_end_matches('Z')))).unwrap_or_default();
    let _ = writeln!(
        out,
        "  <testsuite name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" \
         time=\"0\"{stamp}>\n{cases}  </testsuite>",
        xml(name)
    );
    counts
}

/// What is new and at least a warning fails; what is waived or known is skipped; the rest passes and says so.
fn outcome(findings: &[&Finding], counts: &mut Counts) -> String {
    let is_failure = |one: &&&Finding| one.is_open() && one.severity > Severity::Info;
    let failing: Vec<&Finding> = findings.iter().filter(is_failure).copied().collect();
    if let Some(worst) = failing.iter().max_by_key(|one| one.severity) {
        counts.failures += 1;
        let text: Vec<String> = failing.iter().map(|one| xml(&format!("{}. Fix: {}", one.message, one.fix))).collect();
        let (kind, message) = (worst.severity.name(), xml(&worst.message));
        return format!("      <failure type=\"{kind}\" message=\"{message}\">{}</failure>\n", text.join("\n"));
    }
    if let Some(open) = findings.iter().find(|one| one.is_open()) {
        return format!("      <system-out>{}</system-out>\n", xml(&open.message));
    }
    counts.skipped += 1;
    let reason = findings.iter().find_map(|one| one.waived.as_ref()).map(|reason| format!("waived: {reason}"));
    let reason = reason.unwrap_or_else(|| format!("known: {}", findings[0].message));
    format!("      <skipped message=\"{}\"/>\n", xml(&reason))
}

fn case(out: &mut String, counts: &mut Counts, class: &str, name: &str, body: &str) {
    counts.tests += 1;
    let start = format!("    <testcase classname=\"{}\" name=\"{}\" time=\"0\"", xml(class), xml(name));
    let _ = match body {
        "" => writeln!(out, "{start}/>"),
        body => writeln!(out, "{start}>\n{body}    </testcase>"),
    };
}

/// Returns text for an attribute or a body: visible, then without what XML gives a meaning. `>` is escaped for `]]>`.
fn xml(text: &str) -> String {
    let mut out = String::new();
    for c in escape(&one_line(text)).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            // The only characters left that XML 1.0 (2.2) has no room for.
            '\u{fffe}' | '\u{ffff}' => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
    out
}
