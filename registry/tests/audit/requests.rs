//! What an audit asks a registry: each object once, and what is known not again.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use polyarch_registry::audit::{Auditor, Job, Options, Policy, Report, Scope, TRUST};
use polyarch_registry::resolve::ManifestCache;
use polyarch_testkit::Served;
use polyarch_testkit::script::{Server, client};
use polyarch_testkit::served::numbered;

use crate::brief;

const TAGS: usize = 12;
/// Two manifests and two configurations of each tag.
const OBJECTS: usize = 4 * TAGS;

/// Every tag of a repository.
pub fn all_of(server: &Server, repository: &str) -> Job {
    Job::Repository { repository: server.reference(repository), tags: None }
}

/// An auditor whose cache and memory are in a directory.
pub fn auditor(dir: &Path, options: Options) -> Auditor {
    let memory = Some(dir.join("seen"));
    let auditor = Auditor::new(client(), Some(ManifestCache::of_store(dir)), Policy::default(), Scope::default());
    auditor.with_options(Options { memory, ..options })
}

/// What a run asked, after the list of tags, sorted.
struct Asked(Vec<String>);

impl Asked {
    fn count(&self, method: &str, part: &str) -> usize {
        self.0.iter().filter(|line| line.starts_with(method) && line.contains(part)).count()
    }
}

async fn run(dir: &Path, server: &Server, repository: &str, trust: Duration) -> (Report, Asked) {
    let before = server.lines().len();
    let options = Options { trust, ..Options::default() };
    let report = auditor(dir, options).run(vec![all_of(server, repository)], &|_| ()).await;
    let mut lines = server.lines().split_off(before);
    lines.retain(|line| !line.ends_with("/tags/list"));
    (report, Asked(lines))
}

fn findings(report: &Report) -> Vec<(&str, &str, &str)> {
    report.images.iter().flat_map(|image| brief(&image.findings)).collect()
}

#[tokio::test]
async fn a_first_audit_asks_once_for_each_tag_and_object() {
    let (dir, served) = (tempfile::tempdir().unwrap(), Served::numbered(TAGS).await);
    // One more tag of the first image.
    served.put("app", "latest", &numbered(0).build().await).await;
    let server = served.start().await;
    let (report, asked) = run(dir.path(), &server, "app", TRUST).await;
    assert_eq!((report.images.len(), report.unchecked(), report.findings().count()), (TAGS + 1, 0, 0));
    assert_eq!(asked.count("GET", "/manifests/"), TAGS + 1 + 2 * TAGS);
    assert_eq!(asked.count("GET", "/blobs/"), 2 * TAGS);
    assert_eq!(asked.0.len(), TAGS + 1 + OBJECTS, "tags and distinct objects, and nothing else");
    assert_eq!(asked.0.iter().collect::<BTreeSet<_>>().len(), asked.0.len());
    assert_eq!((report.stats.fetched, report.stats.asked), ((TAGS + 1 + OBJECTS) as u64, 0));
}

#[tokio::test]
async fn a_second_audit_costs_one_head_for_each_tag() {
    let (dir, served) = (tempfile::tempdir().unwrap(), Served::numbered(TAGS).await);
    let server = served.start().await;
    let (first, _) = run(dir.path(), &server, "app", TRUST).await;
    let (second, asked) = run(dir.path(), &server, "app", TRUST).await;
    assert_eq!(second.images, first.images);
    assert_eq!((asked.0.len(), asked.count("HEAD", "/manifests/")), (TAGS, TAGS));
    assert_eq!((second.stats.fetched, second.stats.asked), (0, TAGS as u64));
    // A tag that moved is read again, and nothing else is.
    served.put("app", "3", &numbered(99).build().await).await;
    let (_, asked) = run(dir.path(), &server, "app", TRUST).await;
    assert_eq!((asked.count("HEAD", ""), asked.count("GET", "")), (TAGS, 1 + 4));
}

#[tokio::test]
async fn what_was_deleted_is_found_when_trust_ends() {
    let (dir, served) = (tempfile::tempdir().unwrap(), Served::numbered(TAGS).await);
    let server = served.start().await;
    run(dir.path(), &server, "app", TRUST).await;
    let child = numbered(3).build().await.parts[1].digest().clone();
    served.lose("app", &child);
    let (trusting, _) = run(dir.path(), &server, "app", TRUST).await;
    assert_eq!(findings(&trusting), [], "it was seen today");
    let (report, asked) = run(dir.path(), &server, "app", Duration::ZERO).await;
    assert_eq!(findings(&report), [("dangling-child", "error", "linux/arm64")]);
    // The child's own configuration is not asked for; that the child is gone is asked twice.
    assert_eq!((asked.count("HEAD", ""), asked.count("GET", "")), (TAGS + OBJECTS - 1, 1));
    let (again, _) = run(dir.path(), &server, "app", TRUST).await;
    assert_eq!(findings(&again), findings(&report), "once known to be gone, it is not trusted to be there");
}

#[tokio::test]
async fn one_repository_says_nothing_about_another() {
    let (dir, served) = (tempfile::tempdir().unwrap(), Served::numbered(1).await);
    let built = numbered(0).build().await;
    served.put("copy", "0", &built).await;
    served.lose("copy", built.parts[0].digest());
    let server = served.start().await;
    for _ in 0..2 {
        let jobs = vec![all_of(&server, "app"), all_of(&server, "copy")];
        let report = auditor(dir.path(), Options::default()).run(jobs, &|_| ()).await;
        let found: Vec<_> = report.images.iter().map(|image| (image.name(), brief(&image.findings))).collect();
        let name = |repository| format!("{}/{repository}:0", server.host());
        let error = vec![("dangling-child", "error", "linux/amd64")];
        assert_eq!(found, [(name("app"), vec![]), (name("copy"), error)]);
    }
}

#[tokio::test]
async fn targets_in_one_repository_are_one_audit() {
    let (dir, served) = (tempfile::tempdir().unwrap(), Served::numbered(2).await);
    let server = served.start().await;
    let one = |tag: &str| Job::Repository { repository: server.reference("app"), tags: Some(vec![tag.to_owned()]) };
    let digest = numbered(0).build().await.root.digest().clone();
    let jobs = vec![one("0"), one("1"), one("0"), Job::Digest(server.reference("app").with_digest(digest))];
    let report = auditor(dir.path(), Options::default()).run(jobs, &|_| ()).await;
    let tags: Vec<_> = report.images.iter().map(|image| image.tag.as_deref()).collect();
    assert_eq!(tags, [None, Some("0"), Some("1")]);
    let mut lines = server.lines();
    let count = lines.len();
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), count, "{lines:#?}");
    assert!(lines.iter().all(|line| !line.ends_with("/tags/list")));
}

#[tokio::test]
async fn shards_share_the_tags_out() {
    let served = Served::numbered(TAGS).await;
    let server = served.start().await;
    let mut reports = Vec::new();
    for number in 1..=3 {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { shard: Some(format!("{number}/3").parse().unwrap()), ..Options::default() };
        reports.push(auditor(dir.path(), options).run(vec![all_of(&server, "app")], &|_| ()).await);
    }
    assert!(reports.iter().all(|report| report.images.len() < TAGS && report.stats.shard.is_some()));
    let reads: Vec<String> = server.lines().into_iter().filter(|line| !line.ends_with("/tags/list")).collect();
    assert_eq!(reads.len(), TAGS + OBJECTS, "nothing is read by two of them");
    let merged = Report::merge(reports);
    assert_eq!((merged.images.len(), merged.stats.fetched), (TAGS, (TAGS + OBJECTS) as u64));
    assert_eq!(merged.stats.shard, None);
}
