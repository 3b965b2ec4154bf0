//! Blobs that are sent while they are still written.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use polyarch_registry::client::{Config, HostSettings, Registry, Security};
use polyarch_registry::oci::{Descriptor, Digest, Reference};
use polyarch_registry::store::{BlobStore, LayoutStore, MemoryStore};
use polyarch_registry::transfer::{MountSources, PARALLEL, Publication, Publisher, TransferEvent, TransferKind};
use tokio::sync::watch;

use super::images::{blob, noise, two_platforms};
use super::model;
use super::script::{Server, client, quick};

/// More than a writer holds back before it goes to the disk.
const SIZE: usize = 1_200_000;

type Log = Arc<Mutex<Vec<TransferKind>>>;

/// A publisher, what it told, and how much of a blob it sent last.
fn publisher(store: Arc<dyn BlobStore>, registry: Registry) -> (Publisher, Log, watch::Receiver<u64>) {
    let log = Log::default();
    let events = Arc::clone(&log);
    let (sending, sent) = watch::channel(0);
    let events = Arc::new(move |event: TransferEvent| {
        if let TransferKind::BlobSending { sent, .. } = event.kind {
            sending.send_replace(sent);
        }
        events.lock().unwrap().push(event.kind);
    });
    (Publisher { registry, store, events, parallel: PARALLEL }, log, sent)
}

fn is_there(state: &model::Shared, blob: &Descriptor) -> bool {
    state.lock().unwrap().blobs.contains_key(&("app".to_owned(), blob.digest.to_string()))
}

struct Sending {
    server: Server,
    state: model::Shared,
    bytes: Bytes,
    publisher: Publisher,
    sent: watch::Receiver<u64>,
    layout: LayoutStore,
    _dir: tempfile::TempDir,
}

async fn sending(seed: u64) -> Sending {
    let dir = tempfile::tempdir().unwrap();
    let layout = LayoutStore::open(dir.path()).await.unwrap();
    let (server, state) = model::start(|_| None).await;
    let (publisher, _log, sent) = publisher(Arc::new(MemoryStore::new()), client());
    Sending { server, state, bytes: noise(seed, SIZE), publisher, sent, layout, _dir: dir }
}

impl Sending {
    /// Writes all, waits until all that may be sent was sent, and returns whether the commit and the upload succeeded.
    async fn send(&mut self, promised: &Descriptor) -> (bool, bool) {
        let at = self.server.reference("app:1");
        let pusher = self.publisher.pusher(&[at], &MountSources::new());
        let (mut writer, growing) = self.layout.growing_writer(promised).await.unwrap();
        pusher.push_growing(promised, &growing);
        writer.write(self.bytes.clone()).await.unwrap();
        let all_but_one = *self.sent.wait_for(|sent| *sent >= promised.size - 1).await.unwrap();
        assert_eq!(all_but_one, promised.size - 1, "the last byte stays here");
        assert!(!is_there(&self.state, promised), "complete before it was verified");
        let committed = writer.commit().await.is_ok();
        (committed, pusher.finish().await.is_empty())
    }
}

#[tokio::test]
async fn a_blob_is_sent_while_it_comes_and_complete_only_when_it_is_right() {
    let mut sending = sending(1).await;
    let right = blob(&sending.bytes);
    assert_eq!(sending.send(&right).await, (true, true));
    let key = ("app".to_owned(), right.digest.to_string());
    assert!(sending.state.lock().unwrap().blobs[&key] == sending.bytes);
}

#[tokio::test]
async fn a_blob_that_turns_out_wrong_is_never_complete() {
    let mut sending = sending(2).await;
    let wrong = Descriptor { digest: Digest::sha256("else"), ..blob(&sending.bytes) };
    // Nothing wants the blob, so it is not missed either.
    assert_eq!(sending.send(&wrong).await, (false, true));
    assert!(sending.state.lock().unwrap().blobs.is_empty());
}

/// Bytes that are not there yet are not the registry's silence.
#[tokio::test]
async fn a_writer_may_be_slow() {
    let dir = tempfile::tempdir().unwrap();
    let layout = LayoutStore::open(dir.path()).await.unwrap();
    let (server, state) = model::start(|_| None).await;
    let (publisher, log, mut sent) = publisher(Arc::new(MemoryStore::new()), client());
    let bytes = noise(5, SIZE);
    let blob = blob(&bytes);
    let pusher = publisher.pusher(&[server.reference("app:1")], &MountSources::new());
    let (mut writer, growing) = layout.growing_writer(&blob).await.unwrap();
    pusher.push_growing(&blob, &growing);
    writer.write(bytes).await.unwrap();
    sent.wait_for(|sent| *sent == blob.size - 1).await.unwrap();
    for _ in 0..3 {
        tokio::time::pause();
        tokio::time::advance(publisher.registry.config().limits.idle_timeout + Duration::from_secs(1)).await;
        tokio::time::resume();
        tokio::task::yield_now().await;
    }
    writer.commit().await.unwrap();
    assert!(pusher.finish().await.is_empty());
    assert!(is_there(&state, &blob));
    let log = log.lock().unwrap();
    assert!(!log.iter().any(|kind| matches!(kind, TransferKind::Retry(_))), "{log:?}");
}

/// The blob's upload loses its source half-way; the blob is in the store by another way.
async fn lost_on_the_way(server: &Server, registry: Registry) {
    let image = two_platforms(3, 2 * SIZE).await;
    let blob = &image.blobs[1];
    let dir = tempfile::tempdir().unwrap();
    let layout = LayoutStore::open(dir.path()).await.unwrap();
    let (publisher, log, mut sent) = publisher(Arc::clone(&image.store), registry);
    let destinations: Vec<Reference> = vec![server.reference("app:1")];
    let publication = Publication { root: image.index.clone(), destinations, mounts: MountSources::new() };

    let pusher = publisher.pusher(&publication.destinations, &publication.mounts);
    let (mut writer, growing) = layout.growing_writer(blob).await.unwrap();
    pusher.push_growing(blob, &growing);
    writer.write(noise(4, SIZE)).await.unwrap();
    sent.wait_for(|sent| *sent > 0).await.unwrap();
    drop(writer);
    publisher.publish_with(pusher, &publication).await[0].result.as_ref().unwrap();

    let log = log.lock().unwrap();
    let done = |kind: &&TransferKind| matches!(kind, TransferKind::BlobSent { digest, .. } if *digest == blob.digest);
    assert_eq!(log.iter().filter(done).count(), 1);
    let retries: Vec<_> = log.iter().filter(|kind| matches!(kind, TransferKind::Retry(_))).collect();
    assert!(retries.is_empty(), "the registry did nothing wrong: {retries:?}");
}

/// A writer that gives up is not the registry's failure: the blob is sent from the store, if it is wanted.
#[tokio::test]
async fn a_blob_whose_writer_gives_up_is_sent_from_the_store() {
    let (server, state) = model::start(|_| None).await;
    lost_on_the_way(&server, client()).await;
    assert!(state.lock().unwrap().tag("app", "1").is_some());
}

/// Over HTTP/2 the client's own stream is reset, which looks like the network's doing.
#[tokio::test]
async fn a_blob_whose_writer_gives_up_is_sent_from_the_store_over_http2() {
    let (server, state) = model::start_http2().await;
    let settings = HostSettings { security: Security::SkipVerify, ..HostSettings::default() };
    let config = Config { hosts: [(server.host(), settings)].into(), ..quick() };
    lost_on_the_way(&server, Registry::new(config)).await;
    assert!(state.lock().unwrap().tag("app", "1").is_some());
}
