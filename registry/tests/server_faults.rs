//! What breaks: restarts, broken connections, races, hostile paths and heads.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::Method;
use polyarch_registry::oci::Digest;
use polyarch_registry::server::{Config, Server, ServerError};
use polyarch_registry::store::{LayoutStore, StoreError};
use polyarch_testkit::layer::noise;
use polyarch_testkit::{Http, Index, TestRegistry};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends bytes, then reads until the server closes.
async fn raw(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Asks until the session has that many bytes: the server notices a broken connection in its own time.
async fn await_range(http: Http, location: &str, range: &str) {
    let wait = async { while http.get(location).await.header("range") != range {} };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
}

#[tokio::test]
async fn everything_acknowledged_survives_a_restart() {
    let mut registry = TestRegistry::start();
    let index = Index::small(&["linux/amd64", "linux/arm64"]);
    let manifest = registry.http().push_index("a/b", "v1", &index).await;
    let blob = registry.http().push_blob("c", noise(1, 100_000)).await;
    let open = registry.http().start_upload("c").await;
    registry.http().call(Method::PATCH, &open, &[], noise(2, 3_000_000)).await;

    registry.restart();
    let http = registry.http();
    assert_eq!(&http.get("/v2/a/b/manifests/v1").await.body, manifest.bytes());
    assert_eq!(http.get(&format!("/v2/c/blobs/{blob}")).await.body, noise(1, 100_000));
    for blob in index.build().1.iter().flat_map(|image| &image.blobs) {
        assert_eq!(&http.get(&format!("/v2/a/b/blobs/{}", Digest::sha256(blob))).await.body, blob);
    }
    assert_eq!(http.get(&open).await.code(), "BLOB_UPLOAD_UNKNOWN");
    let left = std::fs::read_dir(registry.root().join("content/ingest")).unwrap().count();
    assert_eq!(left, 0, "an open upload leaves nothing");
}

#[tokio::test]
async fn one_directory_has_one_server() {
    let registry = TestRegistry::start();
    let second = Server::bind(Config::new("127.0.0.1:0".parse().unwrap(), registry.root())).await;
    assert!(matches!(second.err(), Some(ServerError::InUse { root }) if root == registry.root()));
}

#[tokio::test]
async fn the_content_of_a_running_server_is_not_collected() {
    let registry = TestRegistry::start();
    let store = LayoutStore::open(registry.root().join("content")).await.unwrap();
    assert!(matches!(store.gc().await, Err(StoreError::InUse { .. })));
}

#[tokio::test]
async fn a_taken_address_is_an_error() {
    let registry = TestRegistry::start();
    let root = registry.scratch().join("other");
    let second = Server::bind(Config::new(registry.addr(), root)).await;
    assert!(matches!(second.err(), Some(ServerError::Bind { addr, .. }) if addr == registry.addr()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_may_push_the_same_blob_at_once() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let bytes = noise(1, 2_000_000);
    let digest = Digest::sha256(&bytes);
    let push = |i: usize| {
        let bytes = bytes.clone();
        let digest = digest.clone();
        async move {
            let repo = format!("repo{}", i % 3);
            let location = http.start_upload(&repo).await;
            let half = bytes.len() / 2;
            let patched = http.call(Method::PATCH, &location, &[], bytes.slice(..half)).await;
            assert_eq!(patched.status(), 202);
            let put = format!("{location}?digest={digest}");
            http.call(Method::PUT, &put, &[], bytes.slice(half..)).await.status()
        }
    };
    assert_eq!(join_all((0..12).map(push)).await, [201; 12]);
    for repo in ["repo0", "repo1", "repo2"] {
        assert_eq!(http.get(&format!("/v2/{repo}/blobs/{digest}")).await.body, bytes);
    }
}

#[tokio::test]
async fn an_upload_resumes_after_a_broken_connection() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let bytes = noise(1, 1_000_000);
    let location = http.start_upload("a").await;
    let mut stream = TcpStream::connect(registry.addr()).await.unwrap();
    let head = format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", bytes.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&bytes[..400_000]).await.unwrap();
    await_range(http, &location, "0-399999").await;
    let busy = http.call(Method::PATCH, &location, &[], "x").await;
    assert_eq!((busy.status(), busy.code().as_str()), (429, "TOOMANYREQUESTS"), "one writer at a time");
    drop(stream);

    let put = format!("{location}?digest={}", Digest::sha256(&bytes));
    let finish = async {
        loop {
            let rest = [("content-range", "400000-999999")];
            let reply = http.call(Method::PUT, &put, &rest, bytes.slice(400_000..)).await;
            if reply.status() != 429 {
                break reply;
            }
        }
    };
    let reply = tokio::time::timeout(Duration::from_secs(20), finish).await.unwrap();
    assert_eq!(reply.status(), 201, "{reply:?}");
    assert_eq!(http.get(reply.header("location")).await.body, bytes);
}

#[tokio::test]
async fn a_push_that_breaks_off_leaves_nothing() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let bytes = noise(1, 1_000_000);
    let digest = Digest::sha256(&bytes);
    let head =
        format!("POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n");
    let mut stream = TcpStream::connect(registry.addr()).await.unwrap();
    stream.write_all(&[head.as_bytes(), &bytes[..500_000]].concat()).await.unwrap();
    stream.shutdown().await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    assert_eq!(http.head(&format!("/v2/a/blobs/{digest}")).await.status(), 404);
    assert_eq!(http.push_blob("a", bytes).await, digest.to_string(), "and can be repeated");
}

#[tokio::test]
async fn a_silent_client_is_given_up_and_may_resume() {
    let registry = TestRegistry::start_with(|config| config.options.body_idle = Duration::from_millis(50));
    let http = registry.http();
    let location = http.start_upload("a").await;
    let head = format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc");
    let answer = raw(registry.addr(), head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(http.get(&location).await.header("range"), "0-2");
}

#[tokio::test]
async fn a_refused_large_body_still_gets_its_answer() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let location = http.start_upload("a").await;
    let range = [("content-range", "5-8000004")];
    let reply = http.call(Method::PATCH, &location, &range, noise(1, 8_000_000)).await;
    assert_eq!(reply.status(), 416);
    let reply = http.call(Method::POST, "/v2/Bad/blobs/uploads/", &[], noise(1, 8_000_000)).await;
    assert_eq!(reply.code(), "NAME_INVALID");
}

#[tokio::test]
async fn hostile_paths_reach_nothing() {
    let registry = TestRegistry::start();
    std::fs::write(registry.scratch().join("secret"), "secret").unwrap();
    let hex = "0".repeat(64);
    for (path, status) in [
        ("/v2/../../secret".to_owned(), 404),
        ("/v2/../v2/".to_owned(), 404),
        ("/v2/..%2f..%2fsecret/tags/list".to_owned(), 400),
        ("/v2/a/../../b/tags/list".to_owned(), 400),
        ("/v2/a/manifests/..%2f..%2f..%2fsecret".to_owned(), 404),
        ("/v2/a/manifests/%00".to_owned(), 404),
        ("/v2/a/blobs/sha256:..%2f..%2fsecret".to_owned(), 404),
        ("/v2/a/blobs/sha256:%2e%2e".to_owned(), 400),
        ("/v2/a/blobs/uploads/..%2f..%2fsecret".to_owned(), 404),
        (format!("/v2/_blobs/blobs/sha256:{hex}"), 400),
        (format!("/v2/{}/tags/list", "a".repeat(300)), 400),
        (format!("/v2/{}/tags/list", "a/".repeat(200) + "a"), 400),
        (format!("/v2/a/blobs/x:{}", "y".repeat(5000)), 400),
        (format!("/v2/a/blobs/blake3:{hex}"), 404),
        (format!("/v2/a/manifests/blake3:{hex}"), 404),
        (format!("/v2/a/referrers/blake3:{hex}"), 200),
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = raw(registry.addr(), head.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path:.80}: {answer}");
    }
    let put =
        "PUT /v2/..%2f..%2fx/manifests/v1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
    assert!(raw(registry.addr(), put.as_bytes()).await.starts_with("HTTP/1.1 400 "));
    let names: Vec<_> =
        std::fs::read_dir(registry.scratch()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[tokio::test]
async fn hostile_heads_end_the_connection_only() {
    let registry = TestRegistry::start();
    let big = format!("GET /v2/ HTTP/1.1\r\nhost: x\r\nx-big: {}\r\n\r\n", "y".repeat(2 << 20));
    let many = format!("GET /v2/ HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-many: y\r\n".repeat(5000));
    let long = format!("GET /v2/{} HTTP/1.1\r\nhost: x\r\n\r\n", "y".repeat(2 << 20));
    let chunk =
        "PUT /v2/a/manifests/v1 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n"
            .to_owned();
    let both =
        "PUT /v2/a/manifests/v1 HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n{}".to_owned();
    for head in [big, many, long, chunk, both, "\0\r\n\r\n".to_owned()] {
        let answer = raw(registry.addr(), head.as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{head:.40}: {answer}");
    }
    assert_eq!(registry.http().get("/v2/").await.status(), 200);
}

#[tokio::test]
async fn errors_have_the_specs_shape() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let reply = http.get("/v2/a/manifests/v1").await;
    assert_eq!(reply.header("content-type"), "application/json");
    let error = &reply.json()["errors"][0];
    assert_eq!((error["code"].as_str(), error["detail"]["reference"].as_str()), (Some("MANIFEST_UNKNOWN"), Some("v1")));
    assert!(error["message"].is_string());
    let reply = http.call(Method::PATCH, "/v2/a/tags/list", &[], "").await;
    assert_eq!((reply.status(), reply.header("allow"), reply.code().as_str()), (405, "GET, HEAD", "UNSUPPORTED"));
    let head = http.head("/v2/a/manifests/v1").await;
    assert_eq!((head.status(), head.body), (404, Bytes::new()));
}

#[tokio::test]
async fn stopping_lets_a_running_request_finish_but_not_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), dir.path());
    config.grace = Duration::from_millis(200);
    let server = Server::bind(config).await.unwrap();
    let addr = server.addr();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let client = async {
        let location = Http::new(addr).start_upload("a").await;
        let mut stuck = TcpStream::connect(addr).await.unwrap();
        let head = format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc");
        stuck.write_all(head.as_bytes()).await.unwrap();
        await_range(Http::new(addr), &location, "0-2").await;
        stop.send(()).unwrap();
        let mut answer = Vec::new();
        let _ = stuck.read_to_end(&mut answer).await;
        answer
    };
    let run = server.run(async { drop(stopped.await) });
    let both = futures::future::join(run, client);
    let ((), answer) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    assert_eq!(answer, b"", "the stuck connection was closed");
    assert!(TcpStream::connect(addr).await.is_err());
}
