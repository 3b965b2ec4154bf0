//! What an audit found that an earlier one did not.
//!
//! Owns: fingerprints, which findings are known, and which are gone. Pure. Never: drops a finding.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::finding::{Finding, Severity};
use super::report::Report;
use super::rules::rule;
use crate::oci::Digest;

/// How a report differs from an earlier one. What is waived is not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Findings the earlier report does not have.
    pub new: usize,
    /// Findings both have.
    pub known: usize,
    /// What only the earlier report has although its image was audited again.
    pub fixed: Vec<Fixed>,
}

/// A finding that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fixed {
    /// `host/name`.
    pub repository: String,
    /// Tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Id of the rule.
    pub rule: String,
    /// How bad it was.
    pub severity: Severity,
    /// The platform it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What was wrong.
    pub message: String,
}

/// Returns what stays the same of a finding from one audit to the next, as 64 hex digits: made of rule, repository, tag, platform
/// and key; of no digest, which every build changes.
pub fn fingerprint(repository: &str, tag: Option<&str>, finding: &Finding) -> String {
    let parts = serde_json::json!([finding.rule, repository, tag, finding.platform, finding.key]);
    Digest::sha256(parts.to_string().as_bytes()).encoded().to_owned()
}

impl Report {
    /// Marks what an earlier report has too, and says how the two differ. Of several findings with one fingerprint as many are
    /// known as the earlier report has.
    pub fn compare(&mut self, earlier: &Self) {
        let mut before: HashMap<String, Vec<_>> = HashMap::new();
        for one in earlier.named_findings().filter(|(.., finding)| finding.waived.is_none()) {
            before.entry(fingerprint(one.0, one.1, one.2)).or_default().push(one);
        }
        let mut comparison = Comparison::default();
        for (repository, tag, finding) in self.named_findings_mut() {
            let seen = before.get_mut(&fingerprint(repository, tag, finding)).and_then(Vec::pop);
            finding.known = seen.is_some();
            match (&finding.waived, finding.known) {
                (Some(_), _) => {}
                (None, true) => comparison.known += 1,
                (None, false) => comparison.new += 1,
            }
        }
        let judged = Judged::of(self);
        let mut gone: Vec<_> = before.into_values().flatten().collect();
        gone.retain(|(repository, tag, finding)| judged.again(&finding.rule, repository, *tag));
        gone.sort_by_key(|(repository, tag, finding)| {
            (*repository, *tag, &finding.rule, &finding.platform, &finding.message)
        });
        comparison.fixed = gone.into_iter().map(|(repository, tag, finding)| fixed(repository, tag, finding)).collect();
        self.comparison = Some(comparison);
    }

    /// Returns every finding with its repository and tag.
    pub fn named_findings(&self) -> impl Iterator<Item = (&str, Option<&str>, &Finding)> {
        let images = self.images.iter().flat_map(|image| {
            image.findings.iter().map(|finding| (image.repository.as_str(), image.tag.as_deref(), finding))
        });
        let repositories = self.repositories.iter().flat_map(|repository| {
            repository.findings.iter().map(|finding| (repository.repository.as_str(), None, finding))
        });
        images.chain(repositories)
    }

    fn named_findings_mut(&mut self) -> impl Iterator<Item = (&str, Option<&str>, &mut Finding)> {
        let images = self.images.iter_mut().flat_map(|image| {
            let (repository, tag) = (image.repository.as_str(), image.tag.as_deref());
            image.findings.iter_mut().map(move |finding| (repository, tag, finding))
        });
        let repositories = self.repositories.iter_mut().flat_map(|one| {
            let repository = one.repository.as_str();
            one.findings.iter_mut().map(move |finding| (repository, None, finding))
        });
        images.chain(repositories)
    }
}

/// What a report is sure of: only there a finding can be said to be gone.
struct Judged<'a> {
    report: &'a Report,
    images: HashSet<(&'a str, Option<&'a str>)>,
    repositories: HashSet<&'a str>,
}

impl<'a> Judged<'a> {
    fn of(report: &'a Report) -> Self {
        let images = report.images.iter().filter(|image| image.unchecked.is_empty());
        let repositories = report.repositories.iter().filter(|one| one.unchecked.is_empty());
        Self {
            report,
            images: images.map(|image| (image.repository.as_str(), image.tag.as_deref())).collect(),
            repositories: repositories.map(|one| one.repository.as_str()).collect(),
        }
    }

    fn again(&self, id: &str, repository: &str, tag: Option<&str>) -> bool {
        let reads = rule(id).is_none_or(|rule| self.report.scope.reads(rule.cost));
        reads && (self.images.contains(&(repository, tag)) || tag.is_none() && self.repositories.contains(repository))
    }
}

fn fixed(repository: &str, tag: Option<&str>, finding: &Finding) -> Fixed {
    Fixed {
        repository: repository.to_owned(),
        tag: tag.map(str::to_owned),
        rule: finding.rule.clone(),
        severity: finding.severity,
        platform: finding.platform.clone(),
        message: finding.message.clone(),
    }
}
