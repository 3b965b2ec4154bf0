//! Who may do what: users, TLS, a registry for reading only, limits.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use polyarch_registry::client::{self, ErrorKind, HostSettings, RetryPolicy};
use polyarch_registry::oci::Digest;
use polyarch_registry::server::{Config, Server, ServerError, TlsFiles, Users};
use polyarch_testkit::layer::noise;
use polyarch_testkit::{Image, TestRegistry};

/// `ada` with password `secret`.
const USERS: &str = "ada:$2y$04$EGxkvoJY4LXHv/rQwT03ku/T3gSdR5kkZmlAOZlEMSHuzoZXbFFTy\n";

fn users(dir: &Path) -> Users {
    let path = dir.join("htpasswd");
    std::fs::write(&path, USERS).unwrap();
    Users::read(&path).unwrap()
}

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

#[tokio::test]
async fn every_request_needs_a_user() {
    let dir = tempfile::tempdir().unwrap();
    let users = users(dir.path());
    let registry = TestRegistry::start_with(|config| config.options.users = Some(users));
    let http = registry.http();
    let put = "/v2/a/blobs/uploads/";
    for (method, path) in [(Method::GET, "/v2/"), (Method::POST, put), (Method::GET, "/nowhere")] {
        for wrong in [None, Some(basic("ada:wrong")), Some(basic("bob:secret")), Some("Bearer x".to_owned())] {
            let headers: Vec<_> = wrong.iter().map(|value| ("authorization", value.as_str())).collect();
            let reply = http.call(method.clone(), path, &headers, "").await;
            assert_eq!((reply.status(), reply.code().as_str()), (401, "UNAUTHORIZED"), "{method} {path} {wrong:?}");
            assert!(reply.header("www-authenticate").starts_with("Basic realm="), "{reply:?}");
        }
    }
    let ada = basic("ada:secret");
    let right = [("authorization", ada.as_str())];
    assert_eq!(http.call(Method::GET, "/v2/", &right, "").await.status(), 200);
    assert_eq!(http.call(Method::POST, put, &right, "").await.status(), 202);
    assert_eq!(http.call(Method::GET, "/nowhere", &right, "").await.status(), 404);
    let head = http.head("/v2/").await;
    assert_eq!((head.status(), head.body.len()), (401, 0));
}

#[tokio::test]
async fn a_refused_upload_still_gets_its_answer() {
    let dir = tempfile::tempdir().unwrap();
    let users = users(dir.path());
    let registry = TestRegistry::start_with(|config| config.options.users = Some(users));
    let path = format!("/v2/a/blobs/uploads/?digest={}", Digest::sha256("x"));
    let reply = registry.http().call(Method::POST, &path, &[], noise(1, 4_000_000)).await;
    assert_eq!(reply.code(), "UNAUTHORIZED");
}

fn certificate(dir: &Path) -> TlsFiles {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    let (cert, key) = (dir.join("cert.pem"), dir.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    TlsFiles { cert, key }
}

fn client(host: &str, ca_files: Vec<PathBuf>) -> client::Registry {
    let settings = HostSettings { ca_files, ..HostSettings::default() };
    let hosts = [(host.to_owned(), settings)].into();
    client::Registry::new(client::Config { hosts, retry: RetryPolicy::never(), ..client::Config::default() })
}

#[tokio::test]
async fn serves_tls() {
    let dir = tempfile::tempdir().unwrap();
    let files = certificate(dir.path());
    let registry = TestRegistry::start_with(|config| config.tls = Some(files.clone()));
    let at = registry.reference("a:v1").parse().unwrap();
    let host = registry.addr().to_string();
    let trusting = client(&host, vec![files.cert.clone()]);
    let built = Image::small("linux/amd64").build();
    trusting.ping(&at).await.unwrap();
    for (bytes, descriptor) in built.blobs.iter().map(|bytes| {
        let digest = Digest::sha256(bytes);
        (bytes.clone(), polyarch_registry::oci::Descriptor::new("x", digest, bytes.len() as u64))
    }) {
        trusting.put_blob(&at, &descriptor, &client::BytesSource(bytes), None).await.unwrap();
    }
    trusting.put_manifest(&at, &built.manifest).await.unwrap();
    assert_eq!(trusting.get_manifest(&at).await.unwrap(), built.manifest);

    let error = client(&host, vec![]).ping(&at).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_an_error_before_anything_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new("127.0.0.1:0".parse().unwrap(), dir.path().join("root"));
    config.tls = Some(TlsFiles { cert: dir.path().join("none"), key: dir.path().join("none") });
    assert!(matches!(Server::bind(config).await.err(), Some(ServerError::Tls(_))));
    assert!(!dir.path().join("root").exists());
}

#[tokio::test]
async fn a_registry_for_reading_takes_nothing() {
    let mut registry = TestRegistry::start();
    let built = Image::small("linux/amd64").build();
    registry.http().push_image("a", "v1", &built).await;
    registry.restart_with(|config| config.options.read_only = true);
    let http = registry.http();
    assert_eq!(&http.get("/v2/a/manifests/v1").await.body, built.manifest.bytes());
    let blob = format!("/v2/a/blobs/{}", Digest::sha256("x"));
    for (method, path) in [
        (Method::POST, "/v2/a/blobs/uploads/"),
        (Method::PUT, "/v2/a/manifests/v1"),
        (Method::DELETE, "/v2/a/manifests/v1"),
        (Method::DELETE, blob.as_str()),
    ] {
        let reply = http.call(method.clone(), path, &[], "{}").await;
        assert_eq!((reply.status(), reply.code().as_str()), (405, "UNSUPPORTED"), "{method} {path}");
        assert_eq!(reply.header("allow"), "GET, HEAD");
    }
    assert_eq!(http.head("/v2/a/manifests/v1").await.status(), 200);
}

#[tokio::test]
async fn blobs_have_a_limit_where_one_is_set() {
    let registry = TestRegistry::start_with(|config| config.options.blob_limit = Some(1000));
    let http = registry.http();
    let (fits, over) = (noise(1, 1000), noise(2, 1001));
    http.push_blob("a", fits.clone()).await;
    let too_large = |reply: polyarch_testkit::http::Reply| {
        assert_eq!((reply.status(), reply.code().as_str()), (413, "SIZE_INVALID"), "{reply:?}");
    };
    let digest = Digest::sha256(&over);
    too_large(http.call(Method::POST, &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], over.clone()).await);
    let location = http.start_upload("a").await;
    too_large(http.call(Method::PUT, &format!("{location}?digest={digest}"), &[], over.clone()).await);
    let location = http.start_upload("a").await;
    assert_eq!(http.call(Method::PATCH, &location, &[], over.slice(..600)).await.status(), 202);
    too_large(http.call(Method::PATCH, &location, &[], over.slice(600..)).await);
    assert_eq!(http.get(&location).await.header("range"), "0-599", "what was taken stays");
    let pieces = over.chunks(100).map(bytes::Bytes::copy_from_slice).collect();
    let location = http.start_upload("a").await;
    let request = http::Request::patch(&location).body(polyarch_testkit::http::chunked(pieces)).unwrap();
    too_large(http.send(request).await);
    assert_eq!(http.head(&format!("/v2/a/blobs/{digest}")).await.status(), 404);
}
