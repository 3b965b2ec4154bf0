//! Every exporter of real daemons.

#![allow(clippy::unwrap_used)]

mod bed;

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bed::{Build, amd64, base, connect, json, unique};
use futures::future::BoxFuture;
use indexmap::IndexMap;
use polyarch_builder::buildkit::export::ImageOptions;
use polyarch_builder::buildkit::session::{ContentStores, ExportStream, FileSend, Sink, SinkFactory};
use polyarch_builder::buildkit::{Export, Session};
use polyarch_builder::request::{AttestationKind, CacheSpec, Compression, CompressionKind, Format};
use polyarch_registry::oci::Digest;
use polyarch_registry::store::{BlobStore, MemoryStore};
use tokio::io::AsyncWrite;

/// Keeps every stream in memory.
#[derive(Default)]
struct Streams(Mutex<Vec<(ExportStream, Buffer)>>);

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<(Vec<u8>, bool)>>);

impl AsyncWrite for Buffer {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap().0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().unwrap().1 = true;
        Poll::Ready(Ok(()))
    }
}

impl SinkFactory for Streams {
    fn open<'a>(&'a self, stream: &'a ExportStream) -> BoxFuture<'a, io::Result<Sink>> {
        let buffer = Buffer::default();
        self.0.lock().unwrap().push((stream.clone(), buffer.clone()));
        Box::pin(async { Ok(Box::new(buffer) as Sink) })
    }
}

/// Builds with one exporter and returns its only stream as tar entries by name, with what was told about it.
async fn tar_of(daemon: &str, export: Export) -> Option<(ExportStream, BTreeMap<String, Vec<u8>>)> {
    let (worker, base) = (connect(daemon).await?, base()?);
    let build = Build::new(worker, &format!("FROM {base}\nCOPY input /marker\n")).file("input", unique());
    let streams = Arc::new(Streams::default());
    let mut services = build.services();
    services.files = FileSend::Bytes(streams.clone());
    let session = Session::open(&build.worker, services, "e2e").await.unwrap();
    build.solve(&session, &amd64(), export).await.unwrap();
    session.close().await;
    let mut streams = std::mem::take(&mut *streams.0.lock().unwrap());
    assert_eq!(streams.len(), 1);
    let (stream, buffer) = streams.remove(0);
    let (bytes, shut) = std::mem::take(&mut *buffer.0.lock().unwrap());
    assert!(shut, "the sink was shut down at the end");
    let mut entries = BTreeMap::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        io::Read::read_to_end(&mut entry, &mut content).unwrap();
        entries.insert(entry.path().unwrap().display().to_string(), content);
    }
    Some((stream, entries))
}

#[tokio::test]
async fn an_oci_tar_carries_its_digest_beside_it() {
    let Some((stream, entries)) = tar_of("BED_DOCKER28", Export::OciTar(ImageOptions::default())).await else { return };
    let digest = &stream.metadata["containerimage.digest"];
    assert!(entries.contains_key(&format!("blobs/{}", digest.replace(':', "/"))), "{:?}", entries.keys());
    assert!(entries.contains_key("index.json") && entries.contains_key("oci-layout"));
}

#[tokio::test]
async fn a_docker_tar_has_docker_s_manifest() {
    let options = ImageOptions { format: Format::Docker, ..ImageOptions::default() };
    let Some((_, entries)) = tar_of("BED_DOCKER28", Export::DockerTar(options)).await else { return };
    assert!(entries.contains_key("manifest.json"), "{:?}", entries.keys());
}

#[tokio::test]
async fn a_root_file_system_as_tar_from_every_daemon() {
    for daemon in ["BED_DOCKER28", "BED_DOCKER28_CLASSIC", "BED_DOCKER20", "BED_BUILDKIT"] {
        let Some((_, entries)) = tar_of(daemon, Export::Tar).await else { continue };
        assert!(entries.contains_key("marker"), "{daemon}: {:?}", entries.keys());
    }
}

#[tokio::test]
async fn a_root_file_system_as_files() {
    for daemon in ["BED_DOCKER28", "BED_BUILDKIT"] {
        let Some(worker) = connect(daemon).await else { continue };
        let input = unique();
        let build = Build::new(worker, "FROM scratch\nCOPY input /a/b/marker\n").file("input", &input);
        let dest = tempfile::tempdir().unwrap();
        let mut services = build.services();
        services.files = FileSend::Directory(dest.path().join("out"));
        let session = Session::open(&build.worker, services, "e2e").await.unwrap();
        build.solve(&session, &amd64(), Export::LocalDir).await.unwrap();
        assert_eq!(std::fs::read_to_string(dest.path().join("out/a/b/marker")).unwrap(), input, "{daemon}");
    }
}

#[tokio::test]
async fn the_moby_exporter_tells_the_config() {
    for daemon in ["BED_DOCKER28_CLASSIC", "BED_DOCKER20"] {
        let (Some(worker), Some(base)) = (connect(daemon).await, base()) else { continue };
        let build = Build::new(worker, &format!("FROM {base}\nCOPY input /\n")).file("input", unique());
        let session = build.session().await;
        let tag = format!("polyarch-e2e:{}", unique());
        let outcome = build.solve(&session, &amd64(), Export::Moby { tag: tag.clone() }).await.unwrap();
        assert!(outcome.digest.is_some(), "{daemon}: {outcome:?}");
        let address = bed::var(daemon).unwrap();
        let removed = std::process::Command::new("docker").args(["-H", &address, "rmi", &tag]).output().unwrap();
        assert!(removed.status.success(), "{daemon}: {removed:?}");
    }
}

#[tokio::test]
async fn a_push_by_digest_leaves_no_image_in_the_daemon() {
    for daemon in ["BED_DOCKER28", "BED_BUILDKIT"] {
        let (Some(worker), Some(base), Some(registry)) = (connect(daemon).await, base(), bed::var("BED_REGISTRY"))
        else {
            continue;
        };
        let build = Build::new(worker, &format!("FROM {base}\nCOPY input /\n")).file("input", unique());
        let session = build.session().await;
        let repository = format!("{registry}/e2e/{}", unique());
        let export = Export::ImagePush {
            repositories: vec![repository.clone()],
            options: ImageOptions::default(),
            insecure: true,
        };
        let outcome = build.solve(&session, &amd64(), export).await.unwrap();
        let digest = outcome.digest.unwrap();
        let name = repository.strip_prefix(&format!("{registry}/")).unwrap();
        let url = format!("http://{registry}/v2/{name}/manifests/{digest}");
        let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
        let got = std::process::Command::new("curl").args(["-sSf", "-H", accept, &url]).output().unwrap();
        assert_eq!(Digest::sha256(&got.stdout), digest, "{daemon}: {got:?}");
        if let Some(address) = bed::var(daemon).filter(|address| address.starts_with("unix:")) {
            let list = ["-H", &address, "images", "-a", "--digests", "--format", "{{.Repository}}"];
            let images = std::process::Command::new("docker").args(list).output().unwrap();
            assert!(!String::from_utf8_lossy(&images.stdout).contains(name), "{images:?}");
        }
    }
}

#[tokio::test]
async fn compression_format_and_annotations_reach_the_manifest() {
    let (Some(worker), Some(base)) = (connect("BED_BUILDKIT").await, base()) else { return };
    let build = Build::new(worker, &format!("FROM {base}\nCOPY input /\n")).file("input", unique());
    let session = build.session().await;
    let compression = Compression { kind: Some(CompressionKind::Zstd), level: Some(3), force: true };
    let annotations = [("org.example.key".to_owned(), "value".to_owned())].into();
    let options = ImageOptions { format: Format::Oci, compression, annotations };
    let outcome = build.solve(&session, &amd64(), Export::OciDirectory(options)).await.unwrap();
    let manifest = json(&build.store, &outcome.digest.unwrap()).await;
    assert_eq!(manifest["annotations"]["org.example.key"], "value");
    for layer in manifest["layers"].as_array().unwrap() {
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
    }
    let options = ImageOptions { format: Format::Docker, ..ImageOptions::default() };
    let outcome = build.solve(&session, &amd64(), Export::OciDirectory(options)).await.unwrap();
    let root = outcome.root.unwrap();
    assert_eq!(root.media_type, "application/vnd.docker.distribution.manifest.v2+json");
}

#[tokio::test]
async fn attestations_make_an_index() {
    for daemon in ["BED_DOCKER28", "BED_BUILDKIT"] {
        let (Some(worker), Some(base)) = (connect(daemon).await, base()) else { continue };
        let mut build = Build::new(worker, &format!("FROM {base}\nCOPY input /\n")).file("input", unique());
        build.request.attestations = IndexMap::from([(AttestationKind::Provenance, "mode=max".to_owned())]);
        let session = build.session().await;
        let export = Export::OciDirectory(ImageOptions::default());
        let outcome = build.solve(&session, &amd64(), export).await.unwrap();
        let root = outcome.root.unwrap();
        assert_eq!(root.media_type, "application/vnd.oci.image.index.v1+json");
        let index = json(&build.store, &root.digest).await;
        let children = index["manifests"].as_array().unwrap();
        assert_eq!(children.len(), 2, "{daemon}: {index:#}");
        assert_eq!(children[1]["annotations"]["vnd.docker.reference.digest"], children[0]["digest"]);
        for child in children {
            let digest: Digest = child["digest"].as_str().unwrap().parse().unwrap();
            assert!(build.store.stat(&digest).await.unwrap().is_some());
        }
    }
}

#[tokio::test]
async fn a_local_cache_goes_from_one_daemon_to_another() {
    let (Some(first), Some(second), Some(base)) =
        (connect("BED_BUILDKIT").await, connect("BED_DOCKER28").await, base())
    else {
        return;
    };
    let cache = Arc::new(MemoryStore::new());
    let dockerfile = format!("FROM {base}\nRUN echo {} > /file\n", unique());
    let session = async |build: &Build| {
        let mut services = build.services();
        services.content = ContentStores::default().export(build.store.clone()).local_cache("/cache", cache.clone());
        Session::open(&build.worker, services, "e2e").await.unwrap()
    };
    let mut build = Build::new(first, &dockerfile);
    let attrs = bed::map(&[("dest", "/cache"), ("mode", "max")]);
    build.request.cache_to = vec![CacheSpec { kind: "local".into(), attrs }];
    let opened = session(&build).await;
    let outcome = build.solve(&opened, &amd64(), Export::CacheOnly).await.unwrap();
    assert_eq!(outcome.steps.executed(), 1);
    let manifest: serde_json::Value = serde_json::from_str(&outcome.exporter_response["cache.manifest"]).unwrap();
    let digest: Digest = manifest["digest"].as_str().unwrap().parse().unwrap();

    let mut build = Build::new(second, &dockerfile);
    let attrs = bed::map(&[("src", "/cache")]);
    build.request.cache_from = vec![CacheSpec { kind: "local".into(), attrs }];
    build.names.local_caches.insert("/cache".into(), digest);
    let opened = session(&build).await;
    let export = Export::OciDirectory(ImageOptions::default());
    let outcome = build.solve(&opened, &amd64(), export).await.unwrap();
    assert_eq!((outcome.steps.cached(), outcome.steps.executed()), (1, 0), "{:#?}", outcome.steps);
}
