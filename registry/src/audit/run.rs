//! Auditing tags, repositories and layouts.
//!
//! Owns: what is read for which scope, how many images at once, and the report. Never: judges, or decides an exit code.

use std::sync::Arc;
use std::time::Instant;

use futures::stream::{StreamExt as _, iter};
use serde::{Deserialize, Serialize};

use super::collect::{Collector, in_full};
use super::extras::Extras;
use super::facts::ImageName;
use super::finding::Unchecked;
use super::policy::Policy;
use super::referrers::Local;
use super::report::{ImageReport, Report, RepositoryReport};
use super::rules::judge;
use crate::client::{ErrorKind, Registry, TagList};
use crate::oci::{RawManifest, Reference};
use crate::resolve::ManifestCache;
use crate::transfer::RegistrySource;
use crate::transfer::copier::is_about_digest;
use crate::verify::ContentSource;

/// Images read at once. Requests in flight are bounded by the client.
const PARALLEL: usize = 32;

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

/// Something to audit.
pub enum Job {
    /// Tags of a repository; `None`: all it has.
    Repository {
        /// Any reference to it.
        repository: Reference,
        /// Tags.
        tags: Option<Vec<String>>,
    },
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
}

/// Audits.
pub struct Auditor {
    registry: Registry,
    cache: Option<ManifestCache>,
    policy: Policy,
    scope: Scope,
}

impl Auditor {
    /// Returns an auditor that remembers what it reads, if there is a cache.
    pub fn new(registry: Registry, cache: Option<ManifestCache>, policy: Policy, scope: Scope) -> Self {
        Self { registry, cache, policy, scope }
    }

    /// Returns what is read.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Audits everything asked for; `tell` hears how far it is.
    pub async fn run(&self, jobs: Vec<Job>, tell: &(dyn Fn(Progress) + Sync)) -> Report {
        let start = Instant::now();
        let mut report = Report { scope: self.scope, ..Report::default() };
        let mut progress = Progress::default();
        for job in jobs {
            self.job(job, &mut report, &mut progress, tell).await;
        }
        for one in &mut report.repositories {
            self.policy.waive(&one.repository, None, &mut one.findings);
        }
        report.images.sort_by(|a, b| (&a.repository, &a.tag, &a.digest).cmp(&(&b.repository, &b.tag, &b.digest)));
        report.stats.images = report.images.len() as u64;
        report.stats.seconds = start.elapsed().as_secs_f64();
        report
    }

    async fn job(&self, job: Job, report: &mut Report, progress: &mut Progress, tell: &(dyn Fn(Progress) + Sync)) {
        match job {
            Job::Repository { repository, tags } => {
                let (tags, list) = match tags {
                    Some(tags) => (tags, None),
                    None => match self.registry.tags(&repository).await {
                        // Tags made of digests are signatures and lists of referrers, which are read with their images.
                        Ok(list) => {
                            (list.tags.iter().filter(|tag| !is_about_digest(tag)).cloned().collect(), Some(list))
                        }
                        Err(error) => {
                            let unchecked = unlisted(in_full(&error));
                            let repository = format!("{}/{}", repository.host(), repository.repository());
                            return report.repositories.push(RepositoryReport {
                                repository,
                                findings: Vec::new(),
                                unchecked: vec![unchecked],
                            });
                        }
                    },
                };
                let names = tags.iter().map(|tag| repository.with_tag(tag)).collect();
                self.references(&repository, names, list, report, progress, tell).await;
            }
            Job::Digest(reference) => {
                self.references(&reference.clone(), vec![reference], None, report, progress, tell).await;
            }
            Job::Local { repository, source, mut roots } => {
                let collector = Collector::new(source, None);
                let extras = Extras::of_layout(self.scope, Local::of(&mut roots));
                progress.known += roots.len() as u64;
                for (tag, root) in roots {
                    let name = ImageName { repository: repository.clone(), tag, digest: root.digest().clone() };
                    let image = self.judged(&collector, &extras, name, root).await;
                    add(report, image, progress, tell);
                }
            }
        }
    }

    async fn references(
        &self,
        repository: &Reference,
        names: Vec<Reference>,
        list: Option<TagList>,
        report: &mut Report,
        progress: &mut Progress,
        tell: &(dyn Fn(Progress) + Sync),
    ) {
        let source = RegistrySource { registry: self.registry.clone(), repository: repository.clone() };
        let collector = Collector::new(Arc::new(source), self.cache.clone());
        let extras = Extras::of_repository(self.scope, &self.registry, repository, list.as_ref());
        progress.known += names.len() as u64;
        let work = names.into_iter().map(|name| self.reference(&collector, &extras, name));
        let mut work = iter(work).buffer_unordered(PARALLEL);
        while let Some(image) = work.next().await {
            add(report, image, progress, tell);
        }
        let (fetched, cached) = collector.counts();
        report.stats.fetched += fetched;
        report.stats.cached += cached;
    }

    async fn reference(&self, collector: &Collector, extras: &Extras, reference: Reference) -> ImageReport {
        let repository = format!("{}/{}", reference.host(), reference.repository());
        let tag = reference.tag().map(str::to_owned);
        match self.registry.get_manifest_as_is(&reference, "").await {
            Ok(root) => {
                let name = ImageName { repository, tag, digest: root.digest().clone() };
                self.judged(collector, extras, name, root).await
            }
            Err(error) => {
                let reason = match error.kind() {
                    ErrorKind::NotFound => "it is not there".to_owned(),
                    _ => in_full(&error),
                };
                let unchecked = Unchecked { what: "image".to_owned(), digest: reference.digest().cloned(), reason };
                ImageReport {
                    repository,
                    tag,
                    digest: reference.digest().cloned(),
                    unchecked: vec![unchecked],
                    ..ImageReport::default()
                }
            }
        }
    }

    async fn judged(&self, collector: &Collector, extras: &Extras, name: ImageName, root: RawManifest) -> ImageReport {
        let mut facts = collector.image(name, root).await;
        let wanted = self.policy.expectations(&facts.name.repository);
        extras.fill(collector, &mut facts, &wanted).await;
        let mut findings = judge(&facts, &wanted);
        self.policy.waive(&facts.name.repository, facts.name.tag.as_deref(), &mut findings);
        ImageReport::new(&facts, findings)
    }
}

fn unlisted(reason: String) -> Unchecked {
    Unchecked { what: "tags".to_owned(), digest: None, reason }
}

fn add(report: &mut Report, image: ImageReport, progress: &mut Progress, tell: &(dyn Fn(Progress) + Sync)) {
    progress.done += 1;
    progress.findings += image.findings.len() as u64;
    report.images.push(image);
    tell(*progress);
}
