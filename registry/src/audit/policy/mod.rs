//! What is expected of images.
//!
//! Owns: [`Policy`], its file, and what it comes to for one repository. Pure.

mod keys;
mod read;
mod schema;
mod values;
mod waiver;

use std::collections::BTreeMap;
use std::time::Duration;

pub use keys::PROFILES;
pub use read::{PolicyError, PolicyFault};
pub use schema::schema;
pub use waiver::Waiver;

use super::finding::{Finding, Severity};
use crate::oci::Platform;

/// What is expected of all repositories.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// What holds where nothing else is said.
    pub defaults: Expectations,
    /// What holds instead in some repositories, later ones over earlier ones.
    overrides: Vec<Override>,
    /// Findings that are accepted for a time.
    pub waivers: Vec<Waiver>,
    /// The day waivers are held against; none: they are left alone.
    today: Option<time::Date>,
}

/// What holds in some repositories.
#[derive(Debug, Clone)]
struct Override {
    repositories: super::glob::Glob,
    settings: Settings,
}

/// What a policy says in one place.
#[derive(Debug, Clone, Default)]
struct Settings {
    values: Vec<(&'static keys::Key, keys::Value)>,
    severities: Vec<(String, Option<Severity>)>,
}

impl Settings {
    fn put(&self, wanted: &mut Expectations) {
        self.values.iter().for_each(|(key, value)| key.put(value, wanted));
        wanted.severities.extend(self.severities.iter().cloned());
    }
}

/// What is expected of the images of one repository.
#[derive(Debug, Clone)]
pub struct Expectations {
    /// Platforms every image must have.
    pub required_platforms: Vec<Platform>,
    /// Platforms an image may have; empty: any.
    pub allowed_platforms: Vec<Platform>,
    /// Labels that every configuration must have.
    pub required_labels: Vec<String>,
    /// Annotations that the index, or a lone manifest, must have.
    pub required_annotations: Vec<String>,
    /// Most bytes of one platform's layers together.
    pub max_image_bytes: Option<u64>,
    /// Most bytes of one layer.
    pub max_layer_bytes: Option<u64>,
    /// Most layers.
    pub max_layers: Option<usize>,
    /// Registries, or repositories, bases may come from, as globs; empty: any.
    pub allowed_bases: Vec<String>,
    /// Whether running as root is a finding.
    pub forbid_root: bool,
    /// Whether a missing health check is a finding.
    pub require_healthcheck: bool,
    /// Whether an image that is not signed is a finding of the severity `error`.
    pub require_signature: bool,
    /// The same of an SBOM.
    pub require_sbom: bool,
    /// The same of a provenance attestation.
    pub require_provenance: bool,
    /// Whether an image must be an index.
    pub require_index: bool,
    /// Clients that must get along with it: `lambda`, `quay`, `docker-20.10`, `containerd-1.6`, `strict`.
    pub profiles: Vec<String>,
    /// How far apart platforms may have been created.
    pub created_spread: Duration,
    /// How many times as large as the smallest platform the largest may be.
    pub size_ratio: f64,
    /// Severities instead of the rules' own, by id; `None` turns a rule off.
    pub severities: BTreeMap<String, Option<Severity>>,
}

impl Default for Expectations {
    fn default() -> Self {
        Self {
            required_platforms: Vec::new(),
            allowed_platforms: Vec::new(),
            required_labels: Vec::new(),
            required_annotations: Vec::new(),
            max_image_bytes: None,
            max_layer_bytes: None,
            max_layers: None,
            allowed_bases: Vec::new(),
            forbid_root: false,
            require_healthcheck: false,
            require_signature: false,
            require_sbom: false,
            require_provenance: false,
            require_index: false,
            profiles: Vec::new(),
            created_spread: Duration::from_secs(24 * 3600),
            size_ratio: 3.0,
            severities: BTreeMap::new(),
        }
    }
}

impl Policy {
    /// Returns a policy that expects the same of all repositories.
    pub fn of(defaults: Expectations) -> Self {
        Self { defaults, ..Self::default() }
    }

    /// Reads a policy. `today` decides which waivers still count.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its place.
    pub fn parse(text: &str, today: time::Date) -> Result<Self, PolicyError> {
        read::policy(text, today)
    }

    /// Returns what is expected of a repository: the defaults, and over them what is said of repositories of its name.
    pub fn expectations(&self, repository: &str) -> Expectations {
        let mut wanted = self.defaults.clone();
        for one in self.overrides.iter().filter(|one| one.repositories.matches(repository)) {
            one.settings.put(&mut wanted);
        }
        wanted
    }

    /// Returns how many groups of repositories it names.
    pub fn overrides(&self) -> usize {
        self.overrides.len()
    }
}

impl Expectations {
    /// Gives findings the severity that is asked for; those of rules that are off go.
    pub(super) fn apply(&self, findings: &mut Vec<Finding>) {
        findings.retain_mut(|finding| match self.severities.get(&finding.rule) {
            Some(None) => false,
            Some(Some(severity)) => {
                finding.severity = *severity;
                true
            }
            None => true,
        });
    }
}
