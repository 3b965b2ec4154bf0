//! What became of the bases images were built on.

use polyarch_registry::audit::{Beyond, Finding};
use polyarch_registry::oci::RawManifest;
use polyarch_testkit::proxy::Act;
use polyarch_testkit::{Http, Proxy, Specimen, TestRegistry};
use serde_json::json;

use crate::published::push;
use crate::repository::audit_beyond;
use crate::{BOTH, brief};

/// An image built on these bases, name and digest, one for each platform.
fn on(bases: &[(String, &RawManifest); 2]) -> Specimen {
    let mut specimen = Specimen::healthy(&BOTH);
    for (number, (name, base)) in bases.iter().enumerate() {
        let (name, digest) = (name.clone(), base.digest().clone());
        specimen = specimen.part(number, |part| {
            part.manifest(move |manifest| {
                manifest["annotations"] = json!({
                    "org.opencontainers.image.base.name": name,
                    "org.opencontainers.image.base.digest": digest,
                });
            })
        });
    }
    specimen
}

async fn push_to(http: &Http, repository: &str, tag: &str, specimen: &Specimen) {
    push(http, repository, tag, &specimen.build().await).await;
}

async fn findings(name: &str, bases: bool) -> (Vec<Finding>, usize) {
    let report = audit_beyond(name, Some(&["1"]), Beyond { bases, ..Beyond::default() }).await;
    let unchecked = report.unchecked();
    (report.images.into_iter().next().unwrap().findings, unchecked)
}

#[tokio::test]
async fn a_base_that_moved_is_told_and_one_that_is_gone() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let old = Specimen::healthy(&BOTH).build().await;
    push(&http, "base", "stable", &old).await;
    let name = registry.reference("base:stable");
    push_to(&http, "app", "1", &on(&[(name.clone(), &old.root), (name.clone(), &old.root)])).await;
    let app = registry.reference("app");
    assert_eq!(findings(&app, true).await, (vec![], 0));
    // The same named by platform: the index has it.
    push_to(&http, "each", "1", &on(&[(name.clone(), &old.parts[0]), (name.clone(), &old.parts[1])])).await;
    let each = registry.reference("each");
    assert_eq!(findings(&each, true).await, (vec![], 0));

    let new = Specimen::healthy(&BOTH).index(|index| index["annotations"]["n"] = json!("2")).build().await;
    push(&http, "base", "stable", &new).await;
    assert_eq!(findings(&app, false).await, (vec![], 0), "nothing is asked elsewhere by default");
    let (found, _) = findings(&app, true).await;
    assert_eq!(brief(&found), [("base-updated", "warning", "-")]);
    let want = format!("its base {name} is {} now, and was {}", new.root.digest(), old.root.digest());
    assert_eq!((found[0].message.as_str(), found[0].key.as_str()), (want.as_str(), name.as_str()));
    assert_eq!(findings(&each, true).await, (vec![], 0), "the new index has the same platforms");

    assert_eq!(http.delete(&format!("/v2/base/manifests/{}", old.root.digest())).await.status(), 202);
    let (found, _) = findings(&app, true).await;
    assert_eq!(brief(&found), [("base-gone", "warning", "-"), ("base-updated", "warning", "-")]);
}

#[tokio::test]
async fn platforms_on_different_bases_are_told_apart() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let (old, new) = (Specimen::healthy(&["linux/arm64"]), Specimen::healthy(&BOTH));
    let (old, new) = (old.build().await, new.build().await);
    push(&http, "base", "stable", &old).await;
    push(&http, "base", "stable", &new).await;
    let name = registry.reference("base:stable");
    push_to(&http, "app", "1", &on(&[(name.clone(), &new.root), (name.clone(), &old.root)])).await;
    let (found, _) = findings(&registry.reference("app"), true).await;
    assert_eq!(brief(&found), [("base-updated", "warning", "linux/arm64")]);
}

#[tokio::test]
async fn a_base_is_asked_for_once_and_a_refusal_is_no_finding() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let base = Specimen::healthy(&BOTH).build().await;
    push(&http, "base", "stable", &base).await;
    let proxy = Proxy::start(registry.addr(), |_| Act::Pass);
    let name = proxy.reference("base:stable");
    for repository in ["app", "other"] {
        push_to(&http, repository, "1", &on(&[(name.clone(), &base.root), (name.clone(), &base.root)])).await;
        push_to(&http, repository, "2", &on(&[(name.clone(), &base.root), (name.clone(), &base.parts[0])])).await;
    }
    let beyond = Beyond { bases: true, ..Beyond::default() };
    let report = audit_beyond(&registry.reference("app"), None, beyond).await;
    assert_eq!((report.findings().count(), report.unchecked()), (0, 0));
    let asked = proxy.seen().into_iter().filter(|seen| seen.path.contains("/base/manifests/stable")).count();
    assert_eq!(asked, 2, "once for each digest that is named with it");

    let refusing = Proxy::start(registry.addr(), |seen| match seen.path.contains("/manifests/") {
        true => Act::Answer(403, &[]),
        false => Act::Pass,
    });
    let name = refusing.reference("base:stable");
    push_to(&http, "app", "1", &on(&[(name.clone(), &base.root), (name.clone(), &base.root)])).await;
    assert_eq!(findings(&registry.reference("app"), true).await, (vec![], 1));
    let odd = "no reference:".to_owned();
    push_to(&http, "app", "1", &on(&[(odd.clone(), &base.root), (odd, &base.root)])).await;
    assert_eq!(findings(&registry.reference("app"), true).await, (vec![], 0));
}
