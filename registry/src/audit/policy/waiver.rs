//! Findings that are known and accepted for a time.
//!
//! Owns: which findings a waiver is about, and that an expired one silences nothing. Pure; the day comes from outside.

use time::Date;

use super::Policy;
use crate::audit::finding::{Finding, Findings, Place};
use crate::audit::glob::Glob;
use crate::audit::report::Report;
use crate::audit::rules::rule;
use crate::oci::Platform;

/// The rule whose findings tell of expired waivers.
pub(in crate::audit) const EXPIRED: &str = "expired-waiver";

/// A finding that is accepted until a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    /// Id of the rule.
    pub rule: String,
    /// Repositories; none: all.
    pub repository: Option<Glob>,
    /// Tags; none: all, and what has none.
    pub tag: Option<Glob>,
    /// The platform; none: all, and what is about none.
    pub platform: Option<Platform>,
    /// Why.
    pub reason: String,
    /// The last day on which it counts, in UTC.
    pub expires: Date,
    /// Its line in the policy.
    pub line: usize,
}

impl Waiver {
    /// Returns whether it is about a finding, expired or not.
    pub fn is_about(&self, repository: &str, tag: Option<&str>, finding: &Finding) -> bool {
        let fits = |glob: &Option<Glob>, name: Option<&str>| {
            glob.as_ref().is_none_or(|glob| name.is_some_and(|name| glob.matches(name)))
        };
        let platform = || finding.platform.as_ref().and_then(|platform| platform.parse::<Platform>().ok());
        self.rule == finding.rule
            && fits(&self.repository, Some(repository))
            && fits(&self.tag, tag)
            && self.platform.as_ref().is_none_or(|want| platform().is_some_and(|got| got.same_as(want)))
    }

    /// Returns whether it counts no more.
    pub fn is_expired(&self, today: Date) -> bool {
        today > self.expires
    }
}

impl Policy {
    /// Marks the findings of one image, or of a repository as a whole, that are waived; and adds a finding for each that was until
    /// a day which is over.
    pub fn waive(&self, repository: &str, tag: Option<&str>, findings: &mut Vec<Finding>) {
        let Some(today) = self.today else { return };
        let mut expired = Vec::new();
        for finding in findings.iter_mut().filter(|finding| finding.waived.is_none()) {
            let about = || self.waivers.iter().filter(|waiver| waiver.is_about(repository, tag, finding));
            match about().find(|waiver| !waiver.is_expired(today)) {
                Some(waiver) => finding.waived = Some(waiver.reason.clone()),
                None => expired.extend(about().next().map(|waiver| (waiver, finding.platform.clone()))),
            }
        }
        let Some(rule) = rule(EXPIRED) else { return };
        expired.dedup_by(|a, b| std::ptr::eq(a.0, b.0) && a.1 == b.1);
        let mut told = Findings::new(rule);
        for (waiver, platform) in expired {
            let message = format!("the waiver of {} ended on {}: {}", waiver.rule, waiver.expires, waiver.reason);
            let finding = told.add(Place::image(), message);
            (finding.platform, finding.key) = (platform, waiver.rule.clone());
        }
        self.expectations(repository).apply(&mut told.list);
        findings.append(&mut told.list);
    }

    /// Returns the waivers that are about no finding of a report.
    pub fn unused_waivers(&self, report: &Report) -> Vec<&Waiver> {
        let is_used = |waiver: &&Waiver| {
            let images = report.images.iter().any(|image| {
                let tag = image.tag.as_deref();
                image.findings.iter().any(|finding| waiver.is_about(&image.repository, tag, finding))
            });
            images
                || report
                    .repositories
                    .iter()
                    .any(|one| one.findings.iter().any(|finding| waiver.is_about(&one.repository, None, finding)))
        };
        self.waivers.iter().filter(|waiver| !is_used(waiver)).collect()
    }
}
