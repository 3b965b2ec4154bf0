//! Audits of a registry: what is asked, how often, and what is told of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use polyarch_registry::audit::{Auditor, Expectations, Job, Policy, Report, Scope};
use polyarch_registry::client::Registry;
use polyarch_registry::oci::Reference;
use polyarch_registry::store::BlobStoreExt as _;
use polyarch_testkit::script::quick;
use polyarch_testkit::specimen::Built;
use polyarch_testkit::{Http, Proxy, Specimen, TestRegistry};

use crate::{BOTH, brief};

/// Pushes a specimen to a tag.
pub async fn push(http: &Http, repository: &str, tag: &str, built: &Built) {
    for digest in built.store.digests() {
        http.push_blob(repository, built.store.read_bytes(&digest, 1 << 20).await.unwrap()).await;
    }
    for part in &built.parts {
        let reply = http.put_manifest(repository, &part.digest().to_string(), part).await;
        assert_eq!(reply.status(), 201, "{reply:?}");
    }
    assert_eq!(http.put_manifest(repository, tag, &built.root).await.status(), 201);
}

/// Audits tags of a repository, or all of them.
pub async fn audit_tags(name: &str, tags: Option<&[&str]>, wanted: Expectations, scope: Scope) -> Report {
    let repository: Reference = name.parse().unwrap();
    let auditor = Auditor::new(Registry::new(quick()), None, Policy::of(wanted), scope);
    let tags = tags.map(|tags| tags.iter().map(|&tag| tag.to_owned()).collect());
    auditor.run(vec![Job::Repository { repository, tags }], &|_| ()).await
}

const BLOBS: Scope = Scope { blobs: true, referrers: false, binaries: false, layers: false };

#[tokio::test]
async fn each_blob_of_a_repository_is_asked_for_once() {
    let registry = TestRegistry::start();
    let built = Specimen::healthy(&BOTH).build().await;
    let newer = Specimen::healthy(&BOTH).index(|index| index["annotations"]["n"] = "2".into()).build().await;
    push(&registry.http(), "team/app", "1", &built).await;
    push(&registry.http(), "team/app", "2", &newer).await;
    let proxy = Proxy::start(registry.addr(), |_| polyarch_testkit::proxy::Act::Pass);
    let report = audit_tags(&proxy.reference("team/app"), None, Expectations::default(), BLOBS).await;
    assert_eq!((report.images.len(), report.findings().count(), report.unchecked()), (2, 0, 0));
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for seen in proxy.seen().into_iter().filter(|seen| seen.path.contains("/blobs/")) {
        *asked.entry(format!("{} {}", seen.method, seen.path)).or_default() += 1;
    }
    let heads: Vec<_> = asked.iter().filter(|(line, _)| line.starts_with("HEAD")).collect();
    assert_eq!(heads.len(), 6, "two configurations and four layers: {asked:?}");
    assert!(heads.iter().all(|(_, count)| **count == 1), "{asked:?}");
}

#[tokio::test]
async fn a_head_from_a_cache_does_not_hide_a_missing_blob() {
    let registry = TestRegistry::start();
    let built = Specimen::healthy(&BOTH).build().await;
    push(&registry.http(), "team/app", "1", &built).await;
    let manifest: serde_json::Value = serde_json::from_slice(built.parts[0].bytes()).unwrap();
    let layer = manifest["layers"][1]["digest"].as_str().unwrap().to_owned();
    let proxy = Proxy::start(registry.addr(), move |seen| match seen.method == "GET" && seen.path.ends_with(&layer) {
        true => polyarch_testkit::proxy::Act::Answer(404, &[]),
        false => polyarch_testkit::proxy::Act::Pass,
    });
    let report = audit_tags(&proxy.reference("team/app"), Some(&["1"]), Expectations::default(), BLOBS).await;
    assert_eq!(brief(&report.images[0].findings), [("missing-blob", "error", "linux/amd64")]);
}

#[tokio::test]
async fn what_a_registry_refuses_to_say_is_unchecked() {
    let registry = TestRegistry::start();
    push(&registry.http(), "team/app", "1", &Specimen::healthy(&BOTH).build().await).await;
    for status in [401, 403, 503] {
        let proxy = Proxy::start(registry.addr(), move |seen| match seen.method == "HEAD" {
            true => polyarch_testkit::proxy::Act::Answer(status, &[]),
            false => polyarch_testkit::proxy::Act::Pass,
        });
        let report = audit_tags(&proxy.reference("team/app"), Some(&["1"]), Expectations::default(), BLOBS).await;
        assert_eq!((report.findings().count(), report.unchecked()), (0, 6), "{status}: {report:?}");
    }
}

#[tokio::test]
async fn a_registry_that_takes_no_ranges_is_believed() {
    let registry = TestRegistry::start();
    push(&registry.http(), "team/app", "1", &Specimen::healthy(&BOTH).build().await).await;
    // Configurations are read whole before anything is asked for by HEAD.
    let (asked, refused) = (Mutex::new(HashSet::new()), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&refused);
    let proxy = Proxy::start(registry.addr(), move |seen| {
        let mut asked = asked.lock().unwrap();
        if seen.method == "HEAD" {
            asked.insert(seen.path.clone());
        } else if asked.contains(&seen.path) {
            count.fetch_add(1, Ordering::SeqCst);
            return polyarch_testkit::proxy::Act::Answer(416, &[]);
        }
        polyarch_testkit::proxy::Act::Pass
    });
    let report = audit_tags(&proxy.reference("team/app"), Some(&["1"]), Expectations::default(), BLOBS).await;
    assert_eq!((report.findings().count(), report.unchecked()), (0, 0));
    assert_eq!(refused.load(Ordering::SeqCst), 6, "the first byte of two configurations and four layers");
}
