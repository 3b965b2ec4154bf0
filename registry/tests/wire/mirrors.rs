//! Mirrors from `hosts.toml`: asked first, trusted no more than the registry.

use polyarch_registry::client::{Config, ErrorKind, Registry};

use super::faults::server;
use super::images::{bare_manifest, blob, noise};
use super::script::{Reply, Seen, Server, quick};

pub struct Files(tempfile::TempDir);

impl Files {
    /// Configures `mirrors` for `registry`; each is a URL and what follows it in its table.
    pub fn new(registry: &Server, mirrors: &[(String, &str)]) -> Self {
        let text: String = mirrors.iter().map(|(url, rest)| format!("[host.\"{url}\"]\n{rest}\n")).collect();
        Self::of(registry, &text)
    }

    /// Configures `registry` with this text.
    pub fn of(registry: &Server, text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join(registry.host());
        std::fs::create_dir(&own).unwrap();
        std::fs::write(own.join("hosts.toml"), text).unwrap();
        Self(dir)
    }

    pub fn client(&self) -> Registry {
        Registry::new(Config { cert_dirs: vec![self.0.path().to_owned()], ..quick() })
    }
}

pub fn url(server: &Server) -> String {
    format!("http://{}", server.host())
}

fn serving(text: &'static str) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
    move |seen| {
        let manifest = bare_manifest(text);
        match seen.method.as_str() {
            "GET" | "HEAD" if seen.path.contains("/manifests/") => {
                Reply::body(200, manifest.media_type(), manifest.bytes().clone())
            }
            "POST" => Reply::status(202).with("location", "/v2/x/blobs/uploads/s"),
            "PUT" => Reply::status(201),
            _ => Reply::status(404),
        }
    }
}

#[tokio::test]
async fn reads_go_to_the_mirror_and_writes_to_the_registry() {
    let (registry, mirror) = (server(serving("own")).await, server(serving("mirrored")).await);
    let files = Files::new(&registry, &[(url(&mirror), "[host.\"HOST\".header]\nx-team = \"a\"")]);
    let text = std::fs::read_to_string(files.0.path().join(registry.host()).join("hosts.toml")).unwrap();
    std::fs::write(files.0.path().join(registry.host()).join("hosts.toml"), text.replace("HOST", &url(&mirror)))
        .unwrap();
    let client = files.client();
    let at = registry.reference("x:1");
    assert_eq!(client.get_manifest(&at).await.unwrap(), bare_manifest("mirrored"));
    let seen = mirror.seen().pop().unwrap();
    assert_eq!(seen.path, format!("/v2/x/manifests/1?ns={}", registry.host()));
    assert_eq!(seen.header("x-team"), Some("a"));
    assert!(registry.lines().is_empty(), "{:?}", registry.lines());

    let bytes = noise(1, 10);
    let source = polyarch_registry::client::BytesSource(bytes.clone());
    client.put_blob(&at, &blob(&bytes), &source, None).await.unwrap();
    assert_eq!(registry.lines().len(), 2);
}

#[tokio::test]
async fn a_mirror_that_fails_is_passed_over() {
    let registry = server(serving("own")).await;
    let (empty, broken) = (server(|_| Reply::status(404)).await, server(|_| Reply::status(500)).await);
    let page = server(|_| Reply::body(200, "text/html", "<html>")).await;
    let gone = "http://127.0.0.1:1".to_owned();
    let mirrors = [(url(&empty), ""), (url(&broken), ""), (url(&page), ""), (gone, "")];
    let files = Files::new(&registry, &mirrors);
    let client = files.client();
    for _ in 0..2 {
        assert_eq!(client.get_manifest(&registry.reference("x:1")).await.unwrap(), bare_manifest("own"));
    }
    assert_eq!((empty.lines().len(), broken.lines().len()), (2, 2));
    assert_eq!(page.lines().len(), 1, "what is no registry is left alone for a while");
}

#[tokio::test]
async fn a_mirror_without_the_right_to_resolve_is_asked_by_digest_only() {
    let (registry, mirror) = (server(serving("same")).await, server(serving("same")).await);
    let files = Files::new(&registry, &[(url(&mirror), "capabilities = [\"pull\"]")]);
    let client = files.client();
    let at = registry.reference("x:1");
    client.get_manifest(&at).await.unwrap();
    assert_eq!((registry.lines().len(), mirror.lines().len()), (1, 0));
    client.get_manifest(&at.with_digest(bare_manifest("same").digest().clone())).await.unwrap();
    assert_eq!((registry.lines().len(), mirror.lines().len()), (1, 1));
}

#[tokio::test]
async fn what_a_mirror_serves_is_verified() {
    let (registry, mirror) = (server(serving("own")).await, server(serving("other")).await);
    let files = Files::new(&registry, &[(url(&mirror), "")]);
    let client = files.client();
    let at = registry.reference("x").with_digest(bare_manifest("own").digest().clone());
    assert_eq!(client.get_manifest(&at).await.unwrap_err().kind(), ErrorKind::Mismatch);
}

#[tokio::test]
async fn headers_of_a_mirror_stay_with_it() {
    let storage = server(serving("same")).await;
    let away = format!("{}/v2/x/manifests/1", url(&storage));
    let mirror = server(move |seen| match seen.path.starts_with("/v2/x/manifests/1") {
        true => Reply::status(307).with("location", "/v2/x/moved"),
        false => Reply::status(307).with("location", away.clone()),
    })
    .await;
    let registry = server(serving("own")).await;
    let secret = format!("[host.\"{}\".header]\nauthorization = \"Bearer s\"\nx-token = \"t\"", url(&mirror));
    let files = Files::new(&registry, &[(url(&mirror), &secret)]);
    let client = files.client();
    let got = client.get_manifest(&registry.reference("x:1")).await.unwrap();
    assert_eq!(got, bare_manifest("same"), "{:?} {:?}", mirror.lines(), storage.lines());
    let sent = |seen: &Seen| ["authorization", "x-token"].map(|name| seen.header(name).map(str::to_owned));
    let own = [Some("Bearer s".to_owned()), Some("t".to_owned())];
    assert_eq!(mirror.seen().iter().rev().take(2).map(sent).collect::<Vec<_>>(), [own.clone(), own]);
    assert_eq!(storage.seen().iter().map(sent).collect::<Vec<_>>(), [[None, None]], "another host gets none of them");
}

#[tokio::test]
async fn what_is_trusted_in_a_mirror_is_not_trusted_in_a_registry() {
    let (mirror, _) = Server::start_tls(serving("mirrored")).await;
    let (registry, other) = (server(serving("own")).await, server(serving("other")).await);
    let text = format!("[host.\"https://{}\"]\nskip_verify = true", mirror.host());
    let files = Files::of(&registry, &text);
    let careful = files.0.path().join(other.host());
    std::fs::create_dir(&careful).unwrap();
    std::fs::write(careful.join("hosts.toml"), text.replace("true", "false")).unwrap();
    let client = files.client();
    let at = registry.reference("x:1");
    assert_eq!(client.get_manifest(&at).await.unwrap(), bare_manifest("mirrored"));
    let error = client.get_manifest(&mirror.reference("x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
    // The same place is a mirror of another registry, which does not say so.
    assert_eq!(client.get_manifest(&other.reference("x:1")).await.unwrap(), bare_manifest("other"));
    assert_eq!(client.get_manifest(&at).await.unwrap(), bare_manifest("mirrored"));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_an_error_not_ignored() {
    let registry = server(serving("own")).await;
    let files = Files::new(&registry, &[("ftp://x".to_owned(), "")]);
    let client = files.client();
    let error = client.get_manifest(&registry.reference("x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Local);
    assert!(error.fault().to_string().contains("hosts.toml"), "{:?}", error.fault());
    assert!(registry.lines().is_empty());
}

#[tokio::test]
async fn a_host_without_an_address_has_its_own_error() {
    let error = Registry::new(quick()).get_manifest(&"registry.invalid/x:1".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownHost, "{error:?}");
}
