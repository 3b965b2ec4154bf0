//! Manifests, blobs and error bodies.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use polyarch_registry::client::{ClientError, Config, ErrorKind, Fault, Limits, Registry, RetryPolicy};
use polyarch_registry::oci::{Descriptor, Digest, RawManifest, Reference, media_type};
use polyarch_registry::store::{BlobStore as _, MemoryStore};
use polyarch_registry::transfer::{
    Depth, MountSources, PARALLEL, Publication, Publisher, PullError, Puller, RegistrySource,
};
use polyarch_registry::verify::{self, FindingKind, VerifyOptions, verify};
use polyarch_testkit::hostile::{manifest, registry, with_manifest};
use polyarch_testkit::script::{Reply, Server, client, quick};
use polyarch_testkit::{Image, Index, TestRegistry};
use serde_json::json;

use super::{serve, start};

async fn get(server: &Server) -> Result<RawManifest, ClientError> {
    client().get_manifest(&server.reference("x:1")).await
}

#[tokio::test]
async fn manifests_are_bounded_and_of_one_kind() {
    for (profile, kind) in [
        ("manifest-without-end", ErrorKind::TooLarge),
        ("digest-header-that-lies", ErrorKind::Mismatch),
        ("index-that-is-an-image", ErrorKind::Mismatch),
        ("index-and-image-in-one", ErrorKind::Mismatch),
        ("captive-portal", ErrorKind::NotARegistry),
        ("encoded-bodies", ErrorKind::Protocol),
    ] {
        let server = start(profile).await;
        let error = get(&server).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{profile}: {error:?}");
        assert_eq!(server.lines().len(), 1, "{profile}: not tried again");
        assert!(!error.fault().to_string().contains("WiFi"), "{profile}: the page is not shown");
    }
}

#[tokio::test]
async fn a_manifest_by_digest_is_its_digest() {
    let server = start("manifest-of-other-bytes").await;
    let at = server.reference("x").with_digest(manifest("x").digest().clone());
    let error = client().get_manifest(&at).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::Digest { .. }), "{error:?}");
}

/// "tag-that-moves" between HEAD and GET: one more try, then an error; what is returned is what was hashed.
#[tokio::test]
async fn a_tag_that_moves_is_noticed() {
    let server = start("tag-that-moves").await;
    let at = server.reference("x:1");
    let client = client();
    let head = client.head_manifest(&at).await.unwrap().unwrap();
    let error = client.get_unmoved_manifest(&at, &head).await.unwrap_err();
    assert!(matches!(error.fault(), Fault::TagMoved { .. }), "{error:?}");
    assert_eq!(server.lines().len(), 4, "{:?}", server.lines());
    let got = client.get_manifest(&at).await.unwrap();
    assert_eq!(got.digest(), &Digest::sha256(got.bytes()));

    let still = serve(registry(|_| with_manifest(&manifest("x")))).await;
    let at = still.reference("x:1");
    let head = client.head_manifest(&at).await.unwrap().unwrap();
    assert_eq!(client.get_unmoved_manifest(&at, &head).await.unwrap(), manifest("x"));
}

fn puller() -> (Puller, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    (Puller { registry: client(), store: store.clone(), events: Arc::new(|_| {}), parallel: PARALLEL }, store)
}

async fn pull(at: &Reference) -> Result<(), PullError> {
    puller().0.pull(at, Depth::Everything).await.map(drop)
}

fn index_of(children: &[Descriptor]) -> RawManifest {
    let body = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children });
    RawManifest::new(media_type::OCI_INDEX, body.to_string())
}

/// "indexes-in-indexes": a thousand deep, and a diamond whose paths are more than anyone could count.
#[tokio::test]
async fn a_graph_has_a_depth_and_a_number() {
    let mut chain = vec![manifest("leaf")];
    for _ in 0..50 {
        chain.push(index_of(&[chain.last().unwrap().descriptor()]));
    }
    let mut diamond = vec![manifest("leaf")];
    for level in 0..7 {
        let mut entry = diamond.last().unwrap().descriptor();
        entry.annotations.insert("level".into(), level.to_string());
        diamond.push(index_of(&vec![entry; 20]));
    }
    for (manifests, good) in [(chain, false), (diamond, true)] {
        let root = manifests.last().unwrap().digest().clone();
        let server = serve(registry(move |seen| {
            match manifests.iter().find(|one| seen.path.ends_with(one.digest().encoded())) {
                Some(one) => with_manifest(one),
                None => Reply::Answer(200, vec![], Bytes::from_static(b"{}")),
            }
        }))
        .await;
        let done = pull(&server.reference("x").with_digest(root)).await;
        assert_eq!(done.is_ok(), good, "{done:?}");
        assert!(server.lines().len() < 60, "{}", server.lines().len());
    }
}

/// "digests-that-are-none": an error, and never a path.
#[tokio::test]
async fn digests_are_digests() {
    let hex = "0".repeat(63);
    for bad in ["sha256:../../etc/passwd", &format!("sha256:{hex}A"), &format!("sha256:{hex}"), "sha256:", "", "x"] {
        let body = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "layers": [],
            "config": { "mediaType": media_type::OCI_CONFIG, "digest": bad, "size": 2 },
        });
        let server = serve(registry(move |_| Reply::body(200, media_type::OCI_MANIFEST, body.to_string()))).await;
        assert_eq!(get(&server).await.unwrap_err().kind(), ErrorKind::Mismatch, "{bad}");
        assert_eq!(server.lines().len(), 1);
    }
    let unknown = "blake3:00ff";
    let server = serve(registry(|_| Reply::Answer(200, vec![], Bytes::from_static(b"x")))).await;
    let descriptor = Descriptor::new("x", unknown.parse().unwrap(), 1);
    let error = client().get_blob(&server.reference("x"), &descriptor).await.err().unwrap();
    assert!(error.fault().to_string().contains("cannot be computed"), "unverifiable: {error:?}");
}

/// "embedded-data-that-lies": not used; the bytes come from the blob.
#[tokio::test]
async fn embedded_data_is_not_used() {
    let mut config = Descriptor::new(media_type::OCI_EMPTY, Digest::sha256("{}"), 2);
    config.data = Some("WyJsaWUiXQ==".to_owned());
    let body = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [],
    });
    let root = RawManifest::new(media_type::OCI_MANIFEST, body.to_string());
    let served = root.clone();
    let server = serve(registry(move |seen| match seen.path.contains("/manifests/") {
        true => with_manifest(&served),
        false => Reply::Answer(200, vec![], Bytes::from_static(b"{}")),
    }))
    .await;
    let (puller, store) = puller();
    puller.pull(&server.reference("x:1"), Depth::Everything).await.unwrap();
    assert_eq!(store.stat(&Digest::sha256("{}")).await.unwrap(), Some(2));
    assert!(server.lines().iter().any(|line| line.contains("/blobs/")));
}

/// "layer-elsewhere": its `urls` are not fetched.
#[tokio::test]
async fn a_layer_elsewhere_is_not_fetched() {
    let elsewhere = Server::start(|_| Reply::status(200)).await;
    let mut layer =
        Descriptor::new("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Digest::sha256("foreign"), 7);
    layer.urls = vec![format!("http://{}/layer", elsewhere.host()), "http://169.254.169.254/".to_owned()];
    let config = Descriptor::new(media_type::OCI_EMPTY, Digest::sha256("{}"), 2);
    let body = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [layer],
    });
    let server = serve(registry(move |seen| match seen.path.contains("/manifests/") {
        true => Reply::body(200, media_type::OCI_MANIFEST, body.to_string()),
        false => Reply::Answer(200, vec![], Bytes::from_static(b"{}")),
    }))
    .await;
    pull(&server.reference("x:1")).await.unwrap();
    assert!(elsewhere.seen().is_empty());
}

/// "retry-after-of-every-form": a cap, and an end.
#[tokio::test]
async fn retry_after_is_capped() {
    for (after, requests) in [
        ("99999999", 1),
        ("18446744073709551616", 1),
        ("-1", 3),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 3),
        ("soon\u{7f}", 3),
        ("0", 3),
    ] {
        let server =
            serve(registry(move |_| Reply::status(429).with("retry-after", after.replace('\u{7f}', "")))).await;
        let error = get(&server).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{after}");
        assert_eq!(server.lines().len(), requests, "{after}");
    }
}

#[tokio::test]
async fn a_byte_now_and_then_is_silence() {
    let server = start("byte-by-byte").await;
    let limits = Limits { idle_timeout: Duration::from_millis(40), idle_bytes: 1024, ..Limits::default() };
    let impatient = Registry::new(Config { limits, ..quick() });
    let descriptor = Descriptor::new("x", Digest::sha256([b'x'; 100]), 100);
    let mut download = impatient.get_blob(&server.reference("x"), &descriptor).await.unwrap();
    let error = loop {
        match download.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it cannot have ended"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
    assert_eq!(server.lines().len(), 3, "as often as the policy says");
}

#[tokio::test]
async fn error_texts_are_cut_and_cannot_command() {
    let server = start("errors-with-control-characters").await;
    let error = get(&server).await.unwrap_err();
    let text = format!("{error} {} {error:?}", error.fault());
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(text.len() < 20_000, "{}", text.len());
    assert!(!text.contains(['\n', '\r', '\u{1b}', '\u{7}']), "{text}");
}

/// "config-of-two-gibibytes": read up to its budget and no further.
#[tokio::test]
async fn a_config_has_a_budget() {
    let config = Descriptor::new(media_type::OCI_CONFIG, Digest::sha256("big"), 2 << 30);
    let body = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [],
    });
    let root = RawManifest::new(media_type::OCI_MANIFEST, body.to_string());
    let server = start("config-of-two-gibibytes").await;
    let source = RegistrySource { registry: client(), repository: server.reference("x") };
    let report = verify(&source, &root, &VerifyOptions::new(verify::Depth::Shallow)).await;
    let too_large = |kind: &FindingKind| kind.to_string().contains("larger than 8388608 bytes");
    assert!(report.all_findings().any(|finding| too_large(&finding.kind)), "{report:?}");
    assert_eq!(server.lines().len(), 1);
}

/// "layer-bomb" and "gzip-with-a-tail": findings of the deep verification, within its limits.
#[tokio::test]
async fn layers_that_are_more_than_they_seem() {
    let registry = TestRegistry::start();
    let zeros = gzip(&vec![0_u8; 8 << 20]);
    let mut tail = gzip(b"");
    tail.extend_from_slice(b"hidden");
    for (bytes, is_bomb) in [(zeros, true), (tail, false)] {
        let (layer, config) = (
            Bytes::from(bytes),
            json!({
                "os": "linux", "architecture": "amd64",
                "rootfs": { "type": "layers", "diff_ids": [Digest::sha256("x")] },
            }),
        );
        let config = Bytes::from(config.to_string());
        for blob in [&layer, &config] {
            registry.http().push_blob("x", blob.clone()).await;
        }
        let describe = |kind: &str, bytes: &Bytes| Descriptor::new(kind, Digest::sha256(bytes), bytes.len() as u64);
        let body = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": describe(media_type::OCI_CONFIG, &config),
            "layers": [describe(media_type::OCI_LAYER_GZIP, &layer)],
        });
        let root = RawManifest::new(media_type::OCI_MANIFEST, body.to_string());
        let source = RegistrySource { registry: client(), repository: registry.reference("x").parse().unwrap() };
        let mut options = VerifyOptions::new(verify::Depth::Deep);
        options.unpacked_limit = 1 << 20;
        let report = verify(&source, &root, &options).await;
        let kinds: Vec<_> = report.all_findings().map(|finding| &finding.kind).collect();
        let found = |kind: &FindingKind| match kind {
            FindingKind::Bomb { .. } => is_bomb,
            FindingKind::Compression { .. } => !is_bomb,
            _ => false,
        };
        assert!(kinds.into_iter().any(found), "{report:?}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// "manifest-rewritten" and "children-dropped": what was taken is read back, and no tag is written.
#[tokio::test]
async fn what_a_registry_stored_is_read_back() {
    for drops in [false, true] {
        let registry = Arc::new(TestRegistry::start());
        let (index, images) = Index::new().image(Image::small("linux/amd64")).build();
        let store = Arc::new(MemoryStore::new());
        for image in &images {
            for bytes in image.blobs.iter().chain([image.manifest.bytes(), index.bytes()]) {
                let mut writer = store.writer(Default::default()).await.unwrap();
                writer.write(bytes.clone()).await.unwrap();
                writer.commit().await.unwrap();
            }
        }
        let child = images[0].manifest.clone();
        let proxy = polyarch_testkit::Proxy::start(registry.addr(), move |seen| {
            use polyarch_testkit::proxy::Act;
            let reads_child = seen.method == "GET" && seen.path.ends_with(child.digest().encoded());
            match (reads_child, drops) {
                (true, true) => Act::Answer(404, &[]),
                (true, false) => Act::Answer(200, &["content-type: application/vnd.oci.image.manifest.v1+json"]),
                (false, _) => Act::Pass,
            }
        });
        let config = Config { retry: RetryPolicy { attempts: 2, ..quick().retry }, ..quick() };
        let publisher =
            Publisher { registry: Registry::new(config), store, events: Arc::new(|_| {}), parallel: PARALLEL };
        let at: Reference = proxy.reference("app:1").parse().unwrap();
        let publication = Publication { root: index, destinations: vec![at], mounts: MountSources::new() };
        let outcome = publisher.publish(&publication).await;
        assert!(outcome[0].result.is_err(), "drops: {drops}");
        assert_eq!(registry.http().head("/v2/app/manifests/1").await.status(), 404, "no tag");
    }
}
