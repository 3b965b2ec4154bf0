//! What is told together: tags of one repository with the same findings, and platforms of one image with the same finding.
//!
//! Owns: what counts as the same, and the order, worst first. Pure.

use std::cmp::Reverse;
use std::collections::HashMap;

use polyarch_registry::audit::{Finding, ImageReport, Report, Severity, Unchecked};

use super::tally::is_clean;

/// Something to tell.
pub struct Block<'a> {
    /// `host/name`.
    pub repository: &'a str,
    /// The image; none if it is about the repository as a whole.
    pub image: Option<&'a ImageReport>,
    /// Images of the same repository with the same to tell.
    pub others: Vec<&'a ImageReport>,
    /// What is wrong.
    pub findings: &'a [Finding],
    /// What could not be asked.
    pub unchecked: &'a [Unchecked],
}

/// One finding of several platforms.
pub struct Told<'a> {
    /// The first.
    pub finding: &'a Finding,
    /// Platforms; empty if it is about the image.
    pub platforms: Vec<&'a str>,
}

/// Returns what is to be told, worst first. Images with nothing to tell are left out, unless there is only one image.
pub fn blocks(report: &Report) -> Vec<Block<'_>> {
    let mut all: Vec<Block<'_>> = Vec::new();
    let mut known = HashMap::new();
    let is_only = report.images.len() == 1;
    for image in report.images.iter().filter(|image| is_only || !is_clean(image)) {
        let number = *known.entry(sameness(image)).or_insert(all.len());
        match all.get_mut(number) {
            Some(block) => block.others.push(image),
            None => all.push(Block {
                repository: &image.repository,
                image: Some(image),
                others: Vec::new(),
                findings: &image.findings,
                unchecked: &image.unchecked,
            }),
        }
    }
    let told = report.repositories.iter().filter(|one| !one.findings.is_empty() || !one.unchecked.is_empty());
    all.extend(told.map(|one| Block {
        repository: &one.repository,
        image: None,
        others: Vec::new(),
        findings: &one.findings,
        unchecked: &one.unchecked,
    }));
    all.sort_by_key(|block| Reverse(block.rank()));
    all
}

/// Returns findings that differ only in platform as one, in order.
pub fn told(findings: &[Finding]) -> Vec<Told<'_>> {
    let mut all: Vec<Told<'_>> = Vec::new();
    let mut known = HashMap::new();
    for finding in findings {
        let same =
            (&finding.rule, finding.severity, mask(&finding.message), &finding.fix, &finding.waived, finding.known);
        let has_platform = finding.platform.is_some();
        let number =
            *known.entry((same, has_platform, (!has_platform).then_some(&finding.digest))).or_insert(all.len());
        match all.get_mut(number) {
            Some(told) if !told.platforms.contains(&finding.platform.as_deref().unwrap_or_default()) => {
                told.platforms.extend(finding.platform.as_deref());
            }
            Some(_) => {}
            None => all.push(Told { finding, platforms: finding.platform.as_deref().into_iter().collect() }),
        }
    }
    all
}

impl Block<'_> {
    /// What counts comes first, then what is not known, then what is known or waived.
    fn rank(&self) -> (Option<Severity>, bool, Option<Severity>) {
        let open = self.findings.iter().filter(|one| one.is_open()).map(|one| one.severity).max();
        (open, !self.unchecked.is_empty(), self.findings.iter().map(|one| one.severity).max())
    }
}

/// What two images of one repository have in common when they are told together.
fn sameness(image: &ImageReport) -> String {
    let findings = image.findings.iter().map(|one| {
        let text = mask(&one.message);
        (&one.rule, one.severity, &one.platform, text, &one.key, &one.waived, one.known)
    });
    let platforms = image.platforms.iter().map(|one| (&one.platform, one.state, &one.unchecked));
    let unchecked = image.unchecked.iter().map(|one| (&one.what, mask(&one.reason)));
    let all = (findings.collect::<Vec<_>>(), platforms.collect::<Vec<_>>(), unchecked.collect::<Vec<_>>());
    format!("{:?} {all:?}", image.repository)
}

/// Returns a text without digests, which differ from image to image.
fn mask(text: &str) -> String {
    let words =
        text.split(' ').map(|word| if word.contains("sha256:") || word.contains("sha512:") { "…" } else { word });
    words.collect::<Vec<_>>().join(" ")
}
