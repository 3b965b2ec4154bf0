//! Client and server of this crate, with each other.

use std::sync::Arc;

use oci_client::errors::OciErrorCode;
use polyarch_registry::client::{BytesSource, ErrorKind, Mounted, Registry};
use polyarch_registry::server::{Config as ServerConfig, Server};
use polyarch_registry::store::MemoryStore;
use polyarch_registry::transfer::{Depth, MountSources, PARALLEL, Publication, Publisher, Puller, TagMove};
use tokio::task::JoinSet;

use super::images::{blob, noise, two_platforms};
use super::script::quick;

pub struct Embedded {
    host: String,
    _dir: tempfile::TempDir,
    _task: JoinSet<()>,
}

impl Embedded {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let server = Server::bind(ServerConfig::new(address, dir.path())).await.unwrap();
        let host = server.addr().to_string();
        let mut task = JoinSet::new();
        task.spawn(server.run(std::future::pending()));
        Self { host, _dir: dir, _task: task }
    }

    pub fn reference(&self, rest: &str) -> polyarch_registry::oci::Reference {
        format!("{}/{rest}", self.host).parse().unwrap()
    }
}

#[tokio::test]
async fn publish_mount_and_pull() {
    let server = Embedded::start().await;
    let image = two_platforms(30, 300_000).await;
    let registry = Registry::new(quick());
    let store = Arc::clone(&image.store);
    let publisher = Publisher { registry: registry.clone(), store, events: Arc::new(|_| {}), parallel: PARALLEL };
    let destinations = vec![server.reference("a/app:1"), server.reference("b/app:1")];
    let publication = Publication { root: image.index.clone(), destinations, mounts: MountSources::new() };
    let outcomes = publisher.publish(&publication).await;
    let counts: Vec<_> =
        outcomes.iter().map(|o| o.result.as_ref().unwrap().blobs).map(|c| (c.sent, c.mounted)).collect();
    assert_eq!(counts, [(5, 0), (0, 5)]);
    let again = publisher.publish(&publication).await;
    assert!(again.iter().all(|o| o.result.as_ref().is_ok_and(|p| p.tag == TagMove::Unchanged && p.blobs.present == 5)));

    let store = Arc::new(MemoryStore::new());
    let puller = Puller { registry, store: store.clone(), events: Arc::new(|_| {}), parallel: PARALLEL };
    puller.pull(&server.reference("b/app:1"), Depth::Everything).await.unwrap();
    assert_eq!(store.digests().len(), 8);
}

#[tokio::test]
async fn empty_blobs_refused_deletes_and_mounts_of_nothing() {
    let server = Embedded::start().await;
    let registry = Registry::new(quick());
    let at = server.reference("x");
    let empty = noise(0, 0);
    let descriptor = blob(&empty);
    registry.put_blob(&at, &descriptor, &BytesSource(empty), None).await.unwrap();
    assert_eq!(registry.blob_exists(&at, &descriptor).await.unwrap(), Some(0));
    let mut download = registry.get_blob(&at, &descriptor).await.unwrap();
    assert_eq!(download.chunk().await.unwrap(), None);

    let bytes = noise(31, 100);
    let absent = blob(&bytes);
    let from = server.reference("y");
    assert!(matches!(registry.mount_blob(&at, &absent, &from).await.unwrap(), Mounted::Upload(_)));
    let refused = registry.delete_blob(&at, &descriptor.digest).await.unwrap_err();
    assert_eq!((refused.kind(), refused.has_code(&OciErrorCode::Unsupported)), (ErrorKind::Rejected, true));
}
