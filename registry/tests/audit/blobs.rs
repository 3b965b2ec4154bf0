//! Configurations and layers that are missing, and content that is not what its descriptor says.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _, ready};
use polyarch_registry::audit::{Expectations, ImageReport, Scope};
use polyarch_registry::oci::{Descriptor, Digest, RawManifest};
use polyarch_registry::store::{BlobReader, MemoryStore};
use polyarch_registry::verify::{ContentSource, SourceError, StoreSource};
use polyarch_testkit::Specimen;
use polyarch_testkit::specimen::Lost;
use serde_json::json;

use crate::{BOTH, audit, audit_source, audit_with, brief};

const BLOBS: Scope = Scope { blobs: true, referrers: false, binaries: false, layers: false };

async fn audit_blobs(specimen: &Specimen) -> ImageReport {
    audit_with(&specimen.build().await, Expectations::default(), BLOBS).await
}

#[tokio::test]
async fn a_missing_configuration_is_seen_without_asking_for_blobs() {
    let report = audit(&Specimen::healthy(&BOTH).part(1, |part| part.lose(Lost::Config))).await;
    assert_eq!(brief(&report.findings), [("missing-blob", "error", "linux/arm64")]);
    assert_eq!((report.findings[0].key.as_str(), report.unchecked), ("config", vec![]));
}

#[tokio::test]
async fn every_missing_layer_is_listed_where_blobs_are_asked_for() {
    let specimen = Specimen::healthy(&BOTH)
        .part(0, |part| part.lose(Lost::Layer(1)))
        .part(1, |part| part.lose(Lost::Layer(0)).lose(Lost::Layer(1)));
    assert_eq!(audit(&specimen).await.findings, [], "no layer is asked for by default");
    let report = audit_blobs(&specimen).await;
    let error = |platform| ("missing-blob", "error", platform);
    assert_eq!(brief(&report.findings), [error("linux/amd64"), error("linux/arm64"), error("linux/arm64")]);
    let keys: Vec<&str> = report.findings.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["layer 2", "layer 1", "layer 2"]);
    assert!(report.findings[0].message.starts_with("layer 2 of 2, sha256:"), "{}", report.findings[0].message);
}

#[tokio::test]
async fn what_is_whole_has_no_missing_blobs() {
    for specimen in [Specimen::healthy(&BOTH), Specimen::healthy(&BOTH).attested(), Specimen::healthy(&BOTH).lone()] {
        let built = specimen.build().await;
        for scope in [BLOBS, Scope { referrers: true, ..BLOBS }] {
            let report = audit_with(&built, Expectations::default(), scope).await;
            assert_eq!((report.findings, report.unchecked), (vec![], vec![]));
        }
    }
}

#[tokio::test]
async fn an_attestation_without_its_statement_breaks_no_platform() {
    let report = audit_blobs(&Specimen::healthy(&BOTH).attested().part(2, |part| part.lose(Lost::Layer(0)))).await;
    assert_eq!(brief(&report.findings), [("missing-blob", "warning", "-")]);
}

#[tokio::test]
async fn layers_that_registries_do_not_keep_are_not_missed() {
    let foreign = |manifest: &mut serde_json::Value| {
        manifest["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
    };
    let specimen = Specimen::healthy(&BOTH).part(0, |part| part.manifest(foreign).lose(Lost::Layer(0)));
    let missing: Vec<_> =
        audit_blobs(&specimen).await.findings.into_iter().filter(|one| one.rule == "missing-blob").collect();
    assert_eq!(missing, []);
}

#[tokio::test]
async fn sizes_are_compared_with_what_is_there() {
    let entry = Specimen::healthy(&BOTH).part(0, |part| part.entry(|entry| entry["size"] = json!(7)));
    let report = audit(&entry).await;
    assert_eq!(brief(&report.findings), [("size-mismatch", "error", "linux/amd64")]);
    assert_eq!(report.findings[0].key, "manifest");
    let config = Specimen::healthy(&BOTH).part(1, |part| part.manifest(|it| it["config"]["size"] = json!(100_000)));
    assert_eq!(brief(&audit(&config).await.findings), [("size-mismatch", "error", "linux/arm64")]);
    let layer = Specimen::healthy(&BOTH).part(1, |part| part.manifest(|it| it["layers"][1]["size"] = json!(8)));
    assert_eq!(brief(&audit(&layer).await.findings), [], "layers are not measured by default");
    let report = audit_blobs(&layer).await;
    assert_eq!(brief(&report.findings), [("size-mismatch", "error", "linux/arm64")]);
    assert!(report.findings[0].message.ends_with("bytes, its descriptor says 8"), "{}", report.findings[0].message);
}

/// A store that answers for one digest with something else.
struct Odd {
    store: StoreSource<MemoryStore>,
    digest: Digest,
    how: How,
}

#[derive(Clone, Copy)]
enum How {
    Other,
    Fails,
}

impl Odd {
    fn refused(&self) -> SourceError {
        SourceError::unreadable(&self.digest, "answered 503 Service Unavailable")
    }
}

impl ContentSource for Odd {
    fn manifest<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<RawManifest, SourceError>> {
        match (descriptor.digest == self.digest, self.how) {
            (true, How::Other) => ready(Ok(RawManifest::new(&*descriptor.media_type, "{}"))).boxed(),
            (true, How::Fails) => ready(Err(self.refused())).boxed(),
            _ => self.store.manifest(descriptor),
        }
    }

    fn stat<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<Option<u64>, SourceError>> {
        match (descriptor.digest == self.digest, self.how) {
            (true, How::Fails) => ready(Err(self.refused())).boxed(),
            _ => self.store.stat(descriptor),
        }
    }

    fn blob<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, SourceError>> {
        match (descriptor.digest == self.digest, self.how) {
            (true, How::Other) => ready(Ok(Box::new(&b"{}"[..]) as BlobReader)).boxed(),
            (true, How::Fails) => ready(Err(self.refused())).boxed(),
            _ => self.store.blob(descriptor),
        }
    }
}

async fn audit_odd(specimen: &Specimen, pick: impl Fn(&serde_json::Value) -> String, how: How) -> ImageReport {
    let built = specimen.build().await;
    let manifest: serde_json::Value = serde_json::from_slice(built.parts[0].bytes()).unwrap();
    let digest = match pick(&manifest).as_str() {
        "" => built.parts[0].digest().clone(),
        digest => digest.parse().unwrap(),
    };
    let odd = Odd { store: StoreSource(built.store.clone()), digest, how };
    audit_source(Arc::new(odd), &built, Expectations::default(), BLOBS).await
}

#[tokio::test]
async fn other_bytes_than_the_digest_says_are_told() {
    let specimen = Specimen::healthy(&BOTH);
    let report = audit_odd(&specimen, |_| String::new(), How::Other).await;
    assert_eq!(brief(&report.findings), [("digest-mismatch", "error", "linux/amd64")]);
    let config = |manifest: &serde_json::Value| manifest["config"]["digest"].as_str().unwrap().to_owned();
    let report = audit_odd(&specimen, config, How::Other).await;
    assert_eq!(brief(&report.findings), [("digest-mismatch", "error", "linux/amd64")]);
    assert_eq!((report.findings[0].key.as_str(), report.unchecked), ("config", vec![]));
}

#[tokio::test]
async fn a_blob_that_could_not_be_asked_for_is_not_missing() {
    let layer = |manifest: &serde_json::Value| manifest["layers"][1]["digest"].as_str().unwrap().to_owned();
    let report = audit_odd(&Specimen::healthy(&BOTH), layer, How::Fails).await;
    assert_eq!(report.findings, []);
    let unchecked: Vec<_> = report.unchecked.iter().map(|one| (one.what.as_str(), one.reason.as_str())).collect();
    assert!(
        matches!(unchecked[..], [("blob", reason)] if reason.ends_with("503 Service Unavailable")),
        "{unchecked:?}"
    );
}
