//! A repository compared with the one it is a mirror of.

use polyarch_registry::audit::{Auditor, Beyond, Expectations, Finding, Job, Policy, Report, Scope};
use polyarch_registry::client::Registry;
use polyarch_registry::oci::{Descriptor, Digest, RawManifest, Reference, media_type};
use polyarch_testkit::proxy::Act;
use polyarch_testkit::script::quick;
use polyarch_testkit::{Proxy, Specimen, TestRegistry};
use serde_json::json;

use crate::published::push;
use crate::{BOTH, brief};

async fn compare(mirror: &str, source: &str, tags: Option<&[&str]>, referrers: bool) -> Report {
    let repository: Reference = mirror.parse().unwrap();
    let beyond = Beyond { mirror_of: Some(source.parse().unwrap()), ..Beyond::default() };
    let scope = Scope { referrers, ..Scope::default() };
    let policy = Policy::of(Expectations::default());
    let auditor = Auditor::new(Registry::new(quick()), None, policy, scope).beyond(beyond);
    let tags = tags.map(|tags| tags.iter().map(|&tag| tag.to_owned()).collect());
    auditor.run(vec![Job::Repository { repository, tags }], &|_| ()).await
}

fn of_repository(report: &Report) -> Vec<Finding> {
    report.repositories.iter().flat_map(|repository| repository.findings.clone()).collect()
}

fn index(entries: &[&serde_json::Value], note: &str) -> RawManifest {
    let body = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries, "annotations": {"note": note},
    });
    RawManifest::new(media_type::OCI_INDEX, body.to_string())
}

#[tokio::test]
async fn equal_repositories_do_not_differ() {
    let registry = TestRegistry::start();
    let built = Specimen::healthy(&BOTH).attested().build().await;
    for (repository, tag) in [("source", "1"), ("mirror", "1"), ("mirror", "own")] {
        push(&registry.http(), repository, tag, &built).await;
    }
    let report = compare(&registry.reference("mirror"), &registry.reference("source"), None, true).await;
    assert_eq!((report.findings().cloned().collect::<Vec<_>>(), report.unchecked()), (vec![], 0));
}

#[tokio::test]
async fn what_the_mirror_lacks_is_told_tag_by_tag() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let built = Specimen::healthy(&BOTH).build().await;
    let other = Specimen::healthy(&["linux/riscv64"]).build().await;
    for repository in ["source", "mirror"] {
        push(&http, repository, "same", &built).await;
    }
    push(&http, "source", "gone", &built).await;
    push(&http, "source", "less", &built).await;
    push(&http, "source", "other", &other).await;
    push(&http, "source", "wrapped", &built).await;
    push(&http, "mirror", "other", &built).await;
    let whole: serde_json::Value = serde_json::from_slice(built.root.bytes()).unwrap();
    let entries: Vec<&serde_json::Value> = whole["manifests"].as_array().unwrap().iter().collect();
    let (less, wrapped) = (index(&entries[..1], "less"), index(&entries, "again"));
    for (tag, manifest) in [("less", &less), ("wrapped", &wrapped)] {
        assert_eq!(http.put_manifest("mirror", tag, manifest).await.status(), 201);
    }
    let source = registry.reference("source");
    let report = compare(&registry.reference("mirror"), &source, None, false).await;
    let found = of_repository(&report);
    let id = "mirror-differs";
    assert_eq!(
        brief(&found),
        [(id, "error", "-"), (id, "error", "-"), (id, "error", "-"), ("rewrapped-image", "error", "-")]
    );
    let (root, other) = (built.root.digest(), other.root.digest());
    let messages: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            format!("tag gone is missing; at {source} it leads to {root}"),
            format!("tag less lacks linux/arm64, which {source} has"),
            format!("tag other leads to {root}, at {source} to {other}"),
            format!("tag wrapped has the images of {source}, but leads to {}, not {root}", wrapped.digest()),
        ]
    );
    assert_eq!(found.iter().map(|one| one.key.as_str()).collect::<Vec<_>>(), ["gone", "less", "other", "wrapped"]);
    let some = compare(&registry.reference("mirror"), &source, Some(&["same"]), false).await;
    assert_eq!((some.findings().count(), some.unchecked()), (0, 0), "only what was asked for is compared");
}

#[tokio::test]
async fn a_single_manifest_in_an_index_of_its_own_was_wrapped() {
    let registry = TestRegistry::start();
    let lone = Specimen::healthy(&BOTH).lone().build().await;
    push(&registry.http(), "source", "1", &lone).await;
    push(&registry.http(), "mirror", "1", &lone).await;
    let mut entry = serde_json::to_value(lone.root.descriptor()).unwrap();
    entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
    assert_eq!(registry.http().put_manifest("mirror", "1", &index(&[&entry], "new")).await.status(), 201);
    let report = compare(&registry.reference("mirror"), &registry.reference("source"), Some(&["1"]), false).await;
    assert_eq!(brief(&of_repository(&report)), [("rewrapped-image", "error", "-")]);
}

#[tokio::test]
async fn signatures_that_were_left_behind_are_warnings() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let built = Specimen::healthy(&BOTH).lone().build().await;
    for repository in ["source", "mirror"] {
        push(&http, repository, "1", &built).await;
    }
    http.push_blob("source", "{}").await;
    let empty = Descriptor::new(media_type::OCI_EMPTY, Digest::sha256("{}"), 2);
    let body = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": "application/vnd.cncf.notary.signature",
        "config": empty, "layers": [empty], "subject": built.root.descriptor(),
    });
    let signature = RawManifest::new(media_type::OCI_MANIFEST, body.to_string());
    assert_eq!(http.put_manifest("source", &signature.digest().to_string(), &signature).await.status(), 201);
    let (mirror, source) = (registry.reference("mirror"), registry.reference("source"));
    let report = compare(&mirror, &source, None, true).await;
    let found = of_repository(&report);
    assert_eq!(brief(&found), [("mirror-differs", "warning", "-")]);
    assert_eq!(found[0].message, format!("tag 1 lacks 1 referrer that {source} has, {} first", signature.digest()));
    assert_eq!(compare(&mirror, &source, None, false).await.findings().count(), 0, "asked with the referrers only");
}

#[tokio::test]
async fn a_source_that_refuses_makes_no_difference() {
    let registry = TestRegistry::start();
    let built = Specimen::healthy(&BOTH).build().await;
    for repository in ["source", "mirror"] {
        push(&registry.http(), repository, "1", &built).await;
    }
    let proxy = Proxy::start(registry.addr(), |seen| match seen.path.contains("/v2/source/") {
        true => Act::Answer(403, &[]),
        false => Act::Pass,
    });
    let report = compare(&proxy.reference("mirror"), &proxy.reference("source"), None, false).await;
    assert_eq!((report.findings().count(), report.unchecked()), (0, 2), "the tags, and the one that is known");
}
