//! What is in layers: each rule on its defect, and on nothing else.

use std::io::Write as _;

use bytes::Bytes;
use polyarch_registry::audit::{Expectations, ImageReport, Scope};
use polyarch_registry::oci::Digest;
use polyarch_registry::store::BlobStoreExt as _;
use polyarch_testkit::Specimen;
use polyarch_testkit::layer::Layer;
use polyarch_testkit::specimen::Built;
use serde_json::{Value, json};
use tar::{EntryType, Header};

use crate::{audit_with, brief};

const LAYERS: Scope = Scope { blobs: false, referrers: false, binaries: true, layers: true };

/// An archive that is written header by header, as no library would.
#[derive(Default)]
struct Raw(Vec<u8>);

impl Raw {
    fn entry(mut self, kind: EntryType, name: &[u8], change: impl FnOnce(&mut Header), content: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        change(&mut header);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str) -> Self {
        self.entry(EntryType::Regular, name.as_bytes(), |_| (), b"x")
    }

    fn dir(self, name: &str) -> Self {
        self.entry(EntryType::Directory, name.as_bytes(), |_| (), b"")
    }

    fn link(self, kind: EntryType, name: &str, target: &str) -> Self {
        self.entry(kind, name.as_bytes(), |header| header.set_link_name(target).unwrap(), b"")
    }

    fn mode(self, kind: EntryType, name: &str, mode: u32) -> Self {
        self.entry(kind, name.as_bytes(), |header| header.set_mode(mode), b"")
    }

    fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut body = String::new();
        for (key, value) in records {
            let length = key.len() + value.len() + 3;
            let length = length + (length + 2).to_string().len();
            body += &format!("{length} {key}={value}\n");
        }
        self.entry(EntryType::XHeader, b"pax", |_| (), body.as_bytes())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An image of one platform whose upper layer is this blob; `change` may still spoil its manifest and configuration.
async fn built(blob: Vec<u8>, diff_id: Digest, change: impl Fn(&mut Value) + Send + Sync + 'static) -> Built {
    let (digest, size) = (Digest::sha256(&blob), blob.len());
    let layer = json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size});
    let specimen = Specimen::healthy(&["linux/arm64"]).part(0, |part| {
        part.config(move |config| config["rootfs"]["diff_ids"][1] = json!(diff_id)).manifest(move |manifest| {
            manifest["layers"][1] = layer.clone();
            change(&mut manifest["layers"][1]);
        })
    });
    let built = specimen.build().await;
    built.store.put_bytes(Bytes::from(blob)).await.unwrap();
    built
}

async fn report(built: &Built) -> ImageReport {
    audit_with(built, Expectations::default(), LAYERS).await
}

/// Rule, severity and message of what is found in an image with this archive.
async fn found(tar: Vec<u8>) -> Vec<(String, String, String)> {
    let report = report(&built(gzip(&tar), Digest::sha256(&tar), |_| ()).await).await;
    assert_eq!(report.unchecked, []);
    report.findings.iter().map(|one| (one.rule.clone(), one.severity.name().to_owned(), one.message.clone())).collect()
}

fn expect(rule: &str, severity: &str, message: &str) -> Vec<(String, String, String)> {
    vec![(rule.to_owned(), severity.to_owned(), message.to_owned())]
}

#[tokio::test]
async fn each_oddity_of_entries_is_one_finding() {
    let dir = || Raw::default().dir("d/");
    let (file, link, hard) = (EntryType::Regular, EntryType::Symlink, EntryType::Link);
    let capability = [("SCHILY.xattr.security.capability", "x")];
    #[rustfmt::skip]
    let cases = [
        (Raw::default().file("../evil"), "unsafe-tar-path", "error", "names with `..`: ../evil"),
        (Raw::default().file("/abs"), "unsafe-tar-path", "warning", "names from the root of the file system: /abs"),
        (dir().link(hard, "d/l", "../../out"), "escaping-link", "error", "hard links out of the image: d/l"),
        (dir().link(hard, "d/l", "d/none"), "escaping-link", "error", "hard links to files that are not there: d/l"),
        (dir().link(link, "d/l", "../../out"), "escaping-link", "warning", "symbolic links above the root: d/l"),
        (dir().link(link, "d/a", "b").link(link, "d/b", "a"), "escaping-link", "warning", "symbolic links in circles: d/a, d/b"),
        (dir().file("d/.wh."), "invalid-whiteout", "error", "whiteouts of nothing: d/.wh."),
        (dir().file("d/.wh.a").file("d/a"), "invalid-whiteout", "warning", "deleted and added in one layer: d/a"),
        (dir().file("d/a").file("d/a"), "ambiguous-tar-entries", "warning", "there more than once: d/a"),
        (dir().entry(file, b"d/\xff", |_| (), b"x"), "ambiguous-tar-entries", "warning", "names that are not UTF-8: d/\u{fffd}"),
        (Raw::default().file(""), "ambiguous-tar-entries", "warning", "entries without a name: 1"),
        (dir().mode(file, "d/w", 0o666), "privileged-files", "warning", "everybody may change: d/w"),
        (dir().mode(EntryType::Directory, "d/w/", 0o777), "privileged-files", "warning", "everybody may change: d/w/"),
        (dir().mode(file, "d/su", 0o4755), "privileged-files", "info", "run as their owner: d/su"),
        (dir().mode(file, "d/sg", 0o2755), "privileged-files", "info", "run as their group: d/sg"),
        (dir().pax(&capability).file("d/ping"), "privileged-files", "info", "have capabilities: d/ping"),
        (dir().file("d/.npmrc"), "secret-files", "warning", "credentials or keys, by their names: d/.npmrc"),
        (dir().dir("d/.aws/").file("d/.aws/credentials"), "secret-files", "warning", "credentials or keys, by their names: d/.aws/credentials"),
        (dir().mode(EntryType::Char, "d/null", 0o666), "special-files", "warning", "device nodes: d/null"),
        (dir().mode(EntryType::Fifo, "d/pipe", 0o644), "special-files", "warning", "named pipes: d/pipe"),
        (dir().entry(file, b"d/new", |header| header.set_mtime(1_800_000_000), b""), "newer-files", "info", "d/new is 378 days newer than the image"),
    ];
    for (archive, rule, severity, message) in cases {
        assert_eq!(found(archive.end()).await, expect(rule, severity, message));
    }
}

#[tokio::test]
async fn healthy_layers_have_no_finding() {
    let (link, hard) = (EntryType::Symlink, EntryType::Link);
    let healthy = Raw::default()
        .dir("./")
        .dir("./tmp/")
        .mode(EntryType::Directory, "tmp/", 0o1777)
        .dir("d/")
        .file("d/a")
        .link(hard, "d/b", "d/a")
        .link(hard, "d/arch", "etc/arch")
        .link(link, "d/abs", "/etc/passwd")
        .link(link, "d/up", "../../d/a".trim_start_matches("../"))
        .link(link, "d/dangling", "later")
        .file("d/.wh.old")
        .file("var/.wh..wh..opq")
        .pax(&[("path", "d/a-longer-name"), ("mtime", "12.5")])
        .file("d/short")
        .mode(EntryType::Regular, "d/locked", 0o2644);
    assert_eq!(found(healthy.end()).await, []);
    let examples = Raw::default().dir("app/").dir("app/node_modules/").file("app/node_modules/.npmrc");
    assert_eq!(found(examples.end()).await, []);
}

#[tokio::test]
async fn headers_that_disagree_about_a_size_are_an_error() {
    let tar = Raw::default().pax(&[("size", "2000")]).file("a").end();
    let message = "an extended header and its header disagree about the size";
    let findings = found(tar).await;
    assert_eq!((findings.len(), findings[0].0.as_str(), findings[0].1.as_str()), (1, "ambiguous-tar-entries", "error"));
    assert!(findings[0].2.starts_with(message), "{findings:?}");
}

#[tokio::test]
async fn bytes_that_are_not_what_they_are_called() {
    let tar = Raw::default().file("a").end();
    let right = Digest::sha256(&tar);
    let rules = async |built: &Built| {
        let report = report(built).await;
        brief(&report.findings).into_iter().map(|one| (one.0.to_owned(), one.1.to_owned())).collect::<Vec<_>>()
    };
    let one = |rule: &str, severity: &str| vec![(rule.to_owned(), severity.to_owned())];
    assert_eq!(rules(&built(gzip(&tar), right.clone(), |_| ()).await).await, []);
    assert_eq!(rules(&built(gzip(&tar), Digest::sha256("other"), |_| ()).await).await, one("altered-layer", "error"));
    let cut = gzip(&tar)[..40].to_vec();
    assert_eq!(rules(&built(cut, right.clone(), |_| ()).await).await, one("broken-layer", "error"));
    assert_eq!(rules(&built(b"no archive".to_vec(), right.clone(), |_| ()).await).await, one("broken-layer", "error"));
    let zstd = zstd::encode_all(&tar[..], 1).unwrap();
    assert_eq!(rules(&built(zstd, right.clone(), |_| ()).await).await, one("compression-mismatch", "warning"));
    let members = [gzip(&tar[..512]), gzip(&tar[512..])].concat();
    assert_eq!(rules(&built(members, right.clone(), |_| ()).await).await, one("trailing-layer-data", "info"));
    let trailed = [gzip(&tar), b"more".to_vec()].concat();
    assert_eq!(rules(&built(trailed, right, |_| ()).await).await, one("trailing-layer-data", "warning"));
    let after = [tar, b"more".to_vec()].concat();
    let id = Digest::sha256(&after);
    assert_eq!(rules(&built(gzip(&after), id, |_| ()).await).await, one("trailing-layer-data", "warning"));
}

#[tokio::test]
async fn a_bomb_is_told_and_its_layer_left_alone() {
    let zeros = vec![0; 80 << 20];
    let tar = Raw::default().entry(EntryType::Regular, b"zeros", |_| (), &zeros).end();
    let blob = zstd::encode_all(&tar[..], 1).unwrap();
    let kind = "application/vnd.oci.image.layer.v1.tar+zstd";
    let built = built(blob, Digest::sha256(&tar), move |layer| layer["mediaType"] = json!(kind)).await;
    let report = report(&built).await;
    assert_eq!(brief(&report.findings), [("decompression-bomb", "error", "linux/arm64")]);
    assert_eq!(report.unchecked, []);
}

#[tokio::test]
async fn a_secret_that_is_deleted_later_is_still_there() {
    let layers = || vec![Layer::new().dir("root").file("root/.netrc", "x"), Layer::new().file("root/.wh..netrc", "")];
    let specimen = Specimen::healthy(&["linux/arm64"]).part(0, |part| part.layers(layers()));
    let report = report(&specimen.build().await).await;
    let messages: Vec<&str> = report.findings.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(messages, ["deleted later, but still to be read in a lower layer: root/.netrc"]);
}

#[tokio::test]
async fn a_table_of_contents_must_be_of_the_layer() {
    let toc = |names: &[&str]| {
        let entries: Vec<Value> = names.iter().map(|name| json!({"name": name, "type": "reg"})).collect();
        serde_json::to_vec(&json!({"version": 1, "entries": entries})).unwrap()
    };
    let messages = async |table: Vec<u8>, annotated: String| {
        let tar = Raw::default().file("a").entry(EntryType::Regular, b"stargz.index.json", |_| (), &table).end();
        let annotations = json!({"containerd.io/snapshot/stargz/toc.digest": annotated});
        let built =
            built(gzip(&tar), Digest::sha256(&tar), move |layer| layer["annotations"] = annotations.clone()).await;
        let report = report(&built).await;
        report.findings.iter().map(|one| format!("{} {}", one.rule, one.message)).collect::<Vec<_>>()
    };
    let right = toc(&["a"]);
    let digest = Digest::sha256(&right).to_string();
    assert!(messages(right.clone(), digest.clone()).await.is_empty());
    let annotated = messages(right, Digest::sha256("other").to_string()).await;
    assert_eq!(annotated, [format!("stale-layer-contents its table of contents is {digest}, not the annotated one")]);
    let wrong = toc(&["b"]);
    let digest = Digest::sha256(&wrong).to_string();
    let want = [
        "stale-layer-contents not in its table of contents: a",
        "stale-layer-contents only in its table of contents: b",
    ];
    assert_eq!(messages(wrong, digest).await, want);
}

#[tokio::test]
async fn platforms_should_have_the_same_files() {
    let layer =
        |names: &[&str]| names.iter().fold(Layer::new().dir("d"), |layer, name| layer.file(name, name.to_string()));
    let image = |other: &[&str]| {
        let (a, b) = (layer(&["d/a", "d/b", "d/x86_64-lib"]), layer(other));
        Specimen::healthy(&["linux/amd64", "linux/arm64"])
            .part(0, |part| part.layers(vec![a]))
            .part(1, |part| part.layers(vec![b]))
    };
    let same = image(&["d/a", "d/b", "d/aarch64-lib"]);
    assert_eq!(report(&same.build().await).await.findings, []);
    let report = report(&image(&["d/a", "d/c"]).build().await).await;
    assert_eq!(brief(&report.findings), [("file-set-drift", "info", "linux/arm64")]);
    let message = "other files than linux/amd64: only in linux/arm64: d/c; only in linux/amd64: d/b";
    assert_eq!(report.findings[0].message, message);
}
