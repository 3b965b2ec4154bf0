//! What vouches for images, and in which of the places clients look it is found.

use std::sync::Arc;

use polyarch_registry::audit::collect::Collector;
use polyarch_registry::audit::facts::ReferrerFacts;
use polyarch_registry::audit::{
    Auditor, Expectations, Finding, ImageName, ImageReport, Job, Policy, Scope, is_about_another, judge,
};
use polyarch_registry::client::{Config, Registry, fallback_tag};
use polyarch_registry::oci::{Descriptor, Digest, RawManifest, media_type};
use polyarch_registry::verify::StoreSource;
use polyarch_testkit::proxy::Act;
use polyarch_testkit::specimen::Built;
use polyarch_testkit::{Http, Proxy, Specimen, TestRegistry};
use serde_json::{Value, json};

use crate::published::{audit_tags, push};
use crate::{BOTH, audit_with, brief};

const NOTATION: &str = "application/vnd.cncf.notary.signature";
const SPDX: &str = "application/spdx+json";
const REFERRERS: Scope = Scope { blobs: false, referrers: true, binaries: false, layers: false };

/// An artifact of a type about a manifest.
fn artifact(kind: &str, subject: &RawManifest) -> RawManifest {
    let empty = Descriptor::new(media_type::OCI_EMPTY, Digest::sha256("{}"), 2);
    let body = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": kind,
        "config": empty, "layers": [empty], "subject": subject.descriptor(),
    });
    RawManifest::new(media_type::OCI_MANIFEST, body.to_string())
}

fn list(entries: &[Value]) -> RawManifest {
    let body = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries});
    RawManifest::new(media_type::OCI_INDEX, body.to_string())
}

fn entry(manifest: &RawManifest, kind: Option<&str>) -> Value {
    let mut entry = serde_json::to_value(manifest.descriptor()).unwrap();
    if let Some(kind) = kind {
        entry["artifactType"] = json!(kind);
    }
    entry
}

struct Published {
    registry: TestRegistry,
    built: Built,
}

impl Published {
    async fn new(specimen: &Specimen) -> Self {
        let (registry, built) = (TestRegistry::start(), specimen.build().await);
        push(&registry.http(), "app", "1", &built).await;
        registry.http().push_blob("app", "{}").await;
        Self { registry, built }
    }

    fn http(&self) -> Http {
        self.registry.http()
    }

    /// Attaches an artifact, which the registry's API lists.
    async fn attach(&self, kind: &str, subject: &RawManifest) -> RawManifest {
        let artifact = artifact(kind, subject);
        assert_eq!(self.http().put_manifest("app", &artifact.digest().to_string(), &artifact).await.status(), 201);
        artifact
    }

    async fn tag(&self, tag: &str, manifest: &RawManifest) {
        assert_eq!(self.http().put_manifest("app", tag, manifest).await.status(), 201);
    }

    /// Keeps an artifact in the tag that stands in for the API.
    async fn list(&self, subject: &RawManifest, entries: &[Value]) {
        self.tag(&fallback_tag(subject.digest()), &list(entries)).await;
    }

    async fn audit(&self, wanted: Expectations) -> ImageReport {
        audit_tags(&self.registry.reference("app"), Some(&["1"]), wanted, REFERRERS).await.images.remove(0)
    }

    /// Audits through a proxy that answers the referrers API like this.
    async fn audit_without_api(&self, status: u16, wanted: Expectations) -> ImageReport {
        let proxy = self.without_api(status);
        audit_tags(&proxy.reference("app"), Some(&["1"]), wanted, REFERRERS).await.images.remove(0)
    }

    fn without_api(&self, status: u16) -> Proxy {
        Proxy::start(self.registry.addr(), move |seen| match seen.path.contains("/referrers/") {
            true => Act::Answer(status, &[]),
            false => Act::Pass,
        })
    }
}

fn requiring(change: impl FnOnce(&mut Expectations)) -> Expectations {
    let mut wanted = Expectations::default();
    change(&mut wanted);
    wanted
}

#[tokio::test]
async fn what_nobody_signs_is_a_finding_only_where_it_is_required() {
    let image = Published::new(&Specimen::healthy(&BOTH)).await;
    let report = image.audit(Expectations::default()).await;
    assert_eq!((report.findings, report.unchecked), (vec![], vec![]));
    let report = image.audit(requiring(|wanted| wanted.require_signature = true)).await;
    let error = |platform| ("missing-signature", "error", platform);
    assert_eq!(brief(&report.findings), [error("-"), error("linux/amd64"), error("linux/arm64")]);
    assert_eq!(report.findings[0].message, "the index has no signature");
}

#[tokio::test]
async fn what_is_signed_in_part_is_told_for_the_rest() {
    let image = Published::new(&Specimen::healthy(&BOTH)).await;
    image.attach(NOTATION, &image.built.root).await;
    let info = |platform| ("missing-signature", "info", platform);
    let want = [info("linux/amd64"), info("linux/arm64")];
    assert_eq!(brief(&image.audit(Expectations::default()).await.findings), want);
    assert_eq!(brief(&image.audit(requiring(|wanted| wanted.require_signature = true)).await.findings), want);
    image.attach(NOTATION, &image.built.parts[0]).await;
    let want = [("missing-signature", "warning", "linux/arm64")];
    assert_eq!(brief(&image.audit(Expectations::default()).await.findings), want);
    image.attach(NOTATION, &image.built.parts[1]).await;
    assert_eq!(image.audit(Expectations::default()).await.findings, []);
}

#[tokio::test]
async fn signed_platforms_do_not_sign_their_index() {
    let image = Published::new(&Specimen::healthy(&BOTH)).await;
    for part in &image.built.parts {
        image.attach(NOTATION, part).await;
    }
    let report = image.audit(Expectations::default()).await;
    assert_eq!(brief(&report.findings), [("missing-signature", "warning", "-")]);
    assert_eq!(report.findings[0].key, "index");
}

#[tokio::test]
async fn a_lone_image_needs_one_signature() {
    let image = Published::new(&Specimen::healthy(&BOTH).lone()).await;
    let wanted = requiring(|wanted| wanted.require_signature = true);
    assert_eq!(brief(&image.audit(wanted.clone()).await.findings), [("missing-signature", "error", "linux/amd64")]);
    image.attach(NOTATION, &image.built.root).await;
    assert_eq!(image.audit(wanted).await.findings, []);
}

#[tokio::test]
async fn attestations_of_the_index_count() {
    let image = Published::new(&Specimen::healthy(&BOTH).attested()).await;
    assert_eq!(image.audit(requiring(|wanted| wanted.require_provenance = true)).await.findings, []);
    let error = |platform| ("missing-sbom", "error", platform);
    let wanted = requiring(|wanted| wanted.require_sbom = true);
    assert_eq!(brief(&image.audit(wanted.clone()).await.findings), [error("linux/amd64"), error("linux/arm64")]);
    image.attach(SPDX, &image.built.root).await;
    assert_eq!(image.audit(wanted).await.findings, [], "one of the index counts for all");
    // Only one platform was built with provenance.
    let mut half = Specimen::healthy(&BOTH).attested();
    half.parts.pop();
    let half = Published::new(&half).await;
    let want = [("missing-provenance", "warning", "linux/arm64")];
    assert_eq!(brief(&half.audit(Expectations::default()).await.findings), want);
}

#[tokio::test]
async fn a_refused_question_makes_nothing_missing() {
    let image = Published::new(&Specimen::healthy(&BOTH)).await;
    for status in [401, 403, 429, 503] {
        let report = image.audit_without_api(status, requiring(|wanted| wanted.require_signature = true)).await;
        assert_eq!((report.findings, report.unchecked.len()), (vec![], 3), "{status}");
        assert!(report.unchecked.iter().all(|one| one.what == "referrers"), "{:?}", report.unchecked);
    }
}

#[tokio::test]
async fn cosigns_tags_sign_and_are_told_as_the_only_way() {
    let image = Published::new(&Specimen::healthy(&BOTH)).await;
    let config = json!({"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": []}}).to_string();
    image.http().push_blob("app", config.clone()).await;
    let config = Descriptor::new(media_type::OCI_CONFIG, Digest::sha256(&config), config.len() as u64);
    let layer = Descriptor::new("application/vnd.dev.cosign.simplesigning.v1+json", Digest::sha256("{}"), 2);
    let body = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [layer]});
    let signature = RawManifest::new(media_type::OCI_MANIFEST, body.to_string());
    for subject in [&image.built.root, &image.built.parts[0], &image.built.parts[1]] {
        image.tag(&format!("{}.sig", fallback_tag(subject.digest())), &signature).await;
    }
    let report = image.audit(requiring(|wanted| wanted.require_signature = true)).await;
    assert_eq!(brief(&report.findings), [("hidden-signature", "info", "-")]);
    assert_eq!(report.findings[0].message, "signatures of 3 manifests are found only by cosign's tag (sha256-….sig)");
    // All tags: those of signatures are not audited as images.
    let all = audit_tags(&image.registry.reference("app"), None, Expectations::default(), REFERRERS).await;
    assert_eq!(all.images.iter().map(|one| one.tag.as_deref()).collect::<Vec<_>>(), [Some("1")]);
}

#[tokio::test]
async fn attestations_by_cosigns_tag_are_read() {
    let image = Published::new(&Specimen::healthy(&BOTH).lone()).await;
    let mut layer = Descriptor::new("application/vnd.dsse.envelope.v1+json", Digest::sha256("{}"), 2);
    layer.annotations.insert("predicateType".into(), "https://slsa.dev/provenance/v0.2".into());
    let config = Descriptor::new(media_type::OCI_CONFIG, Digest::sha256("{}"), 2);
    let body = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [layer]});
    let attestation = RawManifest::new(media_type::OCI_MANIFEST, body.to_string());
    image.tag(&format!("{}.att", fallback_tag(image.built.root.digest())), &attestation).await;
    let wanted = requiring(|wanted| (wanted.require_provenance, wanted.require_sbom) = (true, true));
    assert_eq!(brief(&image.audit(wanted).await.findings), [("missing-sbom", "error", "linux/amd64")]);
}

#[tokio::test]
async fn without_the_api_the_tag_is_the_only_way() {
    let image = Published::new(&Specimen::healthy(&BOTH).lone()).await;
    let signature = image.attach(NOTATION, &image.built.root).await;
    image.list(&image.built.root, &[entry(&signature, Some(NOTATION))]).await;
    let wanted = requiring(|wanted| wanted.require_signature = true);
    for status in [404, 405, 501] {
        let report = image.audit_without_api(status, wanted.clone()).await;
        assert_eq!(brief(&report.findings), [("hidden-signature", "info", "-")], "{status}");
        assert!(report.findings[0].message.ends_with("by the tag that stands in for the referrers API"));
    }
    assert_eq!(image.audit(wanted).await.findings, [], "both ways");
}

#[tokio::test]
async fn a_tag_that_lists_what_is_gone_is_stale() {
    let image = Published::new(&Specimen::healthy(&BOTH).lone()).await;
    let signature = image.attach(NOTATION, &image.built.root).await;
    // The registry keeps no list with something missing: it is deleted afterwards.
    let there = image.attach(SPDX, &image.built.root).await;
    image.list(&image.built.root, &[entry(&signature, Some(NOTATION)), entry(&there, Some(SPDX))]).await;
    assert_eq!(image.audit(Expectations::default()).await.findings, []);
    let path = format!("/v2/app/manifests/{}", there.digest());
    assert_eq!(image.http().delete(&path).await.status(), 202);
    let report = image.audit(Expectations::default()).await;
    assert_eq!(brief(&report.findings), [("stale-referrers-tag", "warning", "-")]);
    let message = &report.findings[0].message;
    assert!(message.contains(&format!("lists 1 referrer that is not there, {} first", there.digest())), "{message}");
}

#[tokio::test]
async fn what_is_about_something_else_signs_nothing() {
    let image = Published::new(&Specimen::healthy(&BOTH)).await;
    let signature = image.attach(NOTATION, &image.built.parts[0]).await;
    image.list(&image.built.root, &[entry(&signature, Some(NOTATION))]).await;
    let report = image.audit_without_api(404, requiring(|wanted| wanted.require_signature = true)).await;
    let error = |platform| ("missing-signature", "error", platform);
    let stale = ("stale-referrers-tag", "warning", "-");
    assert_eq!(brief(&report.findings), [error("-"), error("linux/amd64"), error("linux/arm64"), stale]);
    let message = &report.findings[3].message;
    assert!(
        message.contains(&format!("lists 1 referrer that is not about it, {} first", signature.digest())),
        "{message}"
    );
}

#[tokio::test]
async fn a_tag_that_lacks_what_the_api_lists_is_worth_knowing() {
    let image = Published::new(&Specimen::healthy(&BOTH).lone()).await;
    let sbom = image.attach(SPDX, &image.built.root).await;
    let listed = image.attach("example/notes", &image.built.root).await;
    image.list(&image.built.root, &[entry(&sbom, Some(SPDX))]).await;
    let report = image.audit(Expectations::default()).await;
    assert_eq!(brief(&report.findings), [("stale-referrers-tag", "info", "-")]);
    assert!(report.findings[0].message.ends_with(&format!("{} first", listed.digest())));
}

/// What is found of an image whose referrers a registry lists in two ways.
async fn judged(built: &Built, api: &[&RawManifest], tag: &[&RawManifest]) -> Vec<Finding> {
    let name = ImageName { repository: "host/app".to_owned(), tag: None, digest: built.root.digest().clone() };
    let collector = Collector::new(Arc::new(StoreSource(built.store.clone())), None);
    let mut facts = collector.image(name, built.root.clone()).await;
    let entries = |list: &[&RawManifest]| {
        list.iter().map(|one| serde_json::from_value(entry(one, Some(NOTATION))).unwrap()).collect()
    };
    let found = ReferrerFacts { by_api: Some(entries(api)), by_tag: Some(entries(tag)), ..ReferrerFacts::default() };
    facts.referrers = Some([(built.root.digest().clone(), found)].into());
    judge(&facts, &Expectations::default())
}

#[tokio::test]
async fn what_only_the_tag_lists_is_not_seen_by_the_api() {
    let built = Specimen::healthy(&BOTH).lone().build().await;
    let (seen, unseen) = (artifact(NOTATION, &built.root), artifact("another", &built.root));
    let found = judged(&built, &[&seen], &[&seen, &unseen]).await;
    assert_eq!(brief(&found), [("stale-referrers-tag", "warning", "-")]);
    let want = format!("lists 1 referrer that the referrers API does not list, {} first", unseen.digest());
    assert!(found[0].message.contains(&want) && found[0].message.ends_with("a signature among them"));
    assert_eq!(judged(&built, &[&seen], &[&seen]).await, []);
}

#[tokio::test]
async fn a_list_without_types_hides_nothing_from_an_audit() {
    let image = Published::new(&Specimen::healthy(&BOTH).lone()).await;
    let signature = image.attach(NOTATION, &image.built.root).await;
    for kind in [None, Some(media_type::OCI_EMPTY)] {
        image.list(&image.built.root, &[entry(&signature, kind)]).await;
        let report = image.audit_without_api(404, requiring(|wanted| wanted.require_signature = true)).await;
        let want = [("hidden-signature", "info", "-"), ("untyped-referrer", "info", "-")];
        assert_eq!(brief(&report.findings), want, "{kind:?}");
    }
}

#[tokio::test]
async fn each_way_is_asked_once_at_most() {
    let image = Published::new(&Specimen::healthy(&BOTH)).await;
    for number in 2..9 {
        let next = Specimen::healthy(&BOTH).index(move |index| index["annotations"]["n"] = json!(number.to_string()));
        push(&image.http(), "app", &number.to_string(), &next.build().await).await;
    }
    let proxy = image.without_api(404);
    let report = audit_tags(&proxy.reference("app"), None, Expectations::default(), REFERRERS).await;
    assert_eq!((report.images.len(), report.findings().count(), report.unchecked()), (8, 0, 0));
    let seen = proxy.seen();
    let count = |what: &str| seen.iter().filter(|seen| seen.path.contains(what)).count();
    assert_eq!((count("/referrers/"), count("/tags/list"), count("/manifests/sha256-")), (1, 1, 0));
}

#[tokio::test]
async fn a_few_tags_are_no_ground_to_list_all() {
    let image = Published::new(&Specimen::healthy(&BOTH).lone()).await;
    let proxy = image.without_api(404);
    audit_tags(&proxy.reference("app"), Some(&["1"]), Expectations::default(), REFERRERS).await;
    let seen = proxy.seen();
    let count = |what: &str| seen.iter().filter(|seen| seen.path.contains(what)).count();
    assert_eq!((count("/tags/list"), count("/referrers/"), count("/manifests/sha256-")), (0, 1, 4));
}

#[tokio::test]
async fn a_layout_says_itself_what_refers_to_what() {
    let built = Specimen::healthy(&BOTH).lone().build().await;
    let report = audit_with(&built, requiring(|wanted| wanted.require_signature = true), REFERRERS).await;
    assert_eq!(brief(&report.findings), [("missing-signature", "error", "linux/amd64")]);
    assert_eq!(report.unchecked, []);
}

#[tokio::test]
async fn what_a_layout_lists_beside_an_image_is_about_it() {
    let built = Specimen::healthy(&BOTH).lone().build().await;
    let roots = vec![
        (Some("1".to_owned()), built.root.clone()),
        (None, artifact(NOTATION, &built.root)),
        (Some(format!("host/app:{}.sbom", fallback_tag(built.root.digest()))), artifact(SPDX, &built.parts[0])),
    ];
    assert_eq!(
        roots.iter().map(|(name, root)| is_about_another(name.as_deref(), root)).collect::<Vec<_>>(),
        [false, true, true]
    );
    let wanted = requiring(|wanted| wanted.require_signature = true);
    let auditor = Auditor::new(Registry::new(Config::default()), None, Policy::of(wanted), Scope::default());
    let source = Arc::new(StoreSource(built.store.clone()));
    let job = Job::Local { repository: "oci:specimen".to_owned(), source, roots };
    let report = auditor.run(vec![job], &|_| ()).await;
    assert_eq!((report.images.len(), report.findings().count(), report.unchecked()), (1, 0, 0));
}
