//! What an audit found, as data: every format is made from it, and `json` is it.
//!
//! Owns: the report's shape and its version. Pure. Never: escapes; each format does that in its own way.

use serde::{Deserialize, Serialize};

use super::baseline::Comparison;
use super::children;
use super::facts::ImageFacts;
use super::finding::{Finding, Severity, Unchecked};
use super::run::Scope;
use super::scale::Shard;
use crate::oci::Digest;

/// Version of the shape: raised when a field changes its meaning or goes.
pub const REPORT_VERSION: u32 = 1;

/// A whole audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// When it was made, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// What was read: a rule that needs more had no say.
    #[serde(default)]
    pub scope: Scope,
    /// Images, by repository and tag.
    pub images: Vec<ImageReport>,
    /// Findings about repositories as a whole, and what could not be listed.
    #[serde(default)]
    pub repositories: Vec<RepositoryReport>,
    /// How it differs from an earlier one, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// What it took.
    pub stats: Stats,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            version: REPORT_VERSION,
            time: None,
            scope: Scope::default(),
            images: Vec::new(),
            repositories: Vec::new(),
            comparison: None,
            stats: Stats::default(),
        }
    }
}

/// One tag or digest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageReport {
    /// `host/name`, or `oci:DIR`.
    pub repository: String,
    /// Tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Digest of its root; none if it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Its platforms, also those that are missing.
    pub platforms: Vec<PlatformReport>,
    /// Attestations beside them.
    pub attestations: usize,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
    /// What could not be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<Unchecked>,
}

/// One platform of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformReport {
    /// As the index names it.
    pub platform: String,
    /// Digest of its manifest.
    pub digest: Digest,
    /// What became of reading it.
    #[serde(default, skip_serializing_if = "PlatformState::is_read")]
    pub state: PlatformState,
    /// Bytes of its layers.
    pub size: u64,
    /// Number of its layers.
    pub layers: usize,
    /// RFC 3339, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What of it could not be asked, as [`Unchecked::what`] calls it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<String>,
}

/// What became of reading a platform's manifest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlatformState {
    /// It was read.
    #[default]
    Read,
    /// It is not there.
    Missing,
    /// Nobody knows.
    Unchecked,
    /// It is no manifest polyarch reads, or not the one its digest says.
    Unusable,
}

impl PlatformState {
    /// Returns whether there is anything to judge.
    pub fn is_read(&self) -> bool {
        *self == Self::Read
    }
}

/// A repository as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryReport {
    /// `host/name`.
    pub repository: String,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What could not be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchecked: Vec<Unchecked>,
}

/// What an audit took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Images audited.
    pub images: u64,
    /// Manifests and configurations read from registries.
    pub fetched: u64,
    /// Those that were known from before.
    pub cached: u64,
    /// Tags of whole repositories that were left out because they are no images: signatures and lists of referrers.
    #[serde(default)]
    pub skipped: u64,
    /// Seconds.
    pub seconds: f64,
    /// Objects, and tags, that were only asked for: a HEAD each.
    #[serde(default)]
    pub asked: u64,
    /// Images whose reports an interrupted audit had left.
    #[serde(default)]
    pub resumed: u64,
    /// Tags that were removed between being listed and being read.
    #[serde(default)]
    pub vanished: u64,
    /// Which part of everything asked for it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
}

impl ImageReport {
    /// Returns the report of an image and what the rules found.
    pub fn new(facts: &ImageFacts, mut findings: Vec<Finding>) -> Self {
        findings.sort_by(|a, b| {
            b.severity
                .cmp(&a.severity)
                .then_with(|| (&a.rule, &a.platform, &a.key).cmp(&(&b.rule, &b.platform, &b.key)))
        });
        Self {
            repository: facts.name.repository.clone(),
            tag: facts.name.tag.clone(),
            digest: Some(facts.name.digest.clone()),
            platforms: children::of(facts),
            attestations: facts.entries().iter().filter(|entry| entry.is_attestation()).count(),
            findings,
            unchecked: facts.unchecked.clone(),
        }
    }

    /// Returns its name, as a user writes it.
    pub fn name(&self) -> String {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => format!("{}:{tag}", self.repository),
            (None, Some(digest)) => format!("{}@{digest}", self.repository),
            (None, None) => self.repository.clone(),
        }
    }

    /// Returns the worst severity of what is neither waived nor known.
    pub fn worst(&self) -> Option<Severity> {
        worst(&self.findings)
    }
}

impl Report {
    /// Returns all findings, those of images first.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let images = self.images.iter().flat_map(|image| &image.findings);
        images.chain(self.repositories.iter().flat_map(|repository| &repository.findings))
    }

    /// Returns the worst severity of what is neither waived nor known.
    pub fn worst(&self) -> Option<Severity> {
        worst(self.findings())
    }

    /// Returns how many things could not be asked.
    pub fn unchecked(&self) -> usize {
        let images: usize = self.images.iter().map(|image| image.unchecked.len()).sum();
        images + self.repositories.iter().map(|repository| repository.unchecked.len()).sum::<usize>()
    }
}

fn worst<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Option<Severity> {
    findings.into_iter().filter(|finding| finding.is_open()).map(|finding| finding.severity).max()
}
