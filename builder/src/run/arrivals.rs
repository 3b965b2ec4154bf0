//! Layers while they arrive: each is looked at as soon as it is complete in the store, not when the image is.
//!
//! Owns: the store as a daemon sees it through a session, and one task per blob that came or was there already: it tells
//! the layer to whoever sends it on, and unpacks it for the image's check. Dropping it ends the tasks.
//! Never: judges; what is wrong with a layer is found by the image's check.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use polyarch_registry::oci::media_type::LayerCompression;
use polyarch_registry::oci::{Descriptor, Digest};
use polyarch_registry::store::layout::{Growing, VerifiedLayer};
use polyarch_registry::store::{BlobReader, BlobStore, BlobWriter, Committed, Expect, LayoutStore, StoreError};
use polyarch_registry::verify::{VerifyOptions, sniff_file, sniff_layer, unpack_file, unpack_growing};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Layers unpacked at once: more would only take cores from the daemon.
const PARALLEL: usize = 4;
/// Of a blob whose use is not known yet.
const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Smaller blobs are looked at when they are complete.
const GROWING_MIN: u64 = 1 << 20;

/// Is told of each layer whose digest and size are right; of a large one when it begins to come, with the way to read
/// it meanwhile.
pub type OnLayer = Arc<dyn Fn(&Descriptor, Option<&Growing>) + Send + Sync>;

type Found = Shared<BoxFuture<'static, Option<VerifiedLayer>>>;

/// The layers of one run.
pub struct Arrivals {
    store: Arc<LayoutStore>,
    on_layer: OnLayer,
    slots: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    found: HashMap<Digest, Found>,
    tasks: JoinSet<()>,
}

impl Arrivals {
    /// Watches what comes into a store.
    pub fn new(store: Arc<LayoutStore>, on_layer: OnLayer) -> Self {
        Self { store, on_layer, slots: Arc::new(Semaphore::new(PARALLEL)), state: Mutex::default() }
    }

    /// Returns what a layer in the store is, as far as it is sound. Looks at a blob once, however often it is asked.
    pub async fn layer(&self, digest: &Digest, size: u64) -> Option<VerifiedLayer> {
        self.look(digest, size).await
    }

    /// Notes that a blob is complete.
    fn arrived(&self, digest: &Digest, size: u64) {
        // The task started with it goes on.
        drop(self.look(digest, size));
    }

    /// Starts to look at a blob, once. Must be called in a tokio runtime.
    fn look(&self, digest: &Digest, size: u64) -> Found {
        self.start(digest, size, |look| look.at_blob().boxed())
    }

    /// Starts to look at a layer that begins to come.
    fn growing(self: &Arc<Self>, blob: &Descriptor, growing: Growing, compression: LayerCompression) -> Pending {
        drop(self.start(&blob.digest, blob.size, |look| look.at_growing(growing, compression).boxed()));
        Pending { arrivals: Arc::clone(self), digest: blob.digest.clone(), complete: false }
    }

    fn start(
        &self,
        digest: &Digest,
        size: u64,
        work: impl FnOnce(Look) -> BoxFuture<'static, Option<VerifiedLayer>>,
    ) -> Found {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = state.found.get(digest) {
            return found.clone();
        }
        let look = Look {
            store: Arc::clone(&self.store),
            on_layer: Arc::clone(&self.on_layer),
            slots: Arc::clone(&self.slots),
            blob: Descriptor::new(UNKNOWN_TYPE, digest.clone(), size),
        };
        let found = work(look).shared();
        state.found.insert(digest.clone(), found.clone());
        state.tasks.spawn(found.clone().map(drop));
        found
    }
}

/// A layer that is looked at while it comes. What was found is forgotten if it does not get into the store.
struct Pending {
    arrivals: Arc<Arrivals>,
    digest: Digest,
    complete: bool,
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.complete {
            let mut state = self.arrivals.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.found.remove(&self.digest);
        }
    }
}

/// What looking at one blob takes.
struct Look {
    store: Arc<LayoutStore>,
    on_layer: OnLayer,
    slots: Arc<Semaphore>,
    blob: Descriptor,
}

impl Look {
    async fn at_blob(self) -> Option<VerifiedLayer> {
        let path = self.store.blob_path(&self.blob.digest);
        let compression = sniff_file(path.clone()).await.ok().flatten()?;
        (self.on_layer)(&self.blob, None);
        self.known_or(unpack_file(path, compression, VerifyOptions::UNPACKED_LIMIT)).await
    }

    async fn at_growing(self, growing: Growing, compression: LayerCompression) -> Option<VerifiedLayer> {
        (self.on_layer)(&self.blob, Some(&growing));
        self.known_or(unpack_growing(&growing, compression, VerifyOptions::UNPACKED_LIMIT)).await
    }

    async fn known_or(&self, unpack: impl Future<Output = io::Result<Option<VerifiedLayer>>>) -> Option<VerifiedLayer> {
        let known = self.store.verified_layers().ok()?;
        if let Ok(Some(layer)) = known.lookup(&self.blob.digest).await {
            return Some(layer);
        }
        // Never closed; without a slot there would be no order of work, not a wrong one.
        let _slot = self.slots.acquire().await.ok();
        let layer = unpack.await.ok().flatten()?;
        if let Err(error) = known.insert(&self.blob.digest, &layer).await {
            tracing::debug!(%error, digest = %self.blob.digest, "the next run unpacks this layer again");
        }
        Some(layer)
    }
}

/// The store for a session: what a daemon writes, and what it offers and is there already, has arrived.
pub struct Watched(pub Arc<Arrivals>);

impl BlobStore for Watched {
    fn stat<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<u64>, StoreError>> {
        async move {
            let size = self.0.store.stat(digest).await?;
            if let Some(size) = size {
                self.0.arrived(digest, size);
            }
            Ok(size)
        }
        .boxed()
    }

    fn open<'a>(&'a self, digest: &'a Digest, offset: u64) -> BoxFuture<'a, Result<BlobReader, StoreError>> {
        self.0.store.open(digest, offset)
    }

    fn writer(&self, expect: Expect) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, StoreError>> {
        async move {
            let arrivals = Arc::clone(&self.0);
            let (inner, coming) = match (expect.digest.clone(), expect.size) {
                (Some(digest), Some(size)) if size >= GROWING_MIN => {
                    let blob = Descriptor::new(UNKNOWN_TYPE, digest, size);
                    let (inner, growing) = self.0.store.growing_writer(&blob).await?;
                    (inner, Coming::Unseen(Box::new((blob, growing))))
                }
                _ => (self.0.store.writer(expect).await?, Coming::Whole),
            };
            Ok(Box::new(WatchedWriter { inner, arrivals, coming }) as Box<dyn BlobWriter>)
        }
        .boxed()
    }

    fn remove<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.store.remove(digest)
    }
}

struct WatchedWriter {
    inner: Box<dyn BlobWriter>,
    arrivals: Arc<Arrivals>,
    coming: Coming,
}

/// When a blob is looked at.
enum Coming {
    /// As soon as its first bytes say that it is a layer.
    Unseen(Box<(Descriptor, Growing)>),
    /// It is looked at.
    Watched(Pending),
    /// When it is complete.
    Whole,
}

impl WatchedWriter {
    fn look(&mut self, start: &[u8]) {
        self.coming = match std::mem::replace(&mut self.coming, Coming::Whole) {
            Coming::Unseen(unseen) => match sniff_layer(start) {
                Some(compression) => Coming::Watched(self.arrivals.growing(&unseen.0, unseen.1, compression)),
                None => Coming::Whole,
            },
            other => other,
        };
    }
}

impl BlobWriter for WatchedWriter {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), StoreError>> {
        self.look(&bytes);
        self.inner.write(bytes)
    }

    fn written(&self) -> u64 {
        self.inner.written()
    }

    fn promise(&mut self, digest: Digest) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.promise(digest)
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<Committed, StoreError>> {
        let Self { inner, arrivals, mut coming } = *self;
        async move {
            let committed = inner.commit().await?;
            if let Coming::Watched(pending) = &mut coming {
                pending.complete = true;
            }
            arrivals.arrived(&committed.digest, committed.size);
            Ok(committed)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use polyarch_registry::oci::media_type::LayerCompression;
    use polyarch_registry::store::BlobStoreExt;

    use super::*;

    /// An empty tar: two blocks of zeroes have no magic, so one empty file.
    fn tar() -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_mode(0o644);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header, "empty", &b""[..]).unwrap();
        builder.into_inner().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    struct Watch {
        _dir: tempfile::TempDir,
        arrivals: Arc<Arrivals>,
        told: Arc<Mutex<Vec<Digest>>>,
    }

    impl Watch {
        async fn start() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Arc::new(LayoutStore::open(dir.path()).await.unwrap());
            let told = Arc::new(Mutex::new(Vec::new()));
            let telling = Arc::clone(&told);
            let on_layer: OnLayer = Arc::new(move |layer, _| telling.lock().unwrap().push(layer.digest.clone()));
            Self { _dir: dir, arrivals: Arc::new(Arrivals::new(store, on_layer)), told }
        }

        fn told(&self) -> Vec<Digest> {
            self.told.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn a_written_layer_is_told_once_and_unpacked() {
        let watch = Watch::start().await;
        let blob = gzip(&tar());
        let digest = Watched(Arc::clone(&watch.arrivals)).put_bytes(blob.clone()).await.unwrap();
        let want = VerifiedLayer { compression: LayerCompression::Gzip, diff_id: Digest::sha256(tar()) };
        assert_eq!(watch.arrivals.layer(&digest, blob.len() as u64).await, Some(want.clone()));
        assert_eq!(watch.arrivals.layer(&digest, blob.len() as u64).await, Some(want.clone()));
        assert_eq!(watch.told(), std::slice::from_ref(&digest));
        let table = watch.arrivals.store.verified_layers().unwrap();
        assert_eq!(table.lookup(&digest).await.unwrap(), Some(want));
    }

    #[tokio::test]
    async fn a_layer_that_is_offered_again_is_told() {
        let watch = Watch::start().await;
        let digest = watch.arrivals.store.put_bytes(gzip(&tar())).await.unwrap();
        assert_eq!(watch.told(), []);
        let size = Watched(Arc::clone(&watch.arrivals)).stat(&digest).await.unwrap().unwrap();
        assert!(watch.arrivals.layer(&digest, size).await.is_some());
        assert_eq!(watch.told(), [digest]);
    }

    #[tokio::test]
    async fn other_blobs_are_not_told_and_unsound_layers_are_unknown() {
        let watch = Watch::start().await;
        let watched = Watched(Arc::clone(&watch.arrivals));
        let manifest = watched.put_bytes(&br#"{"schemaVersion":2}"#[..]).await.unwrap();
        assert_eq!(watch.arrivals.layer(&manifest, 19).await, None);
        assert_eq!(watch.told(), []);
        let broken = gzip(b"not a tar");
        let digest = watched.put_bytes(broken.clone()).await.unwrap();
        assert_eq!(watch.arrivals.layer(&digest, broken.len() as u64).await, None);
        assert_eq!(watch.told(), std::slice::from_ref(&digest), "its digest is right all the same");
        assert_eq!(watch.arrivals.store.verified_layers().unwrap().lookup(&digest).await.unwrap(), None);
    }
}
