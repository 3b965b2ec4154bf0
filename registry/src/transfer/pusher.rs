//! Bringing blobs to repositories, each once per registry.
//!
//! Owns: the jobs, which start when a blob is queued, before it is known what image it belongs to.
//! Per registry and digest one job serves all repositories in turn: the first gets the bytes, the
//! others mount them. Dropping a [`BlobPusher`] stops all its jobs; uploads that broke off are
//! invisible and are forgotten by the registry.
//! Never: moves a tag, or goes on with a repository that has refused a blob.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::event::{Events, TransferEvent, TransferKind};
use super::{GrowingSource, PublishError, StoreSource};
use crate::client::once::OnceMap;
use crate::client::{BlobSource, ClientError, Fault, Mounted, Progress, Registry, Session};
use crate::oci::{Descriptor, Digest, Reference};
use crate::store::BlobStore;
use crate::store::layout::Growing;

/// Repositories known to have a blob, by digest. Only those of the destination's own host are of use.
pub type MountSources = BTreeMap<Digest, Vec<Reference>>;

/// What became of the blobs of one repository.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Blobs uploaded.
    pub sent: u64,
    /// Bytes of those.
    pub sent_bytes: u64,
    /// Blobs that were there.
    pub present: u64,
    /// Blobs mounted.
    pub mounted: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placed {
    Present,
    Mounted,
    Sent,
}

/// The blobs of one repository, or why it failed.
pub(super) type RepositoryBlobs = Result<BTreeMap<Digest, Placed>, Arc<PublishError>>;

/// Uploads queued blobs to all destinations.
pub struct BlobPusher {
    pub(super) hosts: Vec<HostPusher>,
}

/// The jobs for one registry.
pub(super) struct HostPusher {
    shared: Arc<Shared>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// At most one job per digest of the image, so bounded by its manifests; two where the first lost its source.
    jobs: JoinSet<()>,
    queued: HashSet<Digest>,
    /// Those that must be in the store, if they were lost on the way there.
    wanted: Vec<Descriptor>,
}

/// A blob to bring, and where it is read until it is in the store.
struct Item {
    descriptor: Descriptor,
    growing: Option<Growing>,
}

struct Shared {
    registry: Registry,
    store: Arc<dyn BlobStore>,
    events: Events,
    slots: Semaphore,
    is_new: bool,
    mounts: MountSources,
    /// One reference per repository.
    repositories: Vec<Reference>,
    entered: OnceMap<String, ()>,
    results: Mutex<BTreeMap<String, RepositoryBlobs>>,
    /// Blobs that did not get into the store while they were sent.
    lost: Mutex<HashSet<Digest>>,
}

/// What a [`BlobPusher`] works with.
pub(super) struct Means<'a> {
    pub(super) registry: &'a Registry,
    pub(super) store: &'a Arc<dyn BlobStore>,
    pub(super) events: &'a Events,
    pub(super) parallel: usize,
    /// The repositories are known to have nothing: no blob is asked for.
    pub(super) is_new: bool,
}

impl BlobPusher {
    pub(super) fn new(means: &Means<'_>, destinations: &[Reference], mounts: &MountSources) -> Self {
        let mut hosts: BTreeMap<&str, BTreeMap<String, Reference>> = BTreeMap::new();
        for destination in destinations {
            hosts.entry(destination.host()).or_default().insert(destination.name(), destination.clone());
        }
        let pushers = hosts.into_values().map(|repositories| HostPusher::new(means, repositories, mounts));
        Self { hosts: pushers.collect() }
    }

    /// Queues a blob that is, or may be, in the store; a second time does nothing. Must be called in a tokio runtime.
    pub fn push(&self, descriptor: &Descriptor) {
        for host in &self.hosts {
            host.push(descriptor);
        }
    }

    /// Queues a blob that is on its way into the store. If it does not get there, nothing was queued.
    pub fn push_growing(&self, descriptor: &Descriptor, blob: &Growing) {
        for host in &self.hosts {
            host.queue(Item { descriptor: descriptor.clone(), growing: Some(blob.clone()) });
        }
    }

    /// Waits until nothing is queued and returns the first failure of each repository that has one.
    pub async fn finish(self) -> BTreeMap<String, Arc<PublishError>> {
        let hosts = futures::future::join_all(self.hosts.into_iter().map(HostPusher::finish)).await;
        let repositories = hosts.into_iter().flatten();
        repositories.filter_map(|(name, blobs)| Some((name, blobs.err()?))).collect()
    }
}

impl HostPusher {
    pub(super) fn new(means: &Means<'_>, repositories: BTreeMap<String, Reference>, mounts: &MountSources) -> Self {
        let results = repositories.keys().map(|name| (name.clone(), Ok(BTreeMap::new()))).collect();
        let shared = Shared {
            registry: means.registry.without_mirrors(),
            store: Arc::clone(means.store),
            events: Arc::clone(means.events),
            slots: Semaphore::new(means.parallel.max(1)),
            is_new: means.is_new,
            mounts: mounts.clone(),
            repositories: repositories.into_values().collect(),
            entered: OnceMap::default(),
            results: Mutex::new(results),
            lost: Mutex::default(),
        };
        Self { shared: Arc::new(shared), queue: Mutex::default() }
    }

    pub(super) fn repositories(&self) -> &[Reference] {
        &self.shared.repositories
    }

    pub(super) fn push(&self, descriptor: &Descriptor) {
        self.queue(Item { descriptor: descriptor.clone(), growing: None });
    }

    fn queue(&self, item: Item) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = item.descriptor.digest.clone();
        let again = self.shared.lost().remove(&digest);
        if item.growing.is_none() {
            queue.wanted.push(item.descriptor.clone());
        }
        if queue.queued.insert(digest) || again {
            // So that whoever draws knows from the beginning how much there is.
            for repository in &self.shared.repositories {
                (self.shared.progress(repository, &item.descriptor))(0);
            }
            self.spawn(&mut queue, item);
        }
    }

    fn spawn(&self, queue: &mut Queue, item: Item) {
        let shared = Arc::clone(&self.shared);
        queue.jobs.spawn(async move { shared.place_everywhere(&item).await });
    }

    /// Waits for all jobs; a job that panicked fails every repository of the host.
    pub(super) async fn finish(self) -> BTreeMap<String, RepositoryBlobs> {
        let mut queue = std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner));
        loop {
            while let Some(ended) = queue.jobs.join_next().await {
                if ended.is_err() {
                    for repository in self.shared.repositories.iter().map(Reference::name) {
                        self.shared.fail(PublishError::Broken { repository });
                    }
                }
            }
            let lost = std::mem::take(&mut *self.shared.lost());
            let again = std::mem::take(&mut queue.wanted).into_iter().filter(|blob| lost.contains(&blob.digest));
            again.for_each(|descriptor| self.spawn(&mut queue, Item { descriptor, growing: None }));
            if queue.jobs.is_empty() {
                break;
            }
        }
        std::mem::take(&mut *self.shared.results())
    }
}

impl Shared {
    async fn place_everywhere(&self, item: &Item) {
        let descriptor = &item.descriptor;
        // Never closed; without a slot there would be no order of work, not a wrong one.
        let _slot = self.slots.acquire().await.ok();
        let mut holder: Option<&Reference> = None;
        for repository in &self.repositories {
            if !self.enter(repository).await {
                continue;
            }
            match self.place(repository, item, holder).await {
                Ok(placed) => {
                    holder = Some(repository);
                    self.record(repository, &descriptor.digest, placed);
                }
                Err(error) if item.growing.is_some() && is_source(&error) => {
                    tracing::debug!(digest = %descriptor.digest, "the blob did not get into the store");
                    self.lost().insert(descriptor.digest.clone());
                    return;
                }
                Err(error) => self.fail(error),
            }
        }
    }

    /// Whether blobs may go to a repository. The registry is asked once, not once per blob, also where it fails.
    async fn enter(&self, repository: &Reference) -> bool {
        let name = repository.name();
        let registry = observed(&self.registry, &name, &self.events);
        let entering = async {
            if self.has_failed(repository) {
                return Err(());
            }
            let entered = registry.enter_for_push(repository).await;
            entered.map_err(|source| self.fail(PublishError::Enter { repository: name.clone(), source }))
        };
        self.entered.get_or_try_init(&name, entering).await.is_ok() && !self.has_failed(repository)
    }

    /// Gets one blob into one repository, by the cheapest means.
    async fn place(
        &self,
        repository: &Reference,
        item: &Item,
        holder: Option<&Reference>,
    ) -> Result<Placed, PublishError> {
        let descriptor = &item.descriptor;
        let (digest, size) = (descriptor.digest.clone(), descriptor.size);
        let fail = |source| PublishError::Blob { repository: repository.name(), digest: digest.clone(), source };
        let name = repository.name();
        let registry = observed(&self.registry, &name, &self.events);
        let there = match self.is_new {
            true => None,
            false => registry.blob_exists(repository, descriptor).await.map_err(fail)?,
        };
        match there {
            Some(got) if got != size => {
                return Err(PublishError::BlobSize { repository: name, digest, want: size, got });
            }
            Some(_) => {
                self.tell(repository, TransferKind::BlobPresent { digest, size });
                return Ok(Placed::Present);
            }
            None => {}
        }
        let session = match holder.or_else(|| self.mount_source(repository, &digest)) {
            None => None,
            Some(from) => match registry.mount_blob(repository, descriptor, from).await {
                Ok(Mounted::Done) => {
                    let from = from.repository().to_owned();
                    self.tell(repository, TransferKind::BlobMounted { digest, size, from });
                    return Ok(Placed::Mounted);
                }
                Ok(Mounted::Upload(session)) => Some(session),
                Err(error) => {
                    // Perhaps the other repository may not be read; the upload needs it not.
                    tracing::debug!(%error, fault = %error.fault(), "cannot mount");
                    None
                }
            },
        };
        self.send(&registry, (repository, item), session).await.map_err(fail)?;
        self.tell(repository, TransferKind::BlobSent { digest, size });
        Ok(Placed::Sent)
    }

    async fn send(
        &self,
        registry: &Registry,
        (repository, item): (&Reference, &Item),
        session: Option<Session>,
    ) -> Result<(), ClientError> {
        let descriptor = &item.descriptor;
        let source: Box<dyn BlobSource> = match &item.growing {
            Some(growing) => Box::new(GrowingSource(growing.clone())),
            None => Box::new(StoreSource { store: Arc::clone(&self.store), digest: descriptor.digest.clone() }),
        };
        let progress = Some(self.progress(repository, descriptor));
        match session {
            Some(session) => registry.put_blob_into(session, (repository, descriptor), &*source, progress).await,
            None => registry.put_blob(repository, descriptor, &*source, progress).await,
        }
    }

    fn mount_source(&self, repository: &Reference, digest: &Digest) -> Option<&Reference> {
        let known = self.mounts.get(digest)?;
        known.iter().find(|from| from.host() == repository.host() && from.repository() != repository.repository())
    }

    fn progress(&self, repository: &Reference, descriptor: &Descriptor) -> Progress {
        let (events, repository) = (Arc::clone(&self.events), repository.name());
        let (digest, size) = (descriptor.digest.clone(), descriptor.size);
        Arc::new(move |sent| {
            let kind = TransferKind::BlobSending { digest: digest.clone(), sent, size };
            events(TransferEvent { repository: repository.clone(), kind });
        })
    }

    fn tell(&self, repository: &Reference, kind: TransferKind) {
        (self.events)(TransferEvent { repository: repository.name(), kind });
    }

    fn results(&self) -> MutexGuard<'_, BTreeMap<String, RepositoryBlobs>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_failed(&self, repository: &Reference) -> bool {
        matches!(self.results().get(&repository.name()), Some(Err(_)))
    }

    fn record(&self, repository: &Reference, digest: &Digest, placed: Placed) {
        if let Some(Ok(blobs)) = self.results().get_mut(&repository.name()) {
            blobs.insert(digest.clone(), placed);
        }
    }

    /// Keeps the first failure of a repository.
    fn fail(&self, error: PublishError) {
        let name = match &error {
            PublishError::Enter { repository, .. }
            | PublishError::Blob { repository, .. }
            | PublishError::BlobSize { repository, .. }
            | PublishError::Broken { repository } => repository.clone(),
            _ => return,
        };
        let mut results = self.results();
        if !matches!(results.get(&name), Some(Err(_))) {
            results.insert(name, Err(Arc::new(error)));
        }
    }
}

/// The bytes could not be read here; the registry has nothing to do with it.
fn is_source(error: &PublishError) -> bool {
    error.client().is_some_and(|error| matches!(error.fault(), Fault::Source(_)))
}

/// Returns the client with retries told as events of the repository.
pub(super) fn observed(registry: &Registry, repository: &str, events: &Events) -> Registry {
    let (events, repository) = (Arc::clone(events), repository.to_owned());
    registry.with_observer(Arc::new(move |notice| {
        events(TransferEvent { repository: repository.clone(), kind: TransferKind::Retry(notice) });
    }))
}

impl Counts {
    pub(super) fn of(blobs: &BTreeMap<Digest, Placed>, sizes: impl Fn(&Digest) -> u64) -> Self {
        let mut counts = Self::default();
        for (digest, placed) in blobs {
            match placed {
                Placed::Present => counts.present += 1,
                Placed::Mounted => counts.mounted += 1,
                Placed::Sent => {
                    counts.sent += 1;
                    counts.sent_bytes += sizes(digest);
                }
            }
        }
        counts
    }
}
