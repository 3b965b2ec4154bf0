//! distribution's registry, with objects that were really deleted from its storage.

#[path = "../wire/real.rs"]
#[allow(dead_code, clippy::print_stderr, reason = "shared with other tests; it tells what is skipped")]
mod distribution;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use distribution::{Options as Real, RealRegistry};
use polyarch_registry::audit::{Job, Options, Report};
use polyarch_registry::client::Registry;
use polyarch_registry::oci::Digest;
use polyarch_registry::transfer::{MountSources, PARALLEL, Publication, Publisher};
use polyarch_testkit::script::quick;
use polyarch_testkit::served::numbered;
use polyarch_testkit::specimen::Built;

use crate::brief;
use crate::requests::auditor;

const TAGS: usize = 5;

struct Published {
    registry: RealRegistry,
    images: Vec<Built>,
    home: tempfile::TempDir,
}

impl Published {
    async fn new() -> Option<Self> {
        let registry = RealRegistry::start(Real::default())?;
        let mut images = Vec::new();
        for number in 0..TAGS {
            let built = numbered(number).build().await;
            let store = Arc::new(built.store.clone());
            let publisher =
                Publisher { registry: Registry::new(quick()), store, events: Arc::new(|_| {}), parallel: PARALLEL };
            let destinations = vec![registry.reference(&format!("app:{number}"))];
            let publication = Publication { root: built.root.clone(), destinations, mounts: MountSources::new() };
            let outcomes = publisher.publish(&publication).await;
            assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()), "{outcomes:?}");
            images.push(built);
        }
        Some(Self { registry, images, home: tempfile::tempdir().unwrap() })
    }

    fn storage(&self) -> PathBuf {
        self.registry.dir.path().join("data/docker/registry/v2")
    }

    /// As a clean-up of untagged manifests does.
    fn delete_manifest(&self, digest: &Digest) {
        let revisions = self.storage().join("repositories/app/_manifests/revisions/sha256");
        std::fs::remove_dir_all(revisions.join(digest.encoded())).unwrap();
    }

    /// As a disk does.
    fn delete_bytes(&self, digest: &Digest) {
        let (hex, blobs) = (digest.encoded(), self.storage().join("blobs/sha256"));
        std::fs::remove_dir_all(blobs.join(&hex[..2]).join(hex)).unwrap();
    }

    async fn audit(&self, trust: Duration) -> Report {
        let job = Job::Repository { repository: self.registry.reference("app"), tags: None };
        auditor(self.home.path(), Options { trust, ..Options::default() }).run(vec![job], &|_| ()).await
    }
}

fn found(report: &Report) -> Vec<(&str, &str, &str, &str)> {
    let of = |image| {
        let image: &polyarch_registry::audit::ImageReport = image;
        let tag = image.tag.as_deref().unwrap_or("-");
        brief(&image.findings).into_iter().map(move |(rule, severity, platform)| (tag, rule, severity, platform))
    };
    report.images.iter().flat_map(of).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_from_its_storage_is_found() {
    let Some(published) = Published::new().await else { return };
    let day = Duration::from_secs(24 * 3600);
    let first = published.audit(day).await;
    assert_eq!((first.images.len(), found(&first), first.unchecked()), (TAGS, vec![], 0));
    assert_eq!(first.stats.fetched, 5 * TAGS as u64);
    let second = published.audit(day).await;
    assert_eq!((second.images, second.stats.fetched, second.stats.asked), (first.images, 0, TAGS as u64));

    let config = |number: usize, part: usize| -> Digest {
        let manifest: serde_json::Value = serde_json::from_slice(published.images[number].parts[part].bytes()).unwrap();
        manifest["config"]["digest"].as_str().unwrap().parse().unwrap()
    };
    published.delete_manifest(published.images[1].parts[0].digest());
    published.delete_bytes(published.images[2].parts[1].digest());
    published.delete_bytes(&config(3, 0));
    published.delete_manifest(published.images[4].root.digest());
    let report = published.audit(Duration::ZERO).await;
    let want = [
        ("1", "dangling-child", "error", "linux/amd64"),
        ("2", "dangling-child", "error", "linux/arm64"),
        ("3", "missing-blob", "error", "linux/amd64"),
        ("4", "dangling-tag", "error", "-"),
    ];
    assert_eq!((found(&report), report.unchecked()), (want.to_vec(), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_gone_could_not_be_asked() {
    let Some(mut published) = Published::new().await else { return };
    let day = Duration::from_secs(24 * 3600);
    published.audit(day).await;
    let gone = Job::Repository { repository: published.registry.reference("app"), tags: Some(vec!["1".to_owned()]) };
    published.registry.stop();
    let report = auditor(published.home.path(), Options::default()).run(vec![gone], &|_| ()).await;
    assert_eq!((report.images.len(), report.unchecked(), report.findings().count()), (1, 1, 0));
}
