//! Layers that were read in a run, so that images that share them do not read them again.
//!
//! Owns: reading each layer once however many images wait for it, remembering what was seen, forgetting the oldest beyond a
//! bound. Never: believes of one repository what another one's bytes said, unless their digest was right.
//!
//! A layer may be read in part: until the program an image starts was found in it. Whoever asks it for something it had not
//! come to reads it again, then to its end, so that there is never a third time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::facts::LayerFacts;
use super::read::{Reading, Unread, Watch, read};
use crate::oci::{Descriptor, Digest};
use crate::verify::ContentSource;

/// Memory for all layers that are remembered, in bytes.
const MOST_BYTES: usize = 64 << 20;

/// What is known of layers.
pub(in crate::audit) struct Library {
    reading: Reading,
    most_bytes: usize,
    shelf: Mutex<Shelf>,
    /// Decompressing keeps a core busy.
    at_once: Semaphore,
    /// An image holds what its layers have until it was judged.
    images: Semaphore,
}

#[derive(Default)]
struct Shelf {
    layers: HashMap<Digest, Arc<tokio::sync::Mutex<Slot>>>,
    /// Those that were read, oldest first, and how many bytes each takes.
    order: VecDeque<(Digest, usize)>,
    bytes: usize,
}

#[derive(Default)]
struct Slot {
    /// What was seen last, and in which repository if only part of it was read.
    known: Option<(Arc<LayerFacts>, Option<String>)>,
}

/// What somebody wants of a layer.
pub(in crate::audit) enum Wanted {
    /// All of it.
    Whole,
    /// Until something is there; the function tells whether what is known already does, and makes the watch if not.
    Until(Box<dyn FnMut(&LayerFacts) -> bool + Send>, Box<dyn FnOnce() -> Watch + Send>),
}

impl Library {
    pub(in crate::audit) fn new(reading: Reading) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get().min(8));
        let images = Semaphore::new(if reading.is_deep { 4 } else { 8 });
        Self { reading, most_bytes: MOST_BYTES, shelf: Mutex::default(), at_once: Semaphore::new(cores), images }
    }

    /// Waits until one more image may be looked at; until what is returned is dropped, it counts.
    pub(in crate::audit) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes it.
        self.images.acquire().await.ok()
    }

    /// Returns what is in a layer of a repository.
    pub(in crate::audit) async fn layer(
        &self,
        (repository, source): (&str, &dyn ContentSource),
        descriptor: &Descriptor,
        wanted: Wanted,
    ) -> Result<Arc<LayerFacts>, Unread> {
        let digest = &descriptor.digest;
        let slot = Arc::clone(self.shelf().layers.entry(digest.clone()).or_default());
        let mut slot = slot.lock().await;
        let known = slot.known.as_ref().filter(|(_, of)| of.as_deref().is_none_or(|of| of == repository));
        let watch = match (known, wanted) {
            (Some((facts, _)), Wanted::Whole) if !is_partial(facts) => return Ok(Arc::clone(facts)),
            (_, Wanted::Whole) => None,
            (Some((facts, _)), Wanted::Until(mut is_enough, _)) => match !is_partial(facts) || is_enough(facts) {
                true => return Ok(Arc::clone(facts)),
                false => None,
            },
            (None, Wanted::Until(_, watch)) => Some(watch()),
        };
        let permit = self.at_once.acquire().await;
        let read = read(source, descriptor, self.reading, watch).await;
        drop(permit);
        let facts = Arc::new(read?);
        let is_proven = facts.digest.as_ref() == Some(digest);
        slot.known = Some((Arc::clone(&facts), (!is_proven).then(|| repository.to_owned())));
        drop(slot);
        self.remember(digest, facts.tree.bytes());
        Ok(facts)
    }

    /// Counts a layer, and forgets the oldest ones if it is one too many. Who uses them still has them.
    fn remember(&self, digest: &Digest, bytes: usize) {
        let mut shelf = self.shelf();
        shelf.order.push_back((digest.clone(), bytes));
        shelf.bytes += bytes;
        while shelf.bytes > self.most_bytes && shelf.order.len() > 1 {
            let Some((oldest, bytes)) = shelf.order.pop_front() else { return };
            shelf.bytes -= bytes;
            if oldest != *digest {
                shelf.layers.remove(&oldest);
            }
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_partial(facts: &LayerFacts) -> bool {
    facts.ended == super::Ended::Enough
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures::future::{BoxFuture, FutureExt as _};
    use polyarch_testkit::layer::{Layer, noise};

    use super::*;
    use crate::audit::layer::Ended;
    use crate::oci::RawManifest;
    use crate::store::{BlobReader, BlobStoreExt as _, MemoryStore};
    use crate::verify::{SourceError, StoreSource};

    struct Counted(StoreSource<MemoryStore>, AtomicU64);

    impl ContentSource for Counted {
        fn manifest<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<RawManifest, SourceError>> {
            self.0.manifest(descriptor)
        }

        fn stat<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<Option<u64>, SourceError>> {
            self.0.stat(descriptor)
        }

        fn blob<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, SourceError>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.blob(descriptor).boxed()
        }
    }

    async fn source(layers: &[Layer]) -> (Counted, Vec<Descriptor>) {
        let store = MemoryStore::new();
        let mut descriptors = Vec::new();
        for layer in layers {
            let built = layer.build();
            let digest = Digest::sha256(&built.blob);
            descriptors.push(Descriptor::new(
                "application/vnd.oci.image.layer.v1.tar",
                digest,
                built.blob.len() as u64,
            ));
            store.put_bytes(built.blob.to_vec()).await.unwrap();
        }
        (Counted(StoreSource(store), AtomicU64::new(0)), descriptors)
    }

    fn until(path: &'static str) -> Wanted {
        let path = path.as_bytes();
        let is_enough = move |facts: &LayerFacts| facts.tree.node(path).is_some();
        let watch = move || Watch {
            paths: vec![path.to_vec()],
            ask: Box::new(move |tree| tree.node(path).is_none().then(|| vec![path.to_vec()])),
        };
        Wanted::Until(Box::new(is_enough), Box::new(watch))
    }

    fn large() -> Layer {
        Layer::new().file("first", "1").file("noise", noise(3, 4 << 20)).file("last", "2")
    }

    #[tokio::test]
    async fn a_layer_is_read_once_for_all_who_wait() {
        let (source, layers) = source(&[large()]).await;
        let library = Library::new(Reading::default());
        let at = ("host/name", &source as &dyn ContentSource);
        let work = (0..8).map(|_| library.layer(at, &layers[0], until("first")));
        for facts in futures::future::join_all(work).await {
            assert_eq!(facts.unwrap().ended, Ended::Enough);
        }
        assert_eq!(source.1.load(Ordering::Relaxed), 1);
        assert_eq!(library.layer(at, &layers[0], until("last")).await.unwrap().ended, Ended::Whole);
        assert_eq!(library.layer(at, &layers[0], until("nowhere")).await.unwrap().ended, Ended::Whole);
        assert_eq!(library.layer(at, &layers[0], Wanted::Whole).await.unwrap().ended, Ended::Whole);
        assert_eq!(source.1.load(Ordering::Relaxed), 2, "to its end, and then never again");
    }

    #[tokio::test]
    async fn a_part_is_not_believed_of_another_repository() {
        let (source, layers) = source(&[large()]).await;
        let library = Library::new(Reading::default());
        let a = ("host/a", &source as &dyn ContentSource);
        let b = ("host/b", &source as &dyn ContentSource);
        library.layer(a, &layers[0], until("first")).await.unwrap();
        library.layer(b, &layers[0], until("first")).await.unwrap();
        assert_eq!(source.1.load(Ordering::Relaxed), 2);
        library.layer(a, &layers[0], Wanted::Whole).await.unwrap();
        library.layer(b, &layers[0], Wanted::Whole).await.unwrap();
        assert_eq!(source.1.load(Ordering::Relaxed), 3, "its digest was right");
    }

    #[tokio::test]
    async fn the_oldest_are_forgotten() {
        let (source, layers) = source(&[large(), Layer::new().file("a", "a"), Layer::new().file("b", "b")]).await;
        let library = Library { most_bytes: 500, ..Library::new(Reading::default()) };
        let at = ("host/name", &source as &dyn ContentSource);
        for layer in [&layers[0], &layers[1], &layers[2], &layers[2], &layers[1]] {
            library.layer(at, layer, Wanted::Whole).await.unwrap();
        }
        assert_eq!(source.1.load(Ordering::Relaxed), 3);
        library.layer(at, &layers[0], Wanted::Whole).await.unwrap();
        assert_eq!(source.1.load(Ordering::Relaxed), 4);
        let gone = Descriptor::new("x", Digest::sha256("gone"), 4);
        assert_eq!(library.layer(at, &gone, Wanted::Whole).await.err(), Some(Unread::Missing));
    }
}
