//! One audit being run: repositories side by side, their images side by side, each report written down when it is done.
//!
//! Owns: who is asked when, what a missing tag means, and the count of it all. Never: reads an object itself, or judges.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::FutureExt as _;
use futures::stream::{StreamExt as _, iter};
use tokio::sync::Semaphore;

use super::binary::look;
use super::collect::{Collector, Counts, in_full};
use super::extras::Extras;
use super::facts::{Entry, ImageFacts, ImageName, Node};
use super::finding::{Finding, Unchecked};
use super::grouping::{Names, Place, Remote, grouped};
use super::referrers::Local;
use super::report::{ImageReport, Report, RepositoryReport};
use super::root::Root;
use super::rules::{dangling_tag, judge, judge_repository};
use super::run::{Auditor, Job, Progress};
use super::scale::{Objects, Seen, Spool};
use crate::client::TagList;
use crate::oci::{Descriptor, RawManifest, Reference};
use crate::transfer::RegistrySource;
use crate::verify::ContentSource;

/// Images read at once. Requests in flight are bounded by the client, for each host.
const PARALLEL: usize = 32;
/// Repositories read at once: many small ones would otherwise wait for each other.
const PLACES: usize = 4;

/// What one audit has while it runs.
pub(super) struct Run<'a> {
    auditor: &'a Auditor,
    objects: Arc<Objects>,
    counts: Arc<Counts>,
    slots: Semaphore,
    desk: Mutex<Desk>,
    tell: &'a (dyn Fn(Progress) + Sync),
}

#[derive(Default)]
struct Desk {
    spool: Spool,
    progress: Progress,
    vanished: u64,
    skipped: u64,
}

/// One repository or layout.
struct Site<'r> {
    run: &'r Run<'r>,
    name: String,
    collector: Collector,
    extras: Extras,
}

impl<'a> Run<'a> {
    pub(super) async fn begin(auditor: &'a Auditor, tell: &'a (dyn Fn(Progress) + Sync)) -> Self {
        let checkpoint = auditor.checkpoint();
        let spool = blocking(move || Spool::open(checkpoint.as_ref())).await;
        Self {
            auditor,
            objects: Arc::new(Objects::new(auditor.cache.clone())),
            counts: Arc::default(),
            slots: Semaphore::new(PARALLEL),
            desk: Mutex::new(Desk { spool, ..Desk::default() }),
            tell,
        }
    }

    /// Audits everything, and returns the report of what was found.
    pub(super) async fn over(self, jobs: Vec<Job>) -> Report {
        let places = grouped(jobs);
        self.desk().progress.places = places.len() as u64;
        iter(places).for_each_concurrent(PLACES, |place| self.place(place).boxed()).await;
        let Self { objects, desk, counts, .. } = self;
        objects.written().await;
        // Room for the reports.
        drop(objects);
        let Desk { spool, progress, vanished, skipped } = desk.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (images, repositories) = blocking(move || spool.finish()).await;
        let mut report = Report { images, repositories, ..Report::default() };
        counts.add_to(&mut report.stats);
        (report.stats.resumed, report.stats.vanished) = (progress.resumed, vanished);
        report.stats.skipped = skipped;
        report
    }

    async fn place(&self, place: Place) {
        match place {
            Place::Local { repository, source, roots } => self.local(repository, source, roots).await,
            Place::Remote(remote) => self.repository(remote).await,
        }
        self.advance(|progress| progress.places_done += 1);
    }

    async fn local(&self, name: String, source: Arc<dyn ContentSource>, mut roots: Vec<(Option<String>, RawManifest)>) {
        let collector = Collector::new(source, None);
        let extras = Extras::of_layout(self.auditor.scope, Local::of(&mut roots));
        let extras = extras.with_bases(self.auditor.bases.clone());
        let site = Site { run: self, name, collector, extras };
        let named = |tag: &Option<String>, root: &RawManifest| tag.clone().unwrap_or_else(|| root.digest().to_string());
        self.list(&site.name, roots.iter().map(|(tag, root)| named(tag, root).into()));
        let left: Vec<_> = roots.into_iter().filter(|(tag, root)| site.is_left(&named(tag, root))).collect();
        for (tag, root) in left {
            let name = ImageName { repository: site.name.clone(), tag, digest: root.digest().clone() };
            self.add(site.judged(name, root).await);
        }
    }

    async fn repository(&self, remote: Remote) {
        let Auditor { registry, options, scope, tags, .. } = self.auditor;
        let name = remote.repository.name();
        let names = match remote.names(registry, tags).await {
            Ok(names) => {
                self.desk().skipped += names.skipped;
                if names.is_cut {
                    self.unlisted(name.clone(), "there are more tags than are listed".to_owned());
                }
                names
            }
            Err(error) => {
                self.unlisted(name.clone(), in_full(&error));
                remote.named()
            }
        };
        let source = RegistrySource { registry: registry.clone(), repository: remote.repository.clone() };
        let (dir, of, trust) = (options.memory.clone(), name.clone(), options.trust);
        let seen = blocking(move || dir.map_or_else(Seen::default, |dir| Seen::open(&dir, &of, trust))).await;
        let (objects, counts) = (Arc::clone(&self.objects), Arc::clone(&self.counts));
        let collector = Collector::of_repository(Arc::new(source), objects, seen, counts);
        let (list, count) = (names.list(), names.names().count());
        let extras = Extras::of_repository(*scope, registry, &remote.repository, list.as_ref(), count);
        let extras = extras.with_bases(self.auditor.bases.clone());
        let site = Site { run: self, name, collector, extras };
        site.images(&remote, &names).await;
        site.judge_whole(list).await;
    }

    /// Whether an image is of this shard.
    fn is_meant(&self, repository: &str, name: &str) -> bool {
        self.auditor.options.shard.is_none_or(|shard| shard.has(repository, name))
    }

    /// Whether an image was done by the run that this one goes on with.
    fn is_done(&self, repository: &str, name: &str) -> bool {
        self.desk().spool.is_done(repository, name)
    }

    /// Counts the images of a place before any of them is read.
    fn list<'n>(&self, repository: &str, names: impl Iterator<Item = Cow<'n, str>>) {
        let (mut known, mut resumed) = (0, 0);
        for name in names.filter(|name| self.is_meant(repository, name)) {
            known += 1;
            resumed += u64::from(self.is_done(repository, &name));
        }
        self.advance(|progress| {
            progress.known += known;
            progress.resumed += resumed;
            progress.done += resumed;
            progress.places_listed += 1;
        });
    }

    fn unlisted(&self, repository: String, reason: String) {
        let unchecked = vec![Unchecked { what: "tags".to_owned(), digest: None, reason }];
        self.desk().spool.repository(RepositoryReport { repository, findings: Vec::new(), unchecked });
    }

    fn add(&self, image: ImageReport) {
        let findings = image.findings.len() as u64;
        self.desk().spool.image(image);
        self.advance(|progress| {
            progress.done += 1;
            progress.findings += findings;
        });
    }

    fn advance(&self, change: impl FnOnce(&mut Progress)) {
        let mut desk = self.desk();
        change(&mut desk.progress);
        let progress = desk.progress;
        drop(desk);
        (self.tell)(progress);
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Site<'_> {
    fn is_left(&self, name: &str) -> bool {
        self.run.is_meant(&self.name, name) && !self.run.is_done(&self.name, name)
    }

    async fn images(&self, remote: &Remote, names: &Names) {
        self.run.list(&self.name, names.names());
        let gone = Mutex::new(Vec::new());
        let left = names.references(&remote.repository).filter(|reference| self.is_left(&name_of(reference)));
        let work = left.map(|reference| {
            let gone = &gone;
            async move {
                let _slot = self.run.slots.acquire().await;
                match self.image(&reference, names).await {
                    Some(image) => self.run.add(image),
                    None => gone.lock().unwrap_or_else(PoisonError::into_inner).push(reference),
                }
            }
            .boxed()
        });
        iter(work).buffer_unordered(PARALLEL).for_each(|()| std::future::ready(())).await;
        let gone = gone.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !gone.is_empty() {
            self.vanished(remote, gone).await;
        }
    }

    /// Judges the repository after its images. What concerns the list of its tags is left to the first of several shards.
    async fn judge_whole(self, list: Option<TagList>) {
        let Auditor { policy, beyond, options, .. } = self.run.auditor;
        let list = list.filter(|_| options.shard.is_none_or(|shard| shard.number == 1));
        let facts = Box::pin(self.extras.repository(list, beyond)).await;
        let findings = judge_repository(&facts, &policy.expectations(&self.name));
        if !findings.is_empty() || !facts.unchecked.is_empty() {
            let one = RepositoryReport { repository: self.name, findings, unchecked: facts.unchecked };
            self.run.desk().spool.repository(one);
        }
    }

    /// Audits one image; none if its tag was listed, but is not there.
    async fn image(&self, reference: &Reference, names: &Names) -> Option<ImageReport> {
        let digest = reference.digest().cloned();
        match self.collector.root(&self.run.auditor.registry, reference).await {
            Root::Read(root) => {
                let digest = root.digest().clone();
                Some(self.judged(ImageName { repository: self.name.clone(), tag: tag(reference), digest }, root).await)
            }
            Root::Altered { want, got, size } => {
                let root =
                    Entry { descriptor: Descriptor::new("", want.clone(), size), node: Node::Altered { got, size } };
                let name = ImageName { repository: self.name.clone(), tag: tag(reference), digest: want };
                let facts = ImageFacts::new(name, root);
                Some(ImageReport::new(&facts, self.findings(&facts)))
            }
            Root::Gone if names.was_listed(reference) => None,
            Root::Gone => {
                Some(self.unread(reference, Unchecked { reason: "it is not there".to_owned(), ..what(digest) }))
            }
            Root::Unchecked(reason) => Some(self.unread(reference, Unchecked { reason, ..what(digest) })),
        }
    }

    /// Tags that were listed and then were not there: whoever removes tags while they are audited does nothing wrong, but a
    /// tag that is still listed leads nowhere.
    async fn vanished(&self, remote: &Remote, gone: Vec<Reference>) {
        let again = self.run.auditor.registry.tags(&remote.repository).await;
        for reference in gone {
            let image = match &again {
                Ok(list) if list.tags.contains(&name_of(&reference)) => {
                    let policy = &self.run.auditor.policy;
                    let mut findings = dangling_tag::found(&policy.expectations(&self.name));
                    policy.waive(&self.name, reference.tag(), &mut findings);
                    ImageReport { findings, ..self.nothing(&reference) }
                }
                Ok(_) => {
                    self.run.desk().vanished += 1;
                    self.run.advance(|progress| progress.known -= 1);
                    continue;
                }
                Err(error) => {
                    let reason = format!("it is not there; whether it is still listed: {}", in_full(error));
                    self.unread(&reference, Unchecked { reason, ..what(None) })
                }
            };
            self.run.add(image);
        }
    }

    fn unread(&self, reference: &Reference, unchecked: Unchecked) -> ImageReport {
        ImageReport { unchecked: vec![unchecked], ..self.nothing(reference) }
    }

    fn nothing(&self, reference: &Reference) -> ImageReport {
        let (repository, digest) = (self.name.clone(), reference.digest().cloned());
        ImageReport { repository, tag: tag(reference), digest, ..ImageReport::default() }
    }

    async fn judged(&self, name: ImageName, root: RawManifest) -> ImageReport {
        let mut facts = self.collector.image(name, root).await;
        let wanted = self.run.auditor.policy.expectations(&self.name);
        self.extras.fill(&self.collector, &mut facts, &wanted).await;
        let Auditor { scope, library, .. } = self.run.auditor;
        // What layers hold is large: few images have it at a time.
        let _turn = look::at_layers(library, *scope, self.collector.source(), &mut facts).await;
        if let Some(inventory) = &self.run.auditor.inventory {
            inventory.take(&self.collector, &facts).await;
        }
        let mut findings = self.findings(&facts);
        if let Some(elsewhere) = &self.run.auditor.elsewhere {
            elsewhere.help(&facts, &mut findings).await;
        }
        ImageReport::new(&facts, findings)
    }

    fn findings(&self, facts: &ImageFacts) -> Vec<Finding> {
        let policy = &self.run.auditor.policy;
        let mut findings = judge(facts, &policy.expectations(&self.name));
        policy.waive(&self.name, facts.name.tag.as_deref(), &mut findings);
        findings
    }
}

fn what(digest: Option<crate::oci::Digest>) -> Unchecked {
    Unchecked { what: "image".to_owned(), digest, reason: String::new() }
}

fn tag(reference: &Reference) -> Option<String> {
    reference.tag().filter(|_| reference.digest().is_none()).map(str::to_owned)
}

/// Its digest; of a reference without one its tag.
fn name_of(reference: &Reference) -> String {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or_default().to_owned(),
    }
}

/// Runs work on files, off the threads that wait for registries.
async fn blocking<T: Default + Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}
