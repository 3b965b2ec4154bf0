use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Mutex;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use tokio::io::{AsyncReadExt, ReadBuf};

use super::*;
use crate::oci::media_type::{self, LayerCompression};
use crate::oci::{Descriptor, Digest, Format, ImageBuilder, IndexBuilder, Mismatch};
use crate::store::{BlobReader, BlobStore, BlobStoreExt, LayoutStore};

/// A source that holds whatever bytes it is told under whatever digest, and counts what is read.
#[derive(Default)]
struct Shelf {
    blobs: BTreeMap<Digest, Bytes>,
    breaks: BTreeSet<Digest>,
    opened: Mutex<Vec<Digest>>,
}

impl Shelf {
    fn put(&mut self, media_type: &str, bytes: impl Into<Bytes>) -> Descriptor {
        let bytes = bytes.into();
        let descriptor = Descriptor::new(media_type, Digest::sha256(&bytes), bytes.len() as u64);
        self.blobs.insert(descriptor.digest.clone(), bytes);
        descriptor
    }

    fn get(&self, descriptor: &Descriptor) -> Result<Bytes, SourceError> {
        self.opened.lock().unwrap().push(descriptor.digest.clone());
        self.blobs.get(&descriptor.digest).cloned().ok_or_else(|| SourceError::Missing(descriptor.digest.clone()))
    }

    fn times_opened(&self, digest: &Digest) -> usize {
        self.opened.lock().unwrap().iter().filter(|opened| *opened == digest).count()
    }
}

impl ContentSource for Shelf {
    fn manifest<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<RawManifest, SourceError>> {
        async move { Ok(RawManifest::new(descriptor.media_type.clone(), self.get(descriptor)?)) }.boxed()
    }

    fn stat<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<Option<u64>, SourceError>> {
        async move { Ok(self.blobs.get(&descriptor.digest).map(|bytes| bytes.len() as u64)) }.boxed()
    }

    fn blob<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, SourceError>> {
        async move {
            let reader = std::io::Cursor::new(self.get(descriptor)?);
            match self.breaks.contains(&descriptor.digest) {
                true => Ok(Box::new(reader.take(3).chain(Broken)) as BlobReader),
                false => Ok(Box::new(reader) as BlobReader),
            }
        }
        .boxed()
    }
}

struct Broken;

impl tokio::io::AsyncRead for Broken {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Err(std::io::Error::other("connection lost")))
    }
}

fn tar(text: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    builder.append_data(&mut header, "file", text.as_bytes()).unwrap();
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn compress(bytes: &[u8], compression: LayerCompression) -> Vec<u8> {
    match compression {
        LayerCompression::None => bytes.to_vec(),
        LayerCompression::Gzip => gzip(bytes),
        LayerCompression::Zstd => zstd::encode_all(bytes, 3).unwrap(),
    }
}

/// A layer: what is stored and the diff_id that the configuration claims.
struct Layer {
    descriptor: Descriptor,
    diff_id: Digest,
}

impl Shelf {
    fn layer(&mut self, text: &str, compression: LayerCompression) -> Layer {
        let plain = tar(text);
        let stored = compress(&plain, compression);
        self.odd_layer(compression, stored, Digest::sha256(plain))
    }

    fn odd_layer(&mut self, compression: LayerCompression, stored: Vec<u8>, diff_id: Digest) -> Layer {
        Layer { descriptor: self.put(Format::Oci.layer(compression), stored), diff_id }
    }

    fn image(&mut self, platform: &str, layers: &[&Layer]) -> Descriptor {
        let platform: Platform = platform.parse().unwrap();
        let diff_ids: Vec<_> = layers.iter().map(|layer| &layer.diff_id).collect();
        let config = json!({"os": platform.os, "architecture": platform.architecture, "variant": platform.variant,
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = self.put(media_type::OCI_CONFIG, config.to_string());
        let builder = ImageBuilder::new(Format::Oci, config.digest, config.size);
        let add = |builder: ImageBuilder, layer: &&Layer| builder.layer(layer.descriptor.clone());
        let raw = layers.iter().fold(builder, add).build().unwrap();
        self.put(raw.media_type(), raw.bytes().clone())
    }

    fn attestation(&mut self, text: &str) -> (Descriptor, Descriptor) {
        let statement = self.put(media_type::IN_TOTO, text.to_owned());
        let config = self.put(media_type::OCI_CONFIG, "{}");
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [statement]}).to_string();
        (self.put(media_type::OCI_MANIFEST, manifest), statement)
    }
}

fn platform(text: &str) -> Platform {
    text.parse().unwrap()
}

fn index(images: &[(&str, &Descriptor)]) -> RawManifest {
    let add =
        |builder: IndexBuilder, (name, image): &(&str, &Descriptor)| builder.image((*image).clone(), platform(name));
    images.iter().fold(IndexBuilder::new(Format::Oci), add).build().unwrap()
}

async fn deep(shelf: &Shelf, root: &RawManifest) -> Report {
    verify(shelf, root, &VerifyOptions::new(Depth::Deep)).await
}

fn kinds(report: &Report) -> Vec<(Option<String>, Digest, FindingKind)> {
    let text = |finding: &Finding| finding.platform.as_ref().map(ToString::to_string);
    report.all_findings().map(|finding| (text(finding), finding.blob.clone(), finding.kind.clone())).collect()
}

#[tokio::test]
async fn a_good_index_has_no_findings_and_shared_blobs_are_read_once() {
    let mut shelf = Shelf::default();
    let layers: Vec<_> = [LayerCompression::None, LayerCompression::Gzip, LayerCompression::Zstd]
        .map(|compression| shelf.layer(&"text ".repeat(100_000), compression))
        .into();
    let all: Vec<_> = layers.iter().collect();
    let (amd64, arm) = (shelf.image("linux/amd64", &all), shelf.image("linux/arm/v7", &all[1..]));
    let (attestation, statement) = shelf.attestation("{}");
    let root = IndexBuilder::new(Format::Oci)
        .image(amd64.clone(), platform("linux/amd64"))
        .image(arm.clone(), platform("linux/arm/v7"))
        .attestation(attestation, &amd64.digest)
        .build()
        .unwrap();
    let report = deep(&shelf, &root).await;
    assert_eq!(kinds(&report), []);
    assert!(report.is_good() && !report.is_inconclusive());
    assert_eq!((report.index.digest.clone(), report.attestations), (root.digest().clone(), 1));
    let rows: Vec<_> = report.platforms.iter().map(|row| (row.platform.to_string(), &row.digest, row.layers)).collect();
    assert_eq!(rows, [("linux/amd64".into(), &amd64.digest, 3), ("linux/arm/v7".into(), &arm.digest, 2)]);
    for layer in &layers {
        assert_eq!(shelf.times_opened(&layer.descriptor.digest), 1);
    }
    assert_eq!(shelf.times_opened(&statement.digest), 1);

    let shallow = verify(&shelf, &root, &VerifyOptions::new(Depth::Shallow)).await;
    assert!(shallow.is_good());
    assert_eq!(shelf.times_opened(&layers[0].descriptor.digest), 1, "shallow reads no layer");
}

#[tokio::test]
async fn a_single_image_is_verified_by_its_own_platform() {
    let mut shelf = Shelf::default();
    let layer = shelf.layer("x", LayerCompression::Gzip);
    let image = shelf.image("linux/riscv64", &[&layer]);
    let root = RawManifest::new(media_type::OCI_MANIFEST, shelf.blobs[&image.digest].clone());
    let report = deep(&shelf, &root).await;
    assert_eq!(kinds(&report), []);
    assert_eq!(report.platforms[0].platform, platform("linux/riscv64"));
}

#[tokio::test]
async fn everything_wrong_is_found_at_once() {
    let mut shelf = Shelf::default();
    let good = shelf.layer("good", LayerCompression::Gzip);
    let gone = shelf.layer("gone", LayerCompression::Gzip);
    let flipped = shelf.layer("flipped", LayerCompression::None);
    let wrong_id = shelf.odd_layer(LayerCompression::Gzip, gzip(&tar("real")), Digest::sha256("claimed"));
    let amd64 = shelf.image("linux/amd64", &[&good, &gone, &flipped]);
    let arm64 = shelf.image("linux/arm64", &[&wrong_id, &good]);
    let root = index(&[("linux/amd64", &amd64), ("linux/s390x", &arm64)]);
    shelf.blobs.remove(&gone.descriptor.digest);
    let mut bytes = tar("flipped");
    bytes[600] ^= 1;
    let got = Digest::sha256(&bytes);
    shelf.blobs.insert(flipped.descriptor.digest.clone(), bytes.into());

    let options = VerifyOptions { platforms: vec![platform("linux/386")], ..VerifyOptions::new(Depth::Deep) };
    let report = verify(&shelf, &root, &options).await;
    let mut found = kinds(&report);
    let config = Digest::sha256(
        &shelf.blobs.values().find(|bytes| bytes.starts_with(b"{\"os\":\"linux\",\"architecture\":\"arm64\"")).unwrap()
            [..],
    );
    let (amd, s390) = (Some("linux/amd64".to_owned()), Some("linux/s390x".to_owned()));
    let architecture = Mismatch::Platform { field: "architecture", want: "s390x".into(), got: "arm64".into() };
    let flipped_id = flipped.diff_id.clone();
    let mut want = vec![
        (Some("linux/386".to_owned()), root.digest().clone(), FindingKind::PlatformAbsent),
        (amd.clone(), gone.descriptor.digest, FindingKind::Missing),
        (amd.clone(), flipped.descriptor.digest.clone(), FindingKind::Digest { got: got.clone() }),
        (amd, flipped.descriptor.digest, FindingKind::DiffId { index: 2, want: flipped_id, got }),
        (s390.clone(), config, FindingKind::Image(architecture)),
        (
            s390,
            wrong_id.descriptor.digest,
            FindingKind::DiffId { index: 0, want: Digest::sha256("claimed"), got: Digest::sha256(tar("real")) },
        ),
    ];
    let key = |(platform, blob, kind): &(Option<String>, Digest, FindingKind)| format!("{platform:?}{blob}{kind:?}");
    found.sort_by_key(key);
    want.sort_by_key(key);
    assert_eq!(found, want);
    assert!(!report.is_good() && !report.is_inconclusive());
}

#[tokio::test]
async fn sizes_are_compared_by_looking_and_by_reading() {
    let mut shelf = Shelf::default();
    let mut layer = shelf.layer("x", LayerCompression::Gzip);
    let got = layer.descriptor.size;
    layer.descriptor.size += 5;
    let image = shelf.image("linux/amd64", &[&layer]);
    let root = index(&[("linux/amd64", &Descriptor { size: image.size + 1, ..image.clone() })]);
    for depth in [Depth::Shallow, Depth::Deep] {
        let report = verify(&shelf, &root, &VerifyOptions::new(depth)).await;
        let mut sizes: Vec<_> = kinds(&report).into_iter().map(|(_, _, kind)| kind).collect();
        sizes.sort_by_key(|kind| format!("{kind:?}"));
        let mut want =
            vec![FindingKind::Size { want: got + 5, got }, FindingKind::Size { want: image.size + 1, got: image.size }];
        want.sort_by_key(|kind| format!("{kind:?}"));
        assert_eq!(sizes, want, "{depth:?}");
    }
}

#[tokio::test]
async fn forms_of_gzip_and_zstd() {
    let plain = tar("hello");
    let (head, tail) = plain.split_at(700);
    let trailing = [gzip(&plain), b"garbage".to_vec()].concat();
    let frames = [zstd::encode_all(head, 3).unwrap(), zstd::encode_all(tail, 3).unwrap()].concat();
    let short = gzip(&plain)[..40].to_vec();
    for (name, compression, stored, want) in [
        ("multi-member gzip", LayerCompression::Gzip, [gzip(head), gzip(tail)].concat(), None),
        ("several zstd frames", LayerCompression::Zstd, frames, None),
        ("garbage after gzip", LayerCompression::Gzip, trailing, Some("decompressed")),
        ("truncated gzip", LayerCompression::Gzip, short, Some("decompressed")),
        ("plain under a gzip type", LayerCompression::Gzip, plain.clone(), Some("decompressed")),
        ("gzip under a zstd type", LayerCompression::Zstd, gzip(&plain), Some("decompressed")),
        ("empty under a gzip type", LayerCompression::Gzip, Vec::new(), Some("decompressed")),
        ("gzip under a plain type", LayerCompression::None, gzip(&plain), Some("sound tar")),
    ] {
        let mut shelf = Shelf::default();
        let diff_id = if want == Some("sound tar") { Digest::sha256(&stored) } else { Digest::sha256(&plain) };
        let layer = shelf.odd_layer(compression, stored, diff_id);
        let image = shelf.image("linux/amd64", &[&layer]);
        let report = deep(&shelf, &index(&[("linux/amd64", &image)])).await;
        let texts: Vec<_> = report.all_findings().map(ToString::to_string).collect();
        match want {
            None => assert_eq!(texts, Vec::<String>::new(), "{name}"),
            Some(part) => assert!(texts.len() == 1 && texts[0].contains(part), "{name}: {texts:?}"),
        }
    }
}

#[tokio::test]
async fn a_bomb_is_stopped() {
    let mut shelf = Shelf::default();
    let layer = shelf.layer(&"0".repeat(5 << 20), LayerCompression::Gzip);
    let image = shelf.image("linux/amd64", &[&layer]);
    let options = VerifyOptions { unpacked_limit: 1 << 20, ..VerifyOptions::new(Depth::Deep) };
    let report = verify(&shelf, &index(&[("linux/amd64", &image)]), &options).await;
    let found = kinds(&report);
    assert!(matches!(&found[..], [(_, _, FindingKind::Bomb { limit: 1_048_576 })]), "{found:?}");
}

#[tokio::test]
async fn what_cannot_be_read_is_no_verdict() {
    let mut shelf = Shelf::default();
    let layer = shelf.layer("x", LayerCompression::Gzip);
    let image = shelf.image("linux/amd64", &[&layer]);
    shelf.breaks.insert(layer.descriptor.digest.clone());
    let report = deep(&shelf, &index(&[("linux/amd64", &image)])).await;
    let reason = "connection lost".to_owned();
    let want = (Some("linux/amd64".into()), layer.descriptor.digest, FindingKind::Unreadable { reason });
    assert_eq!(kinds(&report), [want]);
    assert!(report.is_inconclusive());
}

#[tokio::test]
async fn the_index_itself_is_checked() {
    let mut shelf = Shelf::default();
    let layer = shelf.layer("x", LayerCompression::Gzip);
    let (a, b) = (shelf.image("linux/arm64", &[&layer]), shelf.image("linux/arm64/v8", &[]));
    let gone = Descriptor::new(media_type::OCI_MANIFEST, Digest::sha256("gone"), 4);
    let (attestation, statement) = shelf.attestation("[]");
    shelf.blobs.remove(&statement.digest);
    let nested = shelf.put(media_type::OCI_INDEX, r#"{"manifests":[]}"#);
    let with = |descriptor: &Descriptor, platform: serde_json::Value, subject: Option<&str>| {
        let mut value = serde_json::to_value(descriptor).unwrap();
        value["platform"] = platform;
        if let Some(subject) = subject {
            value["annotations"] = json!({"vnd.docker.reference.digest": subject});
        }
        value
    };
    let root = json!({"schemaVersion": 2, "manifests": [
        with(&a, json!({"os": "linux", "architecture": "arm64"}), None),
        with(&b, json!({"os": "linux", "architecture": "arm64", "variant": "v8"}), None),
        with(&gone, json!({"os": "linux", "architecture": "amd64"}), None),
        with(&nested, json!({"os": "linux", "architecture": "386"}), None),
        with(&attestation, json!({"os": "unknown", "architecture": "unknown"}), Some("sha256:other")),
    ]});
    let root = RawManifest::new(media_type::OCI_INDEX, root.to_string());
    let report = verify(&shelf, &root, &VerifyOptions::new(Depth::Shallow)).await;
    let want = [
        (None, statement.digest, FindingKind::Missing),
        (None, attestation.digest, FindingKind::OrphanAttestation { subject: "sha256:other".into() }),
        (Some("linux/arm64/v8".into()), b.digest, FindingKind::DuplicatePlatform { first: a.digest }),
        (Some("linux/amd64".into()), gone.digest, FindingKind::Missing),
        (Some("linux/386".into()), nested.digest, FindingKind::Malformed { reason: "an index within an index".into() }),
    ];
    assert_eq!(kinds(&report), want);
}

#[tokio::test]
async fn nonsense_is_a_finding_not_a_failure() {
    let shelf = Shelf::default();
    let many = vec![json!({"mediaType": "a/b", "digest": Digest::sha256("x"), "size": 1}); 1001];
    for (body, part) in
        [("<html>".to_owned(), "not valid JSON"), (json!({"manifests": many}).to_string(), "more than 1000")]
    {
        let report = deep(&shelf, &RawManifest::new(media_type::OCI_INDEX, body)).await;
        let texts: Vec<_> = report.all_findings().map(ToString::to_string).collect();
        assert!(texts.len() == 1 && texts[0].contains(part), "{texts:?}");
    }
}

#[tokio::test]
async fn a_damaged_layout_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore::open(dir.path()).await.unwrap();
    let mut shelf = Shelf::default();
    let layer = shelf.layer(&"data".repeat(1000), LayerCompression::Zstd);
    let image = shelf.image("linux/amd64", &[&layer]);
    let root = index(&[("linux/amd64", &image)]);
    for bytes in shelf.blobs.values() {
        store.put_bytes(bytes.clone()).await.unwrap();
    }
    let source = StoreSource(store);
    assert_eq!(kinds(&verify(&source, &root, &VerifyOptions::new(Depth::Deep)).await), []);

    let path = source.0.blob_path(&layer.descriptor.digest);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0xff;
    std::fs::write(&path, &bytes).unwrap();
    let report = verify(&source, &root, &VerifyOptions::new(Depth::Deep)).await;
    let digest = FindingKind::Digest { got: Digest::sha256(&bytes) };
    assert!(kinds(&report).iter().any(|(_, _, kind)| *kind == digest), "{report:?}");
    source.0.remove(&layer.descriptor.digest).await.unwrap();
    let report = verify(&source, &root, &VerifyOptions::new(Depth::Shallow)).await;
    assert_eq!(kinds(&report), [(Some("linux/amd64".into()), layer.descriptor.digest, FindingKind::Missing)]);
}
