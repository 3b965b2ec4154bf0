//! One report of several, such as those of shards.
//!
//! Owns: what becomes of each field. Pure.

use std::collections::BTreeMap;

use super::baseline::Comparison;
use super::report::{ImageReport, Report, RepositoryReport};

impl Report {
    /// Returns one report of all. Of an image in several the last report's is taken; the scope is what all of them read, and the
    /// time is the longest.
    pub fn merge(reports: Vec<Self>) -> Self {
        let mut merged = Self::default();
        let mut scope = None;
        let mut images = BTreeMap::new();
        let mut repositories: BTreeMap<String, RepositoryReport> = BTreeMap::new();
        for report in reports {
            scope = Some(scope.map_or(report.scope, |all: super::Scope| all.and(report.scope)));
            merged.time = merged.time.max(report.time);
            merged.stats.fetched += report.stats.fetched;
            merged.stats.skipped += report.stats.skipped;
            merged.stats.cached += report.stats.cached;
            merged.stats.asked += report.stats.asked;
            merged.stats.resumed += report.stats.resumed;
            merged.stats.vanished += report.stats.vanished;
            merged.stats.seconds = merged.stats.seconds.max(report.stats.seconds);
            images.extend(report.images.into_iter().map(|image| (name(&image), image)));
            for one in report.repositories {
                match repositories.get_mut(&one.repository) {
                    Some(known) => known.join(one),
                    None => drop(repositories.insert(one.repository.clone(), one)),
                }
            }
            if let Some(comparison) = report.comparison {
                merged.comparison.get_or_insert_default().join(comparison);
            }
        }
        merged.scope = scope.unwrap_or_default();
        merged.images = images.into_values().collect();
        merged.repositories = repositories.into_values().collect();
        merged.stats.images = merged.images.len() as u64;
        merged
    }
}

/// An image is its tag; without one, its digest.
fn name(image: &ImageReport) -> (String, Option<String>, Option<String>) {
    let digest = image.digest.as_ref().filter(|_| image.tag.is_none());
    (image.repository.clone(), image.tag.clone(), digest.map(ToString::to_string))
}

impl RepositoryReport {
    fn join(&mut self, other: Self) {
        for finding in other.findings {
            if !self.findings.contains(&finding) {
                self.findings.push(finding);
            }
        }
        for unchecked in other.unchecked {
            if !self.unchecked.contains(&unchecked) {
                self.unchecked.push(unchecked);
            }
        }
    }
}

impl Comparison {
    fn join(&mut self, other: Self) {
        self.new += other.new;
        self.known += other.known;
        self.fixed.extend(other.fixed);
    }
}
