//! Blobs over HTTP: every way to push them, reads and ranges, deletes.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use bytes::Bytes;
use http::{Method, Request};
use polyarch_registry::oci::{Digest, Hasher};
use polyarch_testkit::http::{Reply, chunked};
use polyarch_testkit::layer::noise;
use polyarch_testkit::{Http, TestRegistry};

fn sha512(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::sha512();
    hasher.update(bytes);
    hasher.finish()
}

fn closing(location: &str, digest: &Digest) -> String {
    format!("{location}?digest={digest}")
}

async fn patch(http: Http, location: &str, range: &str, body: impl Into<Bytes>) -> Reply {
    http.call(Method::PATCH, location, &[("content-range", range)], body).await
}

/// Checks what a client relies on after a push: the answer's headers, then `HEAD` and `GET` at the location.
async fn assert_pushed(http: Http, reply: &Reply, digest: &Digest, bytes: &[u8]) {
    assert_eq!(reply.status(), 201, "{reply:?}");
    assert_eq!(reply.header("docker-content-digest"), digest.to_string());
    let location = reply.header("location");
    let (head, get) = (http.head(location).await, http.get(location).await);
    for reply in [&head, &get] {
        assert_eq!(reply.status(), 200);
        assert_eq!(reply.header("content-length"), bytes.len().to_string());
        assert_eq!(reply.header("content-type"), "application/octet-stream");
        assert_eq!(reply.header("docker-content-digest"), digest.to_string());
        assert_eq!(reply.header("transfer-encoding"), "");
    }
    assert_eq!((&head.body[..], &get.body[..]), (&b""[..], bytes));
}

/// Removes the bytes that a deleted blob leaves.
fn forget(registry: &TestRegistry, digest: &Digest) {
    std::fs::remove_file(registry.root().join("content/blobs/sha256").join(digest.encoded())).unwrap();
}

#[tokio::test]
async fn says_that_it_is_a_registry() {
    let registry = TestRegistry::start();
    let reply = registry.http().get("/v2/").await;
    assert_eq!((reply.status(), &reply.body[..]), (200, &b"{}"[..]));
    assert_eq!(reply.header("docker-distribution-api-version"), "registry/2.0");
}

#[tokio::test]
async fn takes_a_blob_in_every_way_and_algorithm() {
    let registry = TestRegistry::start();
    let http = registry.http();
    for (seed, len) in [(1, 0), (2, 2), (3, 100_000)] {
        let bytes = noise(seed, len);
        for digest in [Digest::sha256(&bytes), sha512(&bytes)] {
            let path = format!("/v2/single/post/blobs/uploads/?digest={digest}");
            let reply = http.call(Method::POST, &path, &[], bytes.clone()).await;
            assert_pushed(http, &reply, &digest, &bytes).await;

            let location = http.start_upload("post/put").await;
            let reply = http.call(Method::PUT, &closing(&location, &digest), &[], bytes.clone()).await;
            assert_pushed(http, &reply, &digest, &bytes).await;

            let location = http.start_upload("post/patch/put").await;
            let reply = http.call(Method::PATCH, &location, &[], bytes.clone()).await;
            assert_eq!(reply.status(), 202);
            let reply = http.call(Method::PUT, &closing(reply.header("location"), &digest), &[], "").await;
            assert_pushed(http, &reply, &digest, &bytes).await;

            let location = http.start_upload("stream").await;
            let pieces = bytes.chunks(7_000).map(Bytes::copy_from_slice).collect();
            let request = Request::patch(&location).body(chunked(pieces)).unwrap();
            let reply = http.send(request).await;
            assert_eq!(reply.status(), 202);
            let request = Request::put(closing(reply.header("location"), &digest)).body(chunked(vec![])).unwrap();
            let reply = http.send(request).await;
            assert_pushed(http, &reply, &digest, &bytes).await;
        }
    }
}

#[tokio::test]
async fn takes_chunks_in_order_and_only_in_order() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let bytes = noise(1, 30);
    let digest = Digest::sha256(&bytes);
    for last_by_put in [false, true] {
        let location = http.start_upload("chunks").await;
        let ahead = patch(http, &location, "10-19", bytes.slice(10..20)).await;
        assert_eq!((ahead.status(), ahead.code().as_str()), (416, "BLOB_UPLOAD_INVALID"));
        assert_eq!((ahead.header("location"), ahead.header("range")), (location.as_str(), "0-0"));

        let first = patch(http, &location, "0-9", bytes.slice(..10)).await;
        assert_eq!((first.status(), first.header("range")), (202, "0-9"));
        let again = patch(http, &location, "0-9", bytes.slice(..10)).await;
        assert_eq!((again.status(), again.header("range")), (416, "0-9"));
        let out_of_order = [("content-range", "20-29")];
        let early = http.call(Method::PUT, &closing(&location, &digest), &out_of_order, bytes.slice(20..)).await;
        assert_eq!(early.status(), 416, "a closing chunk must be in order, too");

        let status = http.get(&location).await;
        assert_eq!((status.status(), status.header("range")), (204, "0-9"), "the session survived");
        assert_eq!(status.header("location"), location);
        let second = patch(http, &location, "10-19", bytes.slice(10..20)).await;
        assert_eq!((second.status(), second.header("range")), (202, "0-19"));

        let (range, rest) = ([("content-range", "20-29")], bytes.slice(20..));
        let reply = if last_by_put {
            http.call(Method::PUT, &closing(&location, &digest), &range, rest).await
        } else {
            assert_eq!(patch(http, &location, "20-29", rest).await.status(), 202);
            http.call(Method::PUT, &closing(&location, &digest), &[], "").await
        };
        assert_pushed(http, &reply, &digest, &bytes).await;
        assert_eq!(http.get(&location).await.code(), "BLOB_UPLOAD_UNKNOWN", "the session is over");
    }
}

#[tokio::test]
async fn refuses_chunks_that_contradict_themselves() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let location = http.start_upload("chunks").await;
    for (range, code) in
        [("bytes 0-3/4", "BLOB_UPLOAD_INVALID"), ("3-0", "BLOB_UPLOAD_INVALID"), ("0-9", "SIZE_INVALID")]
    {
        let reply = patch(http, &location, range, "1234").await;
        assert_eq!((reply.status(), reply.code().as_str()), (400, code), "{range}");
    }
    assert_eq!(http.get(&location).await.header("range"), "0-0");
}

#[tokio::test]
async fn refuses_bytes_that_are_not_what_the_digest_says() {
    let registry = TestRegistry::start();
    let http = registry.http();
    for digest in [Digest::sha256("other"), sha512(b"other")] {
        let single = format!("/v2/a/blobs/uploads/?digest={digest}");
        let reply = http.call(Method::POST, &single, &[], "bytes").await;
        assert_eq!((reply.status(), reply.code().as_str()), (400, "DIGEST_INVALID"));
        for by_patch in [false, true] {
            let location = http.start_upload("a").await;
            let rest = if by_patch {
                http.call(Method::PATCH, &location, &[], "bytes").await;
                ""
            } else {
                "bytes"
            };
            let reply = http.call(Method::PUT, &closing(&location, &digest), &[], rest).await;
            assert_eq!((reply.status(), reply.code().as_str()), (400, "DIGEST_INVALID"));
        }
        assert_eq!(http.head(&format!("/v2/a/blobs/{digest}")).await.status(), 404);
    }
    assert_eq!(http.head(&format!("/v2/a/blobs/{}", Digest::sha256("bytes"))).await.status(), 404);
    for digest in ["", "sha256:00", "md5:d41d8cd98f00b204e9800998ecf8427e", "SHA256:00"] {
        let location = http.start_upload("a").await;
        let reply = http.call(Method::PUT, &format!("{location}?digest={digest}"), &[], "bytes").await;
        assert_eq!((reply.status(), reply.code().as_str()), (400, "DIGEST_INVALID"), "{digest}");
    }
}

#[tokio::test]
async fn mounts_what_the_other_repository_holds() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let digest = http.push_blob("from/here", "shared").await;
    let missing = Digest::sha256("missing");

    let path = format!("/v2/to/there/blobs/uploads/?mount={digest}&from=from%2Fhere");
    let mounted = http.call(Method::POST, &path, &[], "").await;
    assert_pushed(http, &mounted, &Digest::sha256("shared"), b"shared").await;

    for query in [
        format!("mount={missing}&from=from/here"),
        format!("mount={digest}&from=no/such"),
        format!("mount={digest}&from=../etc"),
        format!("mount={missing}"),
    ] {
        let reply = http.call(Method::POST, &format!("/v2/third/blobs/uploads/?{query}"), &[], "").await;
        assert_eq!(reply.status(), 202, "{query}");
        let put = format!("{}?digest={missing}", reply.header("location"));
        assert_eq!(http.call(Method::PUT, &put, &[], "missing").await.status(), 201, "the fallback session works");
        assert_eq!(http.delete(&format!("/v2/third/blobs/{missing}")).await.status(), 202);
        forget(&registry, &missing);
    }
    assert_eq!(http.head(&format!("/v2/third/blobs/{digest}")).await.status(), 404);

    // Without `from` any repository will do (distribution-spec, "Mounting a blob from another repository").
    let anywhere = http.call(Method::POST, &format!("/v2/third/blobs/uploads/?mount={digest}"), &[], "").await;
    assert_pushed(http, &anywhere, &Digest::sha256("shared"), b"shared").await;
}

#[tokio::test]
async fn cancels_an_upload() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let location = http.start_upload("a").await;
    assert_eq!(http.call(Method::PATCH, &location, &[], "x").await.status(), 202);
    let elsewhere = location.replace("/v2/a/", "/v2/b/");
    assert_eq!(http.delete(&elsewhere).await.code(), "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(http.delete(&location).await.status(), 204);
    assert_eq!(http.delete(&location).await.status(), 404);
    assert_eq!(http.call(Method::PATCH, &location, &[], "x").await.code(), "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn serves_ranges() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let bytes = noise(1, 2048);
    let path = format!("/v2/a/blobs/{}", http.push_blob("a", bytes.clone()).await);
    for (range, want, content_range) in [
        ("bytes=500-1499", 500..1500, "bytes 500-1499/2048"),
        ("bytes=500-", 500..2048, "bytes 500-2047/2048"),
        ("bytes=-500", 1548..2048, "bytes 1548-2047/2048"),
        ("bytes=2000-5000", 2000..2048, "bytes 2000-2047/2048"),
    ] {
        let reply = http.call(Method::GET, &path, &[("range", range)], "").await;
        assert_eq!((reply.status(), reply.header("content-range")), (206, content_range));
        assert_eq!(reply.header("content-length"), want.len().to_string());
        assert_eq!(reply.body, bytes.slice(want));
    }
    for range in ["bytes=500-0", "bytes=5000-10000"] {
        let reply = http.call(Method::GET, &path, &[("range", range)], "").await;
        assert_eq!((reply.status(), reply.header("content-range")), (416, "bytes */2048"), "{range}");
    }
    let stale = [("range", "bytes=0-9"), ("if-range", "\"other\"")];
    assert_eq!(http.call(Method::GET, &path, &stale, "").await.status(), 200);
    let etag = http.head(&path).await.header("etag").to_owned();
    let fresh = [("range", "bytes=0-9"), ("if-range", etag.as_str())];
    assert_eq!(http.call(Method::GET, &path, &fresh, "").await.status(), 206);
}

#[tokio::test]
async fn forgets_a_deleted_blob_in_one_repository_only() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let digest = http.push_blob("a", "x").await;
    http.push_blob("b", "x").await;
    let (a, b) = (format!("/v2/a/blobs/{digest}"), format!("/v2/b/blobs/{digest}"));
    assert_eq!(http.delete(&a).await.status(), 202);
    let gone = http.get(&a).await;
    assert_eq!((gone.status(), gone.code().as_str()), (404, "BLOB_UNKNOWN"));
    assert_eq!(http.delete(&a).await.status(), 404);
    assert_eq!(&http.get(&b).await.body[..], b"x");
}

#[tokio::test]
async fn deletes_nothing_unless_allowed() {
    let registry = TestRegistry::start_with(|_| {});
    let http = registry.http();
    let digest = http.push_blob("a", "x").await;
    for path in [format!("/v2/a/blobs/{digest}"), format!("/v2/a/manifests/{digest}"), "/v2/a/manifests/v1".to_owned()]
    {
        let reply = http.delete(&path).await;
        assert_eq!((reply.status(), reply.code().as_str()), (405, "UNSUPPORTED"), "{path}");
        assert!(reply.header("allow").contains("GET"));
    }
    assert_eq!(http.head(&format!("/v2/a/blobs/{digest}")).await.status(), 200);
}
