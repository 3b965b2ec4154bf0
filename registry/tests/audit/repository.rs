//! Findings about a repository as a whole: tags that moved, stand out, or are about nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use polyarch_registry::audit::{Auditor, Beyond, Expectations, Finding, Job, Policy, Report, Scope};
use polyarch_registry::client::{Registry, fallback_tag};
use polyarch_registry::oci::{Digest, RawManifest, Reference, media_type};
use polyarch_testkit::proxy::Act;
use polyarch_testkit::script::quick;
use polyarch_testkit::{Proxy, Specimen, TestRegistry};
use serde_json::json;

use crate::published::{audit_tags, push};
use crate::{BOTH, brief};

const REFERRERS: Scope = Scope { blobs: false, referrers: true, binaries: false, layers: false };

/// Audits a repository, or some tags of it, and asks more.
pub async fn audit_beyond(name: &str, tags: Option<&[&str]>, beyond: Beyond) -> Report {
    let repository: Reference = name.parse().unwrap();
    let policy = Policy::of(Expectations::default());
    let auditor = Auditor::new(Registry::new(quick()), None, policy, Scope::default()).beyond(beyond);
    let tags = tags.map(|tags| tags.iter().map(|&tag| tag.to_owned()).collect());
    auditor.run(vec![Job::Repository { repository, tags }], &|_| ()).await
}

fn of_repository(report: &Report) -> Vec<Finding> {
    report.repositories.iter().flat_map(|repository| repository.findings.clone()).collect()
}

/// An image that differs from others of its kind by its number, which is its day too.
fn numbered(day: u8) -> Specimen {
    (0..2).fold(Specimen::healthy(&BOTH), |specimen, number| {
        specimen.part(number, |part| {
            part.config(move |config| {
                config["created"] = json!(format!("2026-01-{day:02}T00:00:00Z"));
                config["author"] = json!(day.to_string());
            })
        })
    })
}

#[tokio::test]
async fn a_lone_image_among_indexes_was_overwritten() {
    let registry = TestRegistry::start();
    let push = async |tag: &str, specimen: Specimen| push(&registry.http(), "app", tag, &specimen.build().await).await;
    // From before there were several platforms.
    push("0.9", numbered(1).lone()).await;
    push("1.0", numbered(2)).await;
    push("1.1", numbered(3)).await;
    push("1.2", numbered(4).lone()).await;
    // Meant to have one platform.
    push("1.2-amd64", numbered(5).lone()).await;
    push("1.2-cuda", numbered(6).lone()).await;
    push("latest", numbered(7)).await;
    let report = audit_tags(&registry.reference("app"), None, Expectations::default(), Scope::default()).await;
    let found = of_repository(&report);
    assert_eq!(brief(&found), [("overwritten-tag", "warning", "-")]);
    assert_eq!((found[0].key.as_str(), report.findings().count()), ("1.2", 1));
    assert_eq!(found[0].message, "tag 1.2 leads to one platform, 3 tags like it to several");
    let two = Some(&["1.0", "1.2"][..]);
    let some = audit_tags(&registry.reference("app"), two, Expectations::default(), Scope::default()).await;
    assert_eq!(some.findings().count(), 0, "two tags are no ground to judge the repository");
}

#[tokio::test]
async fn tags_about_nothing_are_told() {
    let registry = TestRegistry::start();
    let built = Specimen::healthy(&BOTH).build().await;
    push(&registry.http(), "app", "1", &built).await;
    let body = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []});
    let empty = RawManifest::new(media_type::OCI_INDEX, body.to_string());
    let put = async |tag: String| assert_eq!(registry.http().put_manifest("app", &tag, &empty).await.status(), 201);
    put(format!("{}.att", fallback_tag(built.root.digest()))).await;
    let audit = async || audit_tags(&registry.reference("app"), None, Expectations::default(), REFERRERS).await;
    let report = audit().await;
    assert_eq!((report.findings().count(), report.unchecked(), report.images.len()), (0, 0, 1));
    for gone in ["a", "b", "c", "d"] {
        put(format!("{}.sig", fallback_tag(&Digest::sha256(gone)))).await;
    }
    put(fallback_tag(&Digest::sha256("e"))).await;
    let found = of_repository(&audit().await);
    let id = "orphan-signature-tags";
    assert_eq!(brief(&found), [(id, "info", "-"), (id, "warning", "-")]);
    assert!(found[0].message.starts_with("4 tags are about manifests that are gone: sha256-"), "{}", found[0].message);
    assert!(found[0].message.ends_with(", …") && !found[1].message.ends_with('…'));
    // A registry that does not say is not believed to have nothing.
    let proxy =
        Proxy::start(registry.addr(), |seen| match seen.method == "HEAD" && seen.path.contains("/manifests/") {
            true => Act::Answer(503, &[]),
            false => Act::Pass,
        });
    let report = audit_tags(&proxy.reference("app"), None, Expectations::default(), REFERRERS).await;
    assert_eq!((report.findings().count(), report.unchecked()), (0, 5));
}

#[tokio::test]
async fn a_tag_that_moves_meanwhile_is_told() {
    let registry = TestRegistry::start();
    let (one, two) = (numbered(1).build().await, numbered(2).build().await);
    push(&registry.http(), "app", "1", &one).await;
    push(&registry.http(), "app", "still", &one).await;
    push(&registry.http(), "other", "1", &two).await;
    // The tag is read once; after that it leads where another repository's does.
    let again = Beyond { recheck: true, ..Beyond::default() };
    assert_eq!(audit_beyond(&registry.reference("app"), Some(&["1"]), again.clone()).await.findings().count(), 0);
    let reads = AtomicUsize::new(0);
    let proxy = Proxy::start(registry.addr(), move |seen| {
        let is_tag = seen.path.ends_with("/manifests/1");
        match is_tag && reads.fetch_add(1, Ordering::SeqCst) > 0 {
            true => Act::Answer(404, &[]),
            false => Act::Pass,
        }
    });
    let report = audit_beyond(&proxy.reference("app"), Some(&["1", "still"]), again).await;
    let found = of_repository(&report);
    assert_eq!((brief(&found), report.unchecked()), (vec![("moved-tag", "warning", "-")], 0));
    let want = format!("tag 1 is gone, and led to {} when it was read", one.root.digest());
    assert_eq!((found[0].message.as_str(), found[0].key.as_str()), (want.as_str(), "1"));
}

#[tokio::test]
async fn tags_are_held_to_an_earlier_report() {
    let registry = TestRegistry::start();
    let (one, two) = (numbered(1).build().await, numbered(2).build().await);
    push(&registry.http(), "app", "1", &one).await;
    push(&registry.http(), "app", "2", &two).await;
    let name = |tag: &str| registry.reference(&format!("app:{tag}"));
    let (one, two) = (one.root.digest().clone(), two.root.digest().clone());
    let earlier = BTreeMap::from([(name("1"), one.clone()), (name("2"), one.clone()), (name("3"), two.clone())]);
    let beyond = Beyond { earlier, ..Beyond::default() };
    let found = of_repository(&audit_beyond(&registry.reference("app"), None, beyond.clone()).await);
    let error = ("moved-tag", "error", "-");
    assert_eq!(brief(&found), [error, error]);
    assert_eq!(found[0].message, format!("tag 2 leads to {two} now, and led to {one} in the earlier report"));
    assert_eq!(found[1].message, format!("tag 3 is gone, and led to {two} in the earlier report"));
    let found = of_repository(&audit_beyond(&registry.reference("app"), Some(&["1"]), beyond).await);
    assert_eq!(found, [], "what was not asked for is not gone");
}

#[tokio::test]
async fn a_list_that_was_cut_could_not_be_checked() {
    let registry = TestRegistry::start();
    let built = numbered(1).build().await;
    for tag in ["1", "2", "3"] {
        push(&registry.http(), "app", tag, &built).await;
    }
    let mut config = quick();
    config.limits.tags = 2;
    let auditor = Auditor::new(Registry::new(config), None, Policy::default(), Scope::default());
    let repository: Reference = registry.reference("app").parse().unwrap();
    let report = auditor.run(vec![Job::Repository { repository, tags: None }], &|_| ()).await;
    assert_eq!((report.images.len(), report.findings().count(), report.unchecked()), (2, 0, 1));
    assert_eq!(report.repositories[0].unchecked[0].reason, "there are more tags than are listed");
}
