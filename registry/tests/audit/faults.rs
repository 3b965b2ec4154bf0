//! Registries that fail, refuse, or lose what they have: what is missing, and what nobody knows.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use polyarch_registry::audit::{Auditor, ImageReport, Job, Options, Policy, Report, Scope};
use polyarch_registry::client::{Limits, Registry};
use polyarch_testkit::Served;
use polyarch_testkit::script::{Reply, Seen, Server, client};
use polyarch_testkit::served::numbered;

use crate::brief;
use crate::requests::{all_of, auditor};

async fn audit(server: &Server) -> Report {
    let dir = tempfile::tempdir().unwrap();
    auditor(dir.path(), Options::default()).run(vec![all_of(server, "app")], &|_| ()).await
}

async fn one(server: &Server) -> ImageReport {
    let mut report = audit(server).await;
    assert_eq!(report.images.len(), 1, "{report:?}");
    report.images.remove(0)
}

/// Fails requests of one path that `fault` answers.
fn on(path: String, fault: impl Fn() -> Reply + Send + Sync + 'static) -> impl Fn(&Seen) -> Option<Reply> {
    move |seen| (seen.path == path).then(&fault)
}

/// The path of the second platform's manifest.
async fn child() -> String {
    format!("/v2/app/manifests/{}", numbered(0).build().await.parts[1].digest())
}

fn what(image: &ImageReport) -> Vec<&str> {
    image.unchecked.iter().map(|one| one.what.as_str()).collect()
}

#[tokio::test]
async fn only_an_answer_that_it_is_not_there_makes_it_missing() {
    let served = Served::numbered(1).await;
    let server = served.start().await;
    let child = child().await;
    let unknown = r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#;
    for reply in [Reply::status(404), Reply::status(410), Reply::body(400, "application/json", unknown)] {
        served.fail(on(child.clone(), move || reply.clone()));
        let image = one(&server).await;
        assert_eq!(brief(&image.findings), [("dangling-child", "error", "linux/arm64")]);
        assert_eq!(image.unchecked, []);
    }
    let half = Reply::Cut(200, vec![], 900, Bytes::from_static(b"{\"schemaVersion\":2"));
    let page = Reply::body(404, "text/html", "<html>");
    let statuses = [400, 401, 403, 405, 429, 500, 502, 503, 504].map(Reply::status);
    for reply in statuses.into_iter().chain([half, page, Reply::Hang]) {
        let shown = format!("{reply:?}");
        served.fail(on(child.clone(), move || reply.clone()));
        let image = one(&server).await;
        assert_eq!((brief(&image.findings), what(&image)), (vec![], vec!["manifest"]), "{shown}");
    }
}

#[tokio::test]
async fn the_same_holds_for_tags_and_configurations() {
    let served = Served::numbered(1).await;
    let server = served.start().await;
    let config = {
        let manifest: serde_json::Value = serde_json::from_slice(numbered(0).build().await.parts[0].bytes()).unwrap();
        format!("/v2/app/blobs/{}", manifest["config"]["digest"].as_str().unwrap())
    };
    for status in [401, 403, 429, 503] {
        served.fail(on(config.clone(), move || Reply::status(status)));
        let image = one(&server).await;
        assert_eq!((brief(&image.findings), what(&image)), (vec![], vec!["configuration"]), "{status}");
        served.fail(on("/v2/app/manifests/0".to_owned(), move || Reply::status(status)));
        let image = one(&server).await;
        assert_eq!((brief(&image.findings), what(&image)), (vec![], vec!["image"]), "{status}");
        served.fail(on("/v2/app/tags/list".to_owned(), move || Reply::status(status)));
        let report = audit(&server).await;
        assert_eq!((report.images.len(), report.unchecked(), report.findings().count()), (0, 1, 0), "{status}");
    }
}

#[tokio::test]
async fn half_an_answer_is_read_again() {
    let served = Served::numbered(1).await;
    let server = served.start().await;
    let (child, built) = (child().await, numbered(0).build().await);
    let bytes = built.parts[1].bytes().clone();
    // The connection says that all arrived: only the digest tells.
    let count = AtomicUsize::new(0);
    let (path, whole) = (child.clone(), bytes.clone());
    served.fail(move |seen| {
        let first = seen.path == path && count.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| Reply::body(200, "application/vnd.oci.image.manifest.v1+json", whole.slice(..whole.len() / 2)))
    });
    let image = one(&server).await;
    assert_eq!((brief(&image.findings), what(&image)), (vec![], vec![]));
    // Each time another half.
    let count = AtomicUsize::new(10);
    served.fail(move |seen| {
        let end = (seen.path == child).then(|| count.fetch_add(1, Ordering::SeqCst))?;
        Some(Reply::body(200, "application/vnd.oci.image.manifest.v1+json", bytes.slice(..end)))
    });
    let image = one(&server).await;
    assert_eq!((brief(&image.findings), what(&image)), (vec![], vec!["manifest"]));
}

#[tokio::test]
async fn a_tag_whose_bytes_are_not_what_the_registry_calls_them_is_not_judged() {
    let served = Served::numbered(1).await;
    let server = served.start().await;
    let index = numbered(0).build().await.root;
    let half = move || {
        let reply = Reply::body(200, index.media_type(), index.bytes().slice(..40));
        reply.with("docker-content-digest", index.digest().to_string())
    };
    served.fail(on("/v2/app/manifests/0".to_owned(), half));
    let image = one(&server).await;
    assert_eq!((brief(&image.findings), what(&image)), (vec![], vec!["image"]));
}

#[tokio::test]
async fn a_registry_that_asks_to_wait_is_waited_for() {
    let served = Served::numbered(4).await;
    let server = served.start().await;
    let count = AtomicUsize::new(0);
    served.fail(move |seen| {
        let refused = seen.path.contains("/manifests/") && count.fetch_add(1, Ordering::SeqCst) == 3;
        refused.then(|| Reply::status(429).with("retry-after", "1"))
    });
    let delays = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&delays);
    let registry: Registry = client().with_observer(Arc::new(move |notice| told.lock().unwrap().push(notice.delay)));
    let auditor = Auditor::new(registry, None, Policy::default(), Scope::default());
    let report = auditor.run(vec![all_of(&server, "app")], &|_| ()).await;
    assert_eq!((report.images.len(), report.unchecked(), report.findings().count()), (4, 0, 0));
    let delays = delays.lock().unwrap();
    assert_eq!(delays.len(), 1);
    assert!(delays[0] >= Duration::from_secs(1), "{delays:?}");
}

#[tokio::test]
async fn one_refusal_is_enough_for_all_to_wait() {
    let served = Served::numbered(40).await;
    let server = served.start().await;
    let (first, refused) = (Mutex::new(None), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&refused);
    served.fail(move |seen| {
        let is_tag = seen.path.contains("/manifests/");
        let start = is_tag.then(|| *first.lock().unwrap().get_or_insert_with(Instant::now));
        let is_refused = start.is_some_and(|start| start.elapsed() < Duration::from_secs(1));
        is_refused.then(|| {
            count.fetch_add(1, Ordering::SeqCst);
            Reply::status(429).with("retry-after", "1")
        })
    });
    let report = audit(&server).await;
    assert_eq!((report.images.len(), report.unchecked()), (40, 0));
    // Those that were on their way.
    let refused = refused.load(Ordering::SeqCst);
    assert!((1..=Limits::default().per_host).contains(&refused), "{refused}");
}

#[tokio::test]
async fn a_tag_that_goes_away_meanwhile_is_nothing_wrong() {
    let served = Served::numbered(3).await;
    let server = served.start().await;
    let lists = AtomicUsize::new(0);
    served.untag("app", "1");
    served.fail(move |seen| {
        let first = seen.path.ends_with("/tags/list") && lists.fetch_add(1, Ordering::SeqCst) == 0;
        first.then(|| Reply::body(200, "application/json", r#"{"name":"app","tags":["0","1","2"]}"#))
    });
    let report = audit(&server).await;
    let tags: Vec<_> = report.images.iter().filter_map(|image| image.tag.as_deref()).collect();
    assert_eq!((tags, report.unchecked(), report.stats.vanished), (vec!["0", "2"], 0, 1));
}

#[tokio::test]
async fn a_tag_that_is_still_listed_leads_nowhere() {
    let served = Served::numbered(2).await;
    let server = served.start().await;
    served.lose("app", numbered(1).build().await.root.digest());
    let report = audit(&server).await;
    let found: Vec<_> = report.images.iter().map(|image| (image.tag.as_deref(), brief(&image.findings))).collect();
    assert_eq!(found, [(Some("0"), vec![]), (Some("1"), vec![("dangling-tag", "error", "-")])]);
    assert_eq!(report.unchecked(), 0);
    let text = "[[waiver]]\nrule = \"dangling-tag\"\nreason = \"known\"\nexpires = 2999-01-01\n";
    let policy = Policy::parse(text, time::Date::from_ordinal_date(2026, 1).unwrap()).unwrap();
    let waived =
        Auditor::new(client(), None, policy, Scope::default()).run(vec![all_of(&server, "app")], &|_| ()).await;
    assert_eq!(waived.images[1].findings[0].waived.as_deref(), Some("known"));
}

#[tokio::test]
async fn a_tag_that_was_named_and_is_not_there_could_not_be_checked() {
    let served = Served::numbered(1).await;
    let server = served.start().await;
    let job = Job::Repository { repository: server.reference("app"), tags: Some(vec!["nope".to_owned()]) };
    let dir = tempfile::tempdir().unwrap();
    let report = auditor(dir.path(), Options::default()).run(vec![job], &|_| ()).await;
    assert_eq!((what(&report.images[0]), report.findings().count()), (vec!["image"], 0));
    assert_eq!(report.images[0].unchecked[0].reason, "it is not there");
}

#[tokio::test]
async fn registries_without_head_are_read() {
    let served = Served::numbered(2).await;
    let server = served.start().await;
    let dir = tempfile::tempdir().unwrap();
    let recheck = || auditor(dir.path(), Options { trust: Duration::ZERO, ..Options::default() });
    recheck().run(vec![all_of(&server, "app")], &|_| ()).await;
    for status in [403, 405] {
        served.fail(move |seen| (seen.method == "HEAD").then(|| Reply::status(status)));
        let report = recheck().run(vec![all_of(&server, "app")], &|_| ()).await;
        assert_eq!((report.images.len(), report.unchecked(), report.findings().count()), (2, 0, 0), "{status}");
    }
}
