//! Against docker-registry: what every registry client must do.

use std::process::Command;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use polyarch_registry::client::{
    BytesSource, ClientCert, Config, CredentialSources, ErrorKind, Fault, HostSettings, Mounted, Progress, Registry,
    Security,
};
use polyarch_registry::oci::Digest;
use tokio::io::AsyncReadExt as _;

use super::images::{bare_manifest, blob, noise};
use super::real::{Options, RealRegistry};
use super::script::quick;

fn with_ada(config: Config, registry: &RealRegistry) -> Config {
    let text = format!(r#"{{"auths":{{"{}":{{"auth":"YWRhOnNlY3JldA=="}}}}}}"#, registry.host());
    std::fs::write(registry.dir.path().join("config.json"), text).unwrap();
    let docker_config_dir = Some(registry.dir.path().to_owned());
    Config { credentials: CredentialSources { docker_config_dir, ..Default::default() }, ..config }
}

async fn blobs_and_manifests(client: &Registry, registry: &RealRegistry) {
    let at = registry.reference("team/app:1");
    let bytes = noise(1, 3 << 20);
    let descriptor = blob(&bytes);
    assert_eq!(client.blob_exists(&at, &descriptor).await.unwrap(), None);

    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&steps);
    let progress: Progress = Arc::new(move |sent| seen.lock().unwrap().push(sent));
    client.put_blob(&at, &descriptor, &BytesSource(bytes.clone()), Some(progress)).await.unwrap();
    assert_eq!(steps.lock().unwrap().last(), Some(&descriptor.size));
    assert_eq!(client.blob_exists(&at, &descriptor).await.unwrap(), Some(descriptor.size));

    let mut read = Vec::new();
    let mut reader = Box::pin(client.get_blob(&at, &descriptor).await.unwrap().into_reader());
    reader.read_to_end(&mut read).await.unwrap();
    assert!(bytes == read, "the blob came back changed");

    let empty = blob(&Bytes::from_static(b"{}"));
    client.put_blob(&at, &empty, &BytesSource(Bytes::from_static(b"{}")), None).await.unwrap();
    let manifest = bare_manifest("one");
    assert_eq!(client.head_manifest(&at).await.unwrap(), None);
    assert_eq!(client.get_manifest(&at).await.unwrap_err().kind(), ErrorKind::NotFound);
    let pushed = client.put_manifest(&at, &manifest).await.unwrap();
    assert_eq!(pushed.digest, *manifest.digest());
    assert_eq!(client.get_manifest(&at).await.unwrap(), manifest);
    let by_digest = at.with_digest(manifest.digest().clone());
    assert_eq!(client.get_manifest(&by_digest).await.unwrap(), manifest);
    let head = client.head_manifest(&at).await.unwrap().unwrap();
    assert_eq!((head.digest.as_ref(), head.size), (Some(manifest.digest()), Some(manifest.bytes().len() as u64)));
    assert_eq!(client.tags(&at).await.unwrap().tags.into_iter().collect::<Vec<_>>(), ["1"]);

    client.delete_manifest(&by_digest).await.unwrap();
    assert_eq!(client.head_manifest(&by_digest).await.unwrap(), None);
    client.delete_manifest(&by_digest).await.unwrap();
}

#[tokio::test]
async fn plain_http_on_loopback_is_found_out() {
    let Some(registry) = RealRegistry::start(Options::default()) else { return };
    let client = Registry::new(quick());
    client.ping(&registry.reference("x")).await.unwrap();
    blobs_and_manifests(&client, &registry).await;
}

#[tokio::test]
async fn users_and_tls() {
    let Some(registry) = RealRegistry::start(Options { users: true, tls: true, ..Options::default() }) else { return };
    let at = registry.reference("team/app:1");

    let untrusting = Registry::new(quick());
    let error = untrusting.ping(&at).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");

    let trusting = Config { hosts: [(registry.host(), registry.trusted())].into(), ..quick() };
    let anonymous = Registry::new(trusting.clone());
    assert_eq!(anonymous.ping(&at).await.unwrap_err().kind(), ErrorKind::Unauthorized);
    blobs_and_manifests(&Registry::new(with_ada(trusting, &registry)), &registry).await;
}

#[tokio::test]
async fn certificates_from_a_certs_d_directory_or_none_at_all() {
    let Some(registry) = RealRegistry::start(Options { tls: true, ..Options::default() }) else { return };
    let at = registry.reference("x");
    let dir = registry.dir.path().join("certs.d").join(registry.host());
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::copy(registry.ca(), dir.join("ca.crt")).unwrap();
    let from_dir = Config { cert_dirs: vec![registry.dir.path().join("certs.d")], ..quick() };
    Registry::new(from_dir).ping(&at).await.unwrap();

    let mut skipping = registry.trusted();
    skipping.ca_files.clear();
    skipping.security = Security::SkipVerify;
    let skipping = Config { hosts: [(registry.host(), skipping)].into(), ..quick() };
    Registry::new(skipping).ping(&at).await.unwrap();

    let mut broken = registry.trusted();
    broken.ca_files = vec![registry.dir.path().join("config.yml")];
    let broken = Config { hosts: [(registry.host(), broken)].into(), ..quick() };
    assert_eq!(Registry::new(broken).ping(&at).await.unwrap_err().kind(), ErrorKind::Local);
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let options = Options { tls: true, client_certs: true, ..Options::default() };
    let Some(registry) = RealRegistry::start(options) else { return };
    let at = registry.reference("x");
    let bare = Config { hosts: [(registry.host(), registry.trusted())].into(), ..quick() };
    let error = Registry::new(bare).ping(&at).await.unwrap_err();
    // With TLS 1.3 the refusal comes after the handshake: the alert is read, or the connection is closed first.
    assert!(matches!(error.fault(), Fault::ClientCertificate(_)), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Tls);

    let client_cert = Some(ClientCert { cert: registry.ca(), key: registry.key() });
    let settings = HostSettings { client_cert, ..registry.trusted() };
    let config = Config { hosts: [(registry.host(), settings)].into(), ..quick() };
    Registry::new(config).ping(&at).await.unwrap();
}

#[tokio::test]
async fn wrong_password_is_one_clear_error() {
    let Some(registry) = RealRegistry::start(Options { users: true, ..Options::default() }) else { return };
    let mut config = with_ada(quick(), &registry);
    let text = format!(r#"{{"auths":{{"{}":{{"auth":"YWRhOndyb25n"}}}}}}"#, registry.host());
    std::fs::write(registry.dir.path().join("config.json"), text).unwrap();
    let error = Registry::new(config.clone()).ping(&registry.reference("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(!format!("{error:?}").contains("YWRh"), "{error:?}");

    config.credentials.docker_config_dir = None;
    let error = Registry::new(config).ping(&registry.reference("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
}

#[tokio::test]
async fn mounts_across_repositories() {
    let Some(registry) = RealRegistry::start(Options::default()) else { return };
    let client = Registry::new(quick());
    let (from, to) = (registry.reference("from"), registry.reference("to"));
    let bytes = noise(2, 5000);
    let descriptor = blob(&bytes);
    client.put_blob(&from, &descriptor, &BytesSource(bytes.clone()), None).await.unwrap();
    assert!(matches!(client.mount_blob(&to, &descriptor, &from).await.unwrap(), Mounted::Done));
    assert_eq!(client.blob_exists(&to, &descriptor).await.unwrap(), Some(5000));

    let other = noise(3, 5000);
    let absent = blob(&other);
    let Mounted::Upload(session) = client.mount_blob(&to, &absent, &from).await.unwrap() else { panic!("mounted") };
    client.put_blob_into(session, (&to, &absent), &BytesSource(other), None).await.unwrap();
    assert_eq!(client.blob_exists(&to, &absent).await.unwrap(), Some(5000));
}

#[tokio::test]
async fn a_source_that_is_not_its_digest_is_refused() {
    let Some(registry) = RealRegistry::start(Options::default()) else { return };
    let client = Registry::new(quick());
    let at = registry.reference("x");
    let bytes = noise(4, 1000);
    let mut lie = blob(&bytes);
    lie.digest = Digest::sha256("something else");
    let error = client.put_blob(&at, &lie, &BytesSource(bytes.clone()), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected, "{error:?}");
    let mut long = blob(&bytes);
    long.size += 1;
    let error = client.put_blob(&at, &long, &BytesSource(bytes), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Local, "{error:?}");
}

#[tokio::test]
async fn nobody_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("{}/x", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let error = Registry::new(quick()).ping(&at).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
}

/// skopeo, or `None` after saying that it is missing.
pub fn skopeo(args: &[&str]) -> Option<serde_json::Value> {
    let output = match Command::new("skopeo").args(args).output() {
        Ok(output) => output,
        Err(_) => {
            assert!(std::env::var("POLYARCH_BED_REQUIRED").is_err(), "skopeo is not installed");
            eprintln!("skipped: skopeo is not installed");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap_or_default())
}
