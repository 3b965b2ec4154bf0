//! Numbers of a report. Pure.

use std::collections::BTreeMap;

use polyarch_registry::audit::{Finding, ImageReport, Report, Severity};

/// What is counted in every format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Findings that are neither waived nor known.
    pub errors: usize,
    /// The same.
    pub warnings: usize,
    /// The same.
    pub infos: usize,
    /// Waived findings.
    pub waived: usize,
    /// Findings that are known, and not waived.
    pub known: usize,
    /// Things that could not be checked.
    pub unchecked: usize,
    /// Images without a finding, of which all could be checked.
    pub clean: usize,
}

/// How often one rule found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfRule {
    /// The worst.
    pub severity: Severity,
    /// Findings that are not waived.
    pub findings: usize,
    /// Images with at least one, and repositories.
    pub places: usize,
}

impl Tally {
    /// Counts.
    pub fn of(report: &Report) -> Self {
        let clean = report.images.iter().filter(|image| is_clean(image)).count();
        let start = Self { unchecked: report.unchecked(), clean, ..Self::default() };
        report.findings().fold(start, Self::with)
    }

    /// Counts findings.
    pub fn of_findings<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        findings.into_iter().fold(Self::default(), Self::with)
    }

    fn with(mut self, finding: &Finding) -> Self {
        let number = match (&finding.waived, finding.known, finding.severity) {
            (Some(_), ..) => &mut self.waived,
            (None, true, _) => &mut self.known,
            (None, false, Severity::Error) => &mut self.errors,
            (None, false, Severity::Warning) => &mut self.warnings,
            (None, false, Severity::Info) => &mut self.infos,
        };
        *number += 1;
        self
    }

    /// Returns `1 error, 2 warnings, 0 notes`.
    pub fn severities(&self) -> String {
        let of = super::plural;
        format!("{}, {}, {}", of(self.errors, "error"), of(self.warnings, "warning"), of(self.infos, "note"))
    }

    /// Returns how many findings count.
    pub fn open(&self) -> usize {
        self.errors + self.warnings + self.infos
    }
}

/// Returns whether there is nothing to say about an image.
pub fn is_clean(image: &ImageReport) -> bool {
    image.findings.is_empty() && image.unchecked.is_empty()
}

/// Returns the rules with findings that are not waived, worst first, then by number of findings.
pub fn by_rule(report: &Report) -> Vec<(&str, OfRule)> {
    let mut rules: BTreeMap<&str, OfRule> = BTreeMap::new();
    let images = report.images.iter().map(|image| &image.findings);
    for findings in images.chain(report.repositories.iter().map(|one| &one.findings)) {
        let mut here: Vec<&str> = Vec::new();
        for finding in findings.iter().filter(|finding| finding.waived.is_none()) {
            let start = OfRule { severity: finding.severity, findings: 0, places: 0 };
            let rule = rules.entry(&finding.rule).or_insert(start);
            rule.severity = rule.severity.max(finding.severity);
            rule.findings += 1;
            if !here.contains(&finding.rule.as_str()) {
                here.push(&finding.rule);
                rule.places += 1;
            }
        }
    }
    let mut list: Vec<_> = rules.into_iter().collect();
    list.sort_by_key(|(_, rule)| std::cmp::Reverse((rule.severity, rule.findings)));
    list
}
