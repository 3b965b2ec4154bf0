//! The data sets of the distribution-spec's conformance suite, through its four groups: push, pull, content discovery,
//! content management. Each set is pushed by another of the ways to push, in SHA-256 and in SHA-512.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use bytes::Bytes;
use http::{Method, Request};
use polyarch_registry::oci::{Descriptor, Digest, Hasher, media_type};
use polyarch_testkit::http::chunked;
use polyarch_testkit::layer::noise;
use polyarch_testkit::{Http, TestRegistry};
use serde_json::{Value, json};

/// How the digests of a set are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn of(self, bytes: &[u8]) -> Digest {
        let mut hasher = if self == Self::Sha256 { Hasher::sha256() } else { Hasher::sha512() };
        hasher.update(bytes);
        hasher.finish()
    }
}

/// One set: what is pushed, in order, and what must come of it.
struct Set {
    name: &'static str,
    hash: Hash,
    blobs: Vec<Bytes>,
    /// Bytes, tag.
    manifests: Vec<(Bytes, Option<&'static str>)>,
    /// Subject and what refers to it: artifact type.
    referrers: Vec<(Digest, String)>,
}

impl Set {
    fn new(name: &'static str, hash: Hash) -> Self {
        Self { name, hash, blobs: vec![], manifests: vec![], referrers: vec![] }
    }

    fn blob(&mut self, media_type: &str, bytes: impl Into<Bytes>) -> Descriptor {
        let bytes = bytes.into();
        let descriptor = Descriptor::new(media_type, self.hash.of(&bytes), bytes.len() as u64);
        self.blobs.push(bytes);
        descriptor
    }

    fn manifest(&mut self, body: &Value, tag: Option<&'static str>) -> Descriptor {
        let bytes = Bytes::from(body.to_string());
        let media_type = body["mediaType"].as_str().unwrap();
        let descriptor = Descriptor::new(media_type, self.hash.of(&bytes), bytes.len() as u64);
        self.manifests.push((bytes, tag));
        descriptor
    }

    /// An image of two layers with more fields.
    fn image(&mut self, seed: u64, more: Value, tag: Option<&'static str>) -> Descriptor {
        let config = self.blob(media_type::OCI_CONFIG, json!({ "seed": seed, "os": "linux" }).to_string());
        let layers = [0, 1]
            .map(|n| self.blob(media_type::OCI_LAYER_GZIP, noise(seed * 10 + n, 2048 + usize::try_from(n).unwrap())));
        let mut body =
            json!({ "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": layers });
        merge(&mut body, more);
        self.manifest(&body, tag)
    }

    fn index(&mut self, children: &[Descriptor], more: Value, tag: Option<&'static str>) -> Descriptor {
        let mut body = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children });
        merge(&mut body, more);
        self.manifest(&body, tag)
    }

    fn artifact(&mut self, kind: &str, more: Value, tag: Option<&'static str>) -> Descriptor {
        let empty = self.blob(media_type::OCI_EMPTY, "{}");
        let layer = self.blob(kind, format!("content of {kind}"));
        let mut body = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": kind,
            "config": empty, "layers": [layer], "annotations": { "org.opencontainers.conformance": kind },
        });
        merge(&mut body, more);
        self.manifest(&body, tag)
    }
}

fn merge(body: &mut Value, more: Value) {
    if let Value::Object(more) = more {
        body.as_object_mut().unwrap().extend(more);
    }
}

const NOTHING: Value = Value::Null;

fn sets(hash: Hash) -> Vec<Set> {
    let mut all = images(hash);
    all.extend(referring(hash));
    all
}

/// Builds sets one after the other.
struct Sets(Hash, Vec<Set>);

impl Sets {
    fn add(&mut self, name: &'static str, fill: impl Fn(&mut Set)) {
        let mut set = Set::new(name, self.0);
        fill(&mut set);
        self.1.push(set);
    }
}

fn images(hash: Hash) -> Vec<Set> {
    let mut all = Sets(hash, Vec::new());
    all.add("image", |set| drop(set.image(1, NOTHING, Some("image"))));
    all.add("large-manifest", |set| {
        let many: serde_json::Map<_, _> = (0..390).map(|n| (format!("large-{n}"), json!("A".repeat(10_000)))).collect();
        set.image(2, json!({ "annotations": many }), Some("large"));
    });
    all.add("index", |set| {
        let children = [3, 4].map(|seed| set.image(seed, NOTHING, None));
        set.index(&children, NOTHING, Some("index"));
    });
    all.add("nested-index", |set| {
        let child = set.image(5, NOTHING, None);
        let inner = set.index(&[child], NOTHING, None);
        set.index(&[inner.clone(), inner], NOTHING, Some("index-of-index"));
    });
    all.add("empty-index", |set| drop(set.index(&[], NOTHING, Some("index"))));
    all.add("artifact", |set| drop(set.artifact("example/conf", NOTHING, Some("artifact"))));
    all.add("artifact-index", |set| {
        let child = set.artifact("example/conf", NOTHING, None);
        set.index(&[child], json!({ "artifactType": "example/conf" }), Some("artifact-index"));
    });
    all.add("no-layers", |set| drop(set.image(6, json!({ "layers": [] }), Some("no-layers"))));
    all.add("custom-fields", |set| {
        drop(set.image(7, json!({ "org.example.own": { "z": 1, "a": [null] } }), Some("own")))
    });
    all.add("data-field", |set| {
        let mut config = set.blob(media_type::OCI_EMPTY, "{}");
        config.data = Some("e30=".into());
        set.image(8, json!({ "config": config }), Some("data-field"));
    });
    all.add("non-distributable-layers", |set| {
        let kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
        let mut far = Descriptor::new(kind, hash.of(b"elsewhere"), 123_456);
        far.urls = vec!["https://store.example.com/blob".into()];
        let near = set.blob(media_type::OCI_LAYER_GZIP, noise(99, 500));
        set.image(9, json!({ "layers": [far, near] }), Some("far"));
    });
    all.1
}

/// Sets with a subject.
fn referring(hash: Hash) -> Vec<Set> {
    let mut all = Sets(hash, Vec::new());
    all.add("artifacts-with-subject", |set| {
        let subject = set.image(10, NOTHING, Some("image"));
        set.image(11, json!({ "subject": subject }), None);
        set.artifact("example/one", json!({ "subject": subject }), Some("tagged-one"));
        set.artifact("example/two", json!({ "subject": subject }), Some("tagged-two"));
        for kind in [media_type::OCI_CONFIG, "example/one", "example/two"] {
            set.referrers.push((subject.digest.clone(), kind.to_owned()));
        }
    });
    all.add("index-with-subject", |set| {
        let subject = set.index(&[], NOTHING, Some("index"));
        let more = json!({ "subject": subject, "artifactType": "example/index", "annotations": { "a": "b" } });
        set.index(&[], more, Some("tagged"));
        set.referrers.push((subject.digest, "example/index".into()));
    });
    all.add("missing-subject", |set| {
        let subject = Descriptor::new(media_type::OCI_MANIFEST, hash.of(b"missing content"), 123);
        set.artifact("example/conf", json!({ "subject": subject }), Some("tagged"));
        set.referrers.push((subject.digest, "example/conf".into()));
    });
    all.1
}

/// Pushes a blob by the `way`th way of the specification.
async fn push_blob(http: Http, repo: &str, way: usize, digest: &Digest, bytes: &Bytes) {
    let start = async || http.start_upload(repo).await;
    let octets = [("content-type", "application/octet-stream")];
    let done = match way % 5 {
        0 => {
            let path = format!("/v2/{repo}/blobs/uploads/?digest={digest}");
            http.call(Method::POST, &path, &octets, bytes.clone()).await
        }
        1 => {
            let path = format!("{}?digest={digest}", start().await);
            http.call(Method::PUT, &path, &octets, bytes.clone()).await
        }
        2 => {
            let pieces = bytes.chunks(700).map(Bytes::copy_from_slice).collect();
            let reply = http.send(Request::patch(start().await).body(chunked(pieces)).unwrap()).await;
            assert_eq!(reply.status(), 202);
            http.call(Method::PUT, &format!("{}?digest={digest}", reply.header("location")), &octets, "").await
        }
        more => {
            // In pieces, the last one by PUT in one of the two.
            let (mut location, mut at) = (start().await, 0);
            let piece = bytes.len() / 3 + 1;
            let until = if more == 3 { bytes.len() } else { bytes.len().saturating_sub(piece) };
            while at < until {
                let end = (at + piece).min(until);
                let range = format!("{at}-{}", end - 1);
                let reply =
                    http.call(Method::PATCH, &location, &[("content-range", &range)], bytes.slice(at..end)).await;
                assert_eq!(reply.status(), 202, "{reply:?}");
                (location, at) = (reply.header("location").to_owned(), end);
            }
            let rest = bytes.slice(at..);
            let range = format!("{at}-{}", bytes.len().max(1) - 1);
            let headers: &[_] = if rest.is_empty() { &octets } else { &[("content-range", range.as_str())] };
            http.call(Method::PUT, &format!("{location}?digest={digest}"), headers, rest.clone()).await
        }
    };
    assert_eq!(done.status(), 201, "way {way}: {done:?}");
    assert_eq!(http.get(done.header("location")).await.body, *bytes, "the location answers");
}

async fn assert_same(http: Http, path: &str, media_type: &str, digest: &Digest, bytes: &Bytes) {
    let (head, get) = (http.head(path).await, http.get(path).await);
    for reply in [&head, &get] {
        assert_eq!(reply.status(), 200, "{path}");
        assert_eq!(reply.header("content-length"), bytes.len().to_string());
        assert_eq!(reply.header("content-type"), media_type);
        assert_eq!(reply.header("docker-content-digest"), digest.to_string());
    }
    assert!(head.body.is_empty() && get.body == *bytes, "{path}");
}

async fn push_and_pull(http: Http, repo: &str, set: &Set) {
    for (way, bytes) in set.blobs.iter().enumerate() {
        let digest = set.hash.of(bytes);
        assert_eq!(http.head(&format!("/v2/{repo}/blobs/{}", set.hash.of(b"absent"))).await.status(), 404);
        push_blob(http, repo, way, &digest, bytes).await;
        assert_same(http, &format!("/v2/{repo}/blobs/{digest}"), "application/octet-stream", &digest, bytes).await;
    }
    for (bytes, tag) in &set.manifests {
        let (digest, body) = (set.hash.of(bytes), serde_json::from_slice::<Value>(bytes).unwrap());
        let media_type = body["mediaType"].as_str().unwrap();
        // A tag is put with its digest, which says the algorithm.
        let place = tag.map_or(digest.to_string(), |tag| match set.hash {
            Hash::Sha256 => tag.to_owned(),
            Hash::Sha512 => format!("{tag}?digest={digest}"),
        });
        let headers = [("content-type", media_type)];
        let reply = http.call(Method::PUT, &format!("/v2/{repo}/manifests/{place}"), &headers, bytes.clone()).await;
        assert_eq!(reply.status(), 201, "{}: {reply:?}", set.name);
        assert_eq!(reply.header("oci-subject"), body["subject"]["digest"].as_str().unwrap_or_default());
        assert_eq!(http.get(reply.header("location")).await.body, *bytes);
        for reference in [Some(digest.to_string()), tag.map(str::to_owned)].into_iter().flatten() {
            assert_same(http, &format!("/v2/{repo}/manifests/{reference}"), media_type, &digest, bytes).await;
        }
    }
}

async fn discover(http: Http, repo: &str, set: &Set) {
    let mut tags: Vec<_> = set.manifests.iter().filter_map(|(_, tag)| *tag).collect();
    tags.sort_unstable();
    let listed = http.get(&format!("/v2/{repo}/tags/list")).await;
    assert_eq!(listed.json(), json!({ "name": repo, "tags": tags }), "{}", set.name);
    for (subject, kind) in &set.referrers {
        let all = http.get(&format!("/v2/{repo}/referrers/{subject}")).await;
        assert_eq!((all.status(), all.header("content-type")), (200, media_type::OCI_INDEX));
        let want = set.referrers.iter().filter(|(other, _)| other == subject).count();
        assert_eq!(all.json()["manifests"].as_array().unwrap().len(), want, "{}", set.name);
        let kind_only =
            http.get(&format!("/v2/{repo}/referrers/{subject}?artifactType={}", kind.replace('+', "%2B"))).await;
        assert_eq!(kind_only.header("oci-filters-applied"), "artifactType");
        let body = kind_only.json();
        let [entry] = &body["manifests"].as_array().unwrap()[..] else { panic!("{}: {body}", set.name) };
        assert_eq!(entry["artifactType"], json!(kind));
        let manifest = http.get(&format!("/v2/{repo}/manifests/{}", entry["digest"].as_str().unwrap())).await.json();
        assert_eq!(entry.get("annotations"), manifest.get("annotations"), "an entry carries the annotations");
    }
    let none = http.get(&format!("/v2/{repo}/referrers/{}", set.hash.of(b"nothing refers to this"))).await;
    assert_eq!((none.status(), none.json()["manifests"].clone()), (200, json!([])));
}

async fn manage(http: Http, repo: &str, set: &Set) {
    for tag in set.manifests.iter().filter_map(|(_, tag)| *tag) {
        let path = format!("/v2/{repo}/manifests/{tag}");
        assert_eq!((http.delete(&path).await.status(), http.get(&path).await.status()), (202, 404), "{}", set.name);
    }
    for (bytes, _) in set.manifests.iter().rev() {
        let path = format!("/v2/{repo}/manifests/{}", set.hash.of(bytes));
        assert_eq!(http.head(&path).await.status(), 200, "a tag's manifest stays");
        assert_eq!((http.delete(&path).await.status(), http.head(&path).await.status()), (202, 404), "{}", set.name);
    }
    for (subject, _) in &set.referrers {
        let left = http.get(&format!("/v2/{repo}/referrers/{subject}")).await;
        assert_eq!(left.json()["manifests"], json!([]), "{}", set.name);
    }
    for bytes in &set.blobs {
        let path = format!("/v2/{repo}/blobs/{}", set.hash.of(bytes));
        let status = http.delete(&path).await.status();
        assert!(matches!(status, 202 | 404), "{status}: a set may name a blob twice");
        assert_eq!(http.get(&path).await.status(), 404);
    }
}

#[tokio::test]
async fn every_data_set_through_every_group() {
    let registry = TestRegistry::start();
    let http = registry.http();
    for hash in [Hash::Sha256, Hash::Sha512] {
        for set in sets(hash) {
            let repo = format!("conformance/{}-{hash:?}", set.name).to_lowercase();
            push_and_pull(http, &repo, &set).await;
            discover(http, &repo, &set).await;
            let mounted = format!("{repo}-mounted");
            if let Some(bytes) = set.blobs.first() {
                let digest = set.hash.of(bytes);
                let path = format!("/v2/{mounted}/blobs/uploads/?mount={digest}&from={repo}");
                assert_eq!(http.call(Method::POST, &path, &[], "").await.status(), 201);
                assert_eq!(http.get(&format!("/v2/{mounted}/blobs/{digest}")).await.body, *bytes);
            }
            manage(http, &repo, &set).await;
        }
    }
}

#[tokio::test]
async fn bad_digests_are_refused_by_every_way() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let (bytes, manifest) =
        (noise(1, 3000), json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [] }));
    for hash in [Hash::Sha256, Hash::Sha512] {
        let wrong = hash.of(b"something else");
        let single = format!("/v2/bad/blobs/uploads/?digest={wrong}");
        assert_eq!(http.call(Method::POST, &single, &[], bytes.clone()).await.status(), 400);
        for patched in [false, true] {
            let mut location = http.start_upload("bad").await;
            let mut rest = bytes.clone();
            if patched {
                let reply = http.call(Method::PATCH, &location, &[("content-range", "0-2999")], rest).await;
                (location, rest) = (reply.header("location").to_owned(), Bytes::new());
            }
            let put = http.call(Method::PUT, &format!("{location}?digest={wrong}"), &[], rest).await;
            assert_eq!(put.status(), 400);
        }
        let headers = [("content-type", media_type::OCI_INDEX)];
        for place in [wrong.to_string(), format!("tag?digest={wrong}")] {
            let path = format!("/v2/bad/manifests/{place}");
            assert_eq!(http.call(Method::PUT, &path, &headers, manifest.to_string()).await.status(), 400);
        }
    }
}
