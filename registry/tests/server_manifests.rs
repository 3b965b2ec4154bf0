//! Manifests over HTTP: pushes by tag and digest, what is refused, lists, referrers, deletes.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use http::Method;
use polyarch_registry::oci::{Descriptor, Digest, Hasher, RawManifest, media_type};
use polyarch_testkit::images::Format;
use polyarch_testkit::{Http, Image, Index, TestRegistry};
use serde_json::{Value, json};

fn raw(media_type: &str, value: &Value) -> RawManifest {
    RawManifest::new(media_type, value.to_string())
}

fn empty_index() -> Value {
    json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [] })
}

async fn tags(http: Http, repo: &str, query: &str) -> Value {
    http.get(&format!("/v2/{repo}/tags/list{query}")).await.json()["tags"].clone()
}

#[tokio::test]
async fn serves_what_was_pushed_byte_for_byte() {
    let registry = TestRegistry::start();
    let http = registry.http();
    for (repo, format) in [("oci", Format::Oci), ("docker/v2", Format::Docker)] {
        let index = Index::small(&["linux/amd64", "linux/arm/v7"]).format(format);
        let manifest = http.push_index(repo, "v1", &index).await;
        let (_, images) = index.build();
        let all = images.iter().map(|image| &image.manifest).chain([&manifest]);
        for (manifest, reference) in all.map(|m| (m, m.digest().to_string())).chain([(&manifest, "v1".to_owned())]) {
            let path = format!("/v2/{repo}/manifests/{reference}");
            let (head, get) = (http.head(&path).await, http.get(&path).await);
            for reply in [&head, &get] {
                assert_eq!(reply.status(), 200, "{path}");
                assert_eq!(reply.header("content-type"), manifest.media_type());
                assert_eq!(reply.header("content-length"), manifest.bytes().len().to_string());
                assert_eq!(reply.header("docker-content-digest"), manifest.digest().to_string());
            }
            assert_eq!((&head.body[..], &get.body), (&b""[..], manifest.bytes()));
        }
    }
}

#[tokio::test]
async fn keeps_unknown_fields_and_odd_spacing() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let text = format!(
        "{{ \"x-custom\": [1,\n2],  \"schemaVersion\": 2, \"mediaType\": {:?}, \"manifests\": []}}\n",
        media_type::OCI_INDEX
    );
    let odd = RawManifest::new(media_type::OCI_INDEX, text);
    assert_eq!(http.put_manifest("a", "odd", &odd).await.status(), 201);
    assert_eq!(&http.get("/v2/a/manifests/odd").await.body, odd.bytes());
}

#[tokio::test]
async fn takes_the_media_type_from_the_header_or_the_body() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let body = empty_index().to_string();
    let put = async |headers: &[(&str, &str)]| {
        let reply = http.call(Method::PUT, "/v2/a/manifests/v1", headers, body.clone()).await;
        (reply.status(), http.get("/v2/a/manifests/v1").await.header("content-type").to_owned())
    };
    let own = media_type::OCI_INDEX.to_owned();
    assert_eq!(put(&[]).await, (201, own.clone()));
    assert_eq!(put(&[("content-type", &format!("{own}; charset=utf-8"))]).await, (201, own.clone()));
    assert_eq!(put(&[("content-type", media_type::OCI_MANIFEST)]).await, (400, own.clone()));
    assert_eq!(put(&[("content-type", "text/plain")]).await, (400, own));
}

#[tokio::test]
async fn refuses_what_is_not_a_manifest() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let deep = "[".repeat(100_000);
    let both = json!({ "schemaVersion": 2, "manifests": [], "layers": [] }).to_string();
    let path = json!({ "manifests": [{ "mediaType": "m", "size": 1, "digest": "sha256:../../../../etc/passwd" }] })
        .to_string();
    let negative = json!({ "manifests": [{ "mediaType": "m", "size": -1, "digest": Digest::sha256("") }] }).to_string();
    for bad in ["", "{", "null", "[]", "{}", "\u{0}", deep.as_str(), both.as_str(), path.as_str(), negative.as_str()] {
        let reply = http.put_manifest("a", "v1", &RawManifest::new(media_type::OCI_INDEX, bad.to_owned())).await;
        assert_eq!((reply.status(), reply.code().as_str()), (400, "MANIFEST_INVALID"), "{bad:.80}");
    }
    assert_eq!(http.get("/v2/a/manifests/v1").await.code(), "MANIFEST_UNKNOWN");
    assert_eq!(http.get("/v2/a/tags/list").await.code(), "NAME_UNKNOWN");
}

#[tokio::test]
async fn refuses_a_manifest_at_another_digest() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let manifest = raw(media_type::OCI_INDEX, &empty_index());
    let other = Digest::sha256("other");
    for reference in [other.to_string(), format!("v1?digest={other}"), "v1?digest=sha256:00".to_owned()] {
        let reply = http.put_manifest("a", &reference, &manifest).await;
        assert_eq!((reply.status(), reply.code().as_str()), (400, "DIGEST_INVALID"), "{reference}");
    }
    assert_eq!(http.get("/v2/a/manifests/v1").await.status(), 404);
}

#[tokio::test]
async fn a_manifest_waits_for_what_it_references() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let image = Image::small("linux/amd64").build();
    http.push_blob("a", image.blobs[0].clone()).await;
    http.push_blob("elsewhere", image.blobs[1].clone()).await;
    let reply = http.put_manifest("a", "v1", &image.manifest).await;
    assert_eq!((reply.status(), reply.code().as_str()), (404, "MANIFEST_BLOB_UNKNOWN"));
    let missing: Vec<_> =
        reply.json()["errors"].as_array().unwrap().iter().map(|e| e["detail"]["digest"].clone()).collect();
    let mut want = [Digest::sha256(&image.blobs[1]), Digest::sha256(&image.blobs[2])].map(|digest| json!(digest));
    want.sort_by_key(Value::to_string);
    assert_eq!(missing, want);
    assert_eq!(http.get("/v2/a/manifests/v1").await.status(), 404);
    let bytes = registry.root().join("content/blobs/sha256").join(image.manifest.digest().encoded());
    assert!(!bytes.exists(), "a refused manifest leaves nothing in the store");

    let child = json!({ "schemaVersion": 2, "manifests": [image.entry()] });
    let reply = http.put_manifest("a", "index", &raw(media_type::OCI_INDEX, &child)).await;
    assert_eq!((reply.status(), reply.code().as_str()), (404, "MANIFEST_BLOB_UNKNOWN"));
}

#[tokio::test]
async fn a_manifest_must_state_true_sizes() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let digest: Digest = http.push_blob("a", "{}").await.parse().unwrap();
    let manifest = |size| {
        let config = Descriptor::new(media_type::OCI_EMPTY, digest.clone(), size);
        raw(media_type::OCI_MANIFEST, &json!({ "schemaVersion": 2, "config": config, "layers": [] }))
    };
    let reply = http.put_manifest("a", "v1", &manifest(3)).await;
    assert_eq!((reply.status(), reply.code().as_str()), (400, "SIZE_INVALID"));
    assert_eq!(http.put_manifest("a", "v1", &manifest(2)).await.status(), 201);
}

#[tokio::test]
async fn does_not_ask_for_what_lives_elsewhere() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let config: Digest = http.push_blob("a", "{}").await.parse().unwrap();
    let nondistributable = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    let mut foreign = Descriptor::new(media_type::OCI_LAYER_GZIP, Digest::sha256("2"), 123);
    foreign.urls = vec!["https://store.example.com/2".into()];
    let manifest = raw(
        media_type::OCI_MANIFEST,
        &json!({
            "schemaVersion": 2,
            "config": Descriptor::new(media_type::OCI_CONFIG, config, 2),
            "layers": [Descriptor::new(nondistributable, Digest::sha256("1"), 123), foreign],
            "subject": Descriptor::new(media_type::OCI_MANIFEST, Digest::sha256("missing"), 123),
        }),
    );
    assert_eq!(http.put_manifest("a", "v1", &manifest).await.status(), 201);
}

#[tokio::test]
async fn an_index_may_nest_be_empty_or_hold_blobs() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let inner = raw(media_type::OCI_INDEX, &empty_index());
    assert_eq!(http.put_manifest("a", &inner.digest().to_string(), &inner).await.status(), 201);
    // BuildKit exports cache as an index of layers.
    let blob: Digest = http.push_blob("a", "layer").await.parse().unwrap();
    let layer = Descriptor::new(media_type::OCI_LAYER, blob, 5);
    let outer = json!({ "schemaVersion": 2, "manifests": [inner.descriptor(), layer] });
    assert_eq!(http.put_manifest("a", "outer", &raw(media_type::OCI_INDEX, &outer)).await.status(), 201);
}

#[tokio::test]
async fn remembers_the_algorithm_a_manifest_was_pushed_with() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let manifest = raw(media_type::OCI_INDEX, &empty_index());
    let mut hasher = Hasher::sha512();
    hasher.update(manifest.bytes());
    let sha512 = hasher.finish().to_string();

    let reply = http.put_manifest("a", &format!("{sha512}?tag=one&tag=two"), &manifest).await;
    assert_eq!(reply.status(), 201);
    let set: Vec<_> = reply.headers.get_all("oci-tag").iter().map(|tag| tag.to_str().unwrap()).collect();
    assert_eq!(set, ["one", "two"]);
    assert_eq!(http.put_manifest("a", &format!("three?digest={sha512}"), &manifest).await.status(), 201);
    for reference in [sha512.as_str(), "one", "two", "three"] {
        let got = http.get(&format!("/v2/a/manifests/{reference}")).await;
        assert_eq!((got.header("docker-content-digest"), &got.body), (sha512.as_str(), manifest.bytes()));
    }
    assert_eq!(http.head(&format!("/v2/a/manifests/{}", manifest.digest())).await.status(), 404);
    assert_eq!(http.put_manifest("a", &format!("{sha512}?tag=.bad"), &manifest).await.code(), "MANIFEST_INVALID");
}

#[tokio::test]
async fn takes_manifests_up_to_four_mebibytes() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let with_annotations = |count| {
        let annotations: serde_json::Map<_, _> =
            (0..count).map(|i| (format!("a-{i}"), json!("A".repeat(10_000)))).collect();
        let mut index = empty_index();
        index["annotations"] = annotations.into();
        index["subject"] = json!(Descriptor::new(media_type::OCI_MANIFEST, Digest::sha256("s"), 1));
        raw(media_type::OCI_INDEX, &index)
    };
    let large = with_annotations(390);
    assert!(large.bytes().len() > 3_900_000);
    assert_eq!(http.put_manifest("a", "large", &large).await.status(), 201);
    assert_eq!(&http.get("/v2/a/manifests/large").await.body, large.bytes());
    let referrers = http.get(&format!("/v2/a/referrers/{}", Digest::sha256("s"))).await;
    assert_eq!(referrers.json()["manifests"][0]["annotations"].as_object().unwrap().len(), 390);

    let too_large = with_annotations(430);
    let reply = http.put_manifest("a", "too-large", &too_large).await;
    assert_eq!((reply.status(), reply.code().as_str()), (413, "SIZE_INVALID"));
    let pieces = too_large.bytes().chunks(60_000).map(bytes::Bytes::copy_from_slice).collect();
    let request =
        http::Request::put("/v2/a/manifests/too-large").body(polyarch_testkit::http::chunked(pieces)).unwrap();
    assert_eq!(http.send(request).await.status(), 413);
}

#[tokio::test]
async fn lists_tags_and_repositories_in_pages() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let manifest = raw(media_type::OCI_INDEX, &empty_index());
    for tag in ["b", "a", "B", "1.10", "1.9", "_x"] {
        http.put_manifest("a/b", tag, &manifest).await;
    }
    for repo in ["a", "a-c"] {
        http.put_manifest(repo, "v1", &manifest).await;
    }
    assert_eq!(tags(http, "a/b", "").await, json!(["1.10", "1.9", "B", "_x", "a", "b"]));
    assert_eq!(tags(http, "a/b", "?n=0").await, json!([]));
    assert_eq!(tags(http, "a/b", "?n=2&last=B").await, json!(["_x", "a"]));
    assert_eq!(tags(http, "a/b", "?last=zzz").await, json!([]));
    assert_eq!(http.get("/v2/a/b/tags/list?n=x").await.status(), 400);
    assert_eq!(http.get("/v2/a/b/tags/list").await.json()["name"], "a/b");

    for (start, key) in [("/v2/a/b/tags/list?n=2", "tags"), ("/v2/_catalog?n=1", "repositories")] {
        let whole = http.get(start.split('?').next().unwrap()).await.json()[key].clone();
        let (mut next, mut seen) = (start.to_owned(), Vec::new());
        while !next.is_empty() {
            let reply = http.get(&next).await;
            seen.extend(reply.json()[key].as_array().unwrap().iter().cloned());
            let link = reply.header("link");
            next =
                link.strip_suffix(">; rel=\"next\"").and_then(|l| l.strip_prefix('<')).unwrap_or_default().to_owned();
        }
        assert_eq!(json!(seen), whole);
    }
    assert_eq!(http.get("/v2/_catalog").await.json(), json!({ "repositories": ["a", "a-c", "a/b"] }));
}

#[tokio::test]
async fn lists_referrers() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let subject = Image::small("linux/amd64").build();
    http.push_image("a", "v1", &subject).await;
    let path = format!("/v2/a/referrers/{}", subject.manifest.digest());
    let none = http.get(&path).await;
    assert_eq!((none.status(), none.header("content-type")), (200, media_type::OCI_INDEX));
    assert_eq!(none.json(), empty_index());

    http.push_blob("a", "{}").await;
    let config = Descriptor::new(media_type::OCI_EMPTY, Digest::sha256("{}"), 2);
    let typed = raw(
        media_type::OCI_MANIFEST,
        &json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": "example/sbom",
            "config": config, "layers": [config], "subject": subject.manifest.descriptor(),
            "annotations": { "k": "v" },
        }),
    );
    let untyped = Image::new("linux/amd64").subject(subject.manifest.descriptor()).build();
    let reply = http.put_manifest("a", "sbom", &typed).await;
    assert_eq!(reply.header("oci-subject"), subject.manifest.digest().to_string(), "by tag, too");
    http.push_image("a", &untyped.manifest.digest().to_string(), &untyped).await;

    let entry = |manifest: &RawManifest, artifact_type: &str| {
        let mut descriptor = manifest.descriptor();
        descriptor.artifact_type = Some(artifact_type.into());
        descriptor
    };
    let mut sbom = entry(&typed, "example/sbom");
    sbom.annotations.insert("k".into(), "v".into());
    let mut want = vec![sbom.clone(), entry(&untyped.manifest, media_type::OCI_CONFIG)];
    want.sort_by_key(|descriptor| descriptor.digest.clone());
    assert_eq!(http.get(&path).await.json()["manifests"], json!(want));
    let filtered = http.get(&format!("{path}?artifactType=example%2Fsbom")).await;
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    assert_eq!(filtered.json()["manifests"], json!([sbom]));

    assert_eq!(http.delete(&format!("/v2/a/manifests/{}", typed.digest())).await.status(), 202);
    assert_eq!(http.get(&path).await.json()["manifests"].as_array().unwrap().len(), 1);
    assert_eq!(http.get("/v2/a/referrers/sha256:00").await.code(), "DIGEST_INVALID");
}

#[tokio::test]
async fn long_referrers_lists_come_in_pages() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let subject = Digest::sha256("s");
    for i in 0..5 {
        let mut index = empty_index();
        index["subject"] = json!(Descriptor::new(media_type::OCI_MANIFEST, subject.clone(), 1));
        index["artifactType"] = json!("t");
        index["annotations"] = json!({ "i": i.to_string(), "big": "x".repeat(1_000_000) });
        assert_eq!(http.put_manifest("a", &format!("t{i}"), &raw(media_type::OCI_INDEX, &index)).await.status(), 201);
    }
    let (mut next, mut seen, mut pages) = (format!("/v2/a/referrers/{subject}?artifactType=t"), Vec::new(), 0);
    while !next.is_empty() {
        let reply = http.get(&next).await;
        assert!(reply.body.len() < 4 << 20);
        seen.extend(reply.json()["manifests"].as_array().unwrap().iter().map(|m| m["annotations"]["i"].clone()));
        pages += 1;
        next = reply.header("link").split(['<', '>']).nth(1).unwrap_or_default().to_owned();
    }
    seen.sort_by_key(Value::to_string);
    assert_eq!((json!(seen), pages), (json!(["0", "1", "2", "3", "4"]), 2));

    let two = http.get(&format!("/v2/a/referrers/{subject}?n=2")).await;
    assert_eq!(two.json()["manifests"].as_array().unwrap().len(), 2);
    assert!(two.header("link").contains("n=2"), "{}", two.header("link"));
    let none = http.get(&format!("/v2/a/referrers/{subject}?n=0")).await;
    assert_eq!((none.json()["manifests"].as_array().unwrap().len(), none.header("link")), (0, ""));
}

#[tokio::test]
async fn deletes_tags_and_manifests() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let manifest = raw(media_type::OCI_INDEX, &empty_index());
    for tag in ["one", "two", "three"] {
        http.put_manifest("a", tag, &manifest).await;
    }
    assert_eq!(http.delete("/v2/a/manifests/one").await.status(), 202);
    assert_eq!(http.delete("/v2/a/manifests/one").await.code(), "MANIFEST_UNKNOWN");
    assert_eq!(tags(http, "a", "").await, json!(["three", "two"]));
    let by_digest = format!("/v2/a/manifests/{}", manifest.digest());
    assert_eq!(http.head(&by_digest).await.status(), 200, "a tag's manifest stays");
    assert_eq!(http.delete(&by_digest).await.status(), 202);
    assert_eq!(http.delete(&by_digest).await.status(), 404);
    assert_eq!(tags(http, "a", "").await, json!([]));
    assert_eq!(http.get("/v2/a/manifests/two").await.status(), 404);
}
