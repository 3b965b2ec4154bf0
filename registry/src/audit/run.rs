//! Auditing tags, repositories and layouts.
//!
//! Owns: what is read for which scope, how many images at once, and the report. Never: judges, or decides an exit code.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::bases::Bases;
use super::elsewhere::Elsewhere;
use super::inventory::Gatherer;
use super::layer::library::Library;
use super::layer::read::Reading;
use super::policy::Policy;
use super::report::Report;
use super::scale::{Checkpoint, Shard};
use super::select::TagFilter;
use super::work::Run;
use crate::client::Registry;
use crate::oci::{Digest, RawManifest, Reference};
use crate::resolve::ManifestCache;
use crate::verify::ContentSource;

/// How long it is believed that a repository still has what it was seen to have, if nothing else is said.
pub const TRUST: Duration = Duration::from_secs(24 * 3600);

/// What is read besides manifests and configurations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scope {
    /// Whether each blob is there.
    pub blobs: bool,
    /// What refers to each manifest.
    pub referrers: bool,
    /// The headers of the programs images start.
    pub binaries: bool,
    /// Every layer.
    pub layers: bool,
}

/// What is asked beyond the images that are audited.
#[derive(Debug, Clone, Default)]
pub struct Beyond {
    /// Ask registries for the bases that images name.
    pub bases: bool,
    /// The repository that each audited one is a mirror of.
    pub mirror_of: Option<Reference>,
    /// Ask for each tag again at the end, whether it has moved.
    pub recheck: bool,
    /// Where tags led earlier, by `host/name:tag`.
    pub earlier: BTreeMap<String, Digest>,
}

/// Something to audit.
pub enum Job {
    /// Tags of a repository; `None`: all it has.
    Repository {
        /// Any reference to it.
        repository: Reference,
        /// Tags.
        tags: Option<Vec<String>>,
    },
    /// A whole repository that its registry lists; it may have become empty since.
    Listed(Reference),
    /// One digest of a repository.
    Digest(Reference),
    /// Images of a layout or store, which is no registry.
    Local {
        /// As it is shown: `oci:DIR`.
        repository: String,
        /// Where it is read.
        source: Arc<dyn ContentSource>,
        /// Names and roots.
        roots: Vec<(Option<String>, RawManifest)>,
    },
}

/// How far an audit is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Images audited.
    pub done: u64,
    /// Images known of.
    pub known: u64,
    /// Findings so far.
    pub findings: u64,
    /// Of the images, those that an interrupted audit had done.
    pub resumed: u64,
    /// Repositories and layouts asked for.
    pub places: u64,
    /// Of them, those of which no image is left to be audited.
    pub places_done: u64,
    /// Of them, those whose images are known of.
    pub places_listed: u64,
}

/// How an audit of many images goes about it. None of it changes what is found.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long it is believed that a repository has what it was seen to have.
    pub trust: Duration,
    /// A directory for what was seen in each repository; none: every object is asked about once a run.
    pub memory: Option<PathBuf>,
    /// Which part of the images is audited.
    pub shard: Option<Shard>,
    /// Where finished reports are kept until the end.
    pub checkpoint: Option<Checkpoint>,
}

impl Default for Options {
    fn default() -> Self {
        Self { trust: TRUST, memory: None, shard: None, checkpoint: None }
    }
}

/// Audits.
pub struct Auditor {
    pub(super) registry: Registry,
    pub(super) cache: Option<ManifestCache>,
    pub(super) policy: Policy,
    pub(super) scope: Scope,
    pub(super) options: Options,
    /// What was read of layers, each once.
    pub(super) library: Library,
    /// Which tags of whole repositories are audited.
    pub(super) tags: TagFilter,
    /// What is told of each image's bases.
    pub(super) inventory: Option<Arc<Gatherer>>,
    /// Where else what is missing is looked for.
    pub(super) elsewhere: Option<Elsewhere>,
    pub(super) beyond: Beyond,
    pub(super) bases: Option<Arc<Bases>>,
}

impl Auditor {
    /// Returns an auditor that remembers what it reads, if there is a cache. Registries are asked themselves: what a mirror
    /// has says nothing about them.
    pub fn new(registry: Registry, cache: Option<ManifestCache>, policy: Policy, scope: Scope) -> Self {
        let library = Library::new(Reading { is_deep: scope.layers, ..Reading::default() });
        let (options, tags) = (Options::default(), TagFilter::default());
        Self {
            registry: registry.without_mirrors(),
            cache,
            policy,
            scope,
            options,
            library,
            tags,
            inventory: None,
            elsewhere: None,
            beyond: Beyond::default(),
            bases: None,
        }
    }

    /// Returns the same auditor, which leaves tags out where it audits a whole repository.
    #[must_use]
    pub fn with_tags(self, tags: TagFilter) -> Self {
        Self { tags, ..self }
    }

    /// Returns the same auditor, which asks more.
    #[must_use]
    pub fn beyond(self, beyond: Beyond) -> Self {
        let bases = beyond.bases.then(|| Arc::new(Bases::new(&self.registry)));
        Self { beyond, bases, ..self }
    }

    /// Returns the same auditor with other options.
    #[must_use]
    pub fn with_options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Returns the same auditor, which tells of each image's bases.
    #[must_use]
    pub fn with_inventory(self, inventory: Arc<Gatherer>) -> Self {
        Self { inventory: Some(inventory), ..self }
    }

    /// Returns the same auditor, which says of what is missing where it still is.
    #[must_use]
    pub fn with_elsewhere(self, elsewhere: Elsewhere) -> Self {
        Self { elsewhere: Some(elsewhere), ..self }
    }

    /// Returns what is read.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Returns how old the reports are that an interrupted audit of the same left, and how many they are.
    pub fn unfinished(&self) -> Option<(Duration, usize)> {
        self.checkpoint()?.unfinished()
    }

    /// The debug text of policy and scope has every field there is, and in the same order each time.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        let Checkpoint { dir, asked, resume } = self.options.checkpoint.clone()?;
        let asked = format!("{asked}\n{:?}\n{:?}\n{:?}\n{:?}", self.policy, self.scope, self.options.shard, self.tags);
        let asked = format!("{asked}\n{:?}", self.beyond);
        Some(Checkpoint { dir, asked, resume })
    }

    /// Audits everything asked for, each image once; `tell` hears how far it is.
    ///
    /// Dropped before it ends, it leaves the reports that are done at the checkpoint.
    pub async fn run(&self, jobs: Vec<Job>, tell: &(dyn Fn(Progress) + Sync)) -> Report {
        let start = Instant::now();
        let mut report = Run::begin(self, tell).await.over(jobs).await;
        report.scope = self.scope;
        for one in &mut report.repositories {
            self.policy.waive(&one.repository, None, &mut one.findings);
        }
        report.images.sort_by(|a, b| (&a.repository, &a.tag, &a.digest).cmp(&(&b.repository, &b.tag, &b.digest)));
        report.stats.images = report.images.len() as u64;
        report.stats.shard = self.options.shard;
        report.stats.seconds = start.elapsed().as_secs_f64();
        report
    }
}
