//! Credentials: who gets them, and who does not.

use std::sync::atomic::{AtomicU32, Ordering};

use polyarch_registry::client::{
    BytesSource, Config, CredentialSources, ErrorKind, Limits, Mounted, RealmPolicy, Registry,
};

use super::images::{bare_manifest, blob, noise};
use super::script::{Reply, Seen, Server, quick};

pub const BASIC: &str = "Basic YWRhOnNlY3JldA==";

pub struct Files(tempfile::TempDir);

impl Files {
    pub fn new(host: &str, entry: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), format!(r#"{{"auths":{{"{host}":{entry}}}}}"#)).unwrap();
        Self(dir)
    }

    pub fn ada(host: &str) -> Self {
        Self::new(host, r#"{"auth":"YWRhOnNlY3JldA=="}"#)
    }

    pub fn config(&self) -> Config {
        let docker_config_dir = Some(self.0.path().to_owned());
        Config { credentials: CredentialSources { docker_config_dir, ..Default::default() }, ..quick() }
    }
}

pub fn challenge(realm: &str) -> Reply {
    let value = format!(r#"Bearer realm="{realm}",service="svc",scope="repository:other:pull,push,delete""#);
    Reply::status(401).with("www-authenticate", value)
}

pub fn token(n: u32, expires_in: u32) -> Reply {
    Reply::body(200, "application/json", format!(r#"{{"token":"t{n}","expires_in":{expires_in}}}"#))
}

fn manifest() -> Reply {
    let manifest = bare_manifest("x");
    Reply::body(200, manifest.media_type(), manifest.bytes().clone())
}

/// A registry with its token endpoint; `accept` decides by the number of the token.
async fn bearer(accept: impl Fn(u32) -> bool + Send + Sync + 'static) -> Server {
    let issued = AtomicU32::new(0);
    Server::start(move |seen| {
        if seen.path.starts_with("/token") {
            return token(issued.fetch_add(1, Ordering::SeqCst), 300);
        }
        let number = seen.header("authorization").and_then(|value| value.strip_prefix("Bearer t")?.parse().ok());
        match number {
            Some(n) if accept(n) && seen.path == "/v2/" => Reply::status(200),
            Some(n) if accept(n) && seen.method == "POST" => Reply::status(201),
            Some(n) if accept(n) => manifest(),
            _ => challenge(&format!("http://{}/token", seen.header("host").unwrap())),
        }
    })
    .await
}

fn tokens(server: &Server) -> Vec<Seen> {
    server.seen().into_iter().filter(|seen| seen.path.starts_with("/token")).collect()
}

#[tokio::test]
async fn one_token_serves_many_requests() {
    let server = bearer(|_| true).await;
    let client = Registry::new(Files::ada(&server.host()).config());
    let at = server.reference("team/app:1");
    let three =
        || async { tokio::join!(client.get_manifest(&at), client.get_manifest(&at), client.head_manifest(&at)) };
    let (one, two, head) = three().await;
    assert!(one.is_ok() && two.is_ok() && head.is_ok());
    three().await.0.unwrap();
    let tokens = tokens(&server);
    assert_eq!(tokens.len(), 1);
    // Our own scope, not the one the registry suggests.
    assert_eq!(tokens[0].path, "/token?service=svc&scope=repository%3Ateam%2Fapp%3Apull");
}

#[tokio::test]
async fn credentials_are_for_their_own_host() {
    let server = bearer(|_| true).await;
    let at = server.reference("x:1");
    let own = Files::ada(&server.host());
    Registry::new(own.config()).get_manifest(&at).await.unwrap();
    let other = Files::ada("127.0.0.1");
    Registry::new(other.config()).get_manifest(&at).await.unwrap();
    let sent: Vec<_> = tokens(&server).iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, [Some(BASIC.to_owned()), None]);
    // The password itself never goes to the registry in a Bearer exchange.
    assert!(
        server.seen().iter().filter(|s| s.path.starts_with("/v2")).all(|s| s.header("authorization") != Some(BASIC))
    );
}

#[tokio::test]
async fn a_rejected_token_is_renewed_once() {
    let server = bearer(|n| n == 1).await;
    let at = server.reference("x:1");
    let client = Registry::new(quick());
    // The first token is refused with a fresh challenge; that answer is final for this attempt.
    assert_eq!(client.get_manifest(&at).await.unwrap_err().kind(), ErrorKind::Unauthorized);
    client.get_manifest(&at).await.unwrap();
    assert_eq!(tokens(&server).len(), 2);
}

#[tokio::test]
async fn endless_challenges_end() {
    let server = bearer(|_| false).await;
    let error = Registry::new(quick()).get_manifest(&server.reference("x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!(tokens(&server).len(), 1);

    let basic = Server::start(|_| Reply::status(401).with("www-authenticate", "Basic realm=\"x\"")).await;
    let files = Files::ada(&basic.host());
    let error = Registry::new(files.config()).get_manifest(&basic.reference("x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    let sent: Vec<_> = basic.seen().iter().map(|seen| seen.header("authorization").is_some()).collect();
    assert_eq!(sent, [false, false, true], "the probe, the first try, the try with credentials");
}

#[tokio::test]
async fn a_mount_asks_for_both_repositories() {
    let server = bearer(|_| true).await;
    let client = Registry::new(quick());
    let (to, from) = (server.reference("to"), server.reference("from"));
    let mounted = client.mount_blob(&to, &blob(&noise(1, 10)), &from).await.unwrap();
    assert!(matches!(mounted, Mounted::Done));
    let path = &tokens(&server)[0].path;
    assert_eq!(path, "/token?service=svc&scope=repository%3Afrom%3Apull&scope=repository%3Ato%3Apull%2Cpush");
}

#[tokio::test]
async fn identity_tokens_are_posted() {
    let server = bearer(|_| true).await;
    let files = Files::new(&server.host(), r#"{"auth":"AAAA:","identitytoken":"refresh me"}"#);
    Registry::new(files.config()).get_manifest(&server.reference("x:1")).await.unwrap();
    let tokens = tokens(&server);
    assert_eq!((tokens[0].method.as_str(), tokens[0].header("authorization")), ("POST", None));
    let body = String::from_utf8(tokens[0].body.to_vec()).unwrap();
    let want =
        "grant_type=refresh_token&service=svc&client_id=polyarch&scope=repository%3Ax%3Apull&refresh_token=refresh+me";
    assert_eq!(body, want);
}

#[tokio::test]
async fn unsafe_realms_get_nothing() {
    for realm in [
        "http://169.254.169.254/token",
        "https://169.254.169.254/token",
        "https://0.0.0.0/token",
        "https://[::]/token",
        "https://user:pass@127.0.0.1/token",
        "http://auth.example.com/token",
        "file:///etc/passwd",
    ] {
        let server = Server::start(move |_| challenge(realm)).await;
        let files = Files::ada(&server.host());
        let error = Registry::new(files.config()).get_manifest(&server.reference("x:1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsafe, "{realm}: {error:?}");
        assert_eq!(server.lines().len(), 1, "{realm}");
    }
}

#[tokio::test]
async fn a_strict_policy_keeps_to_the_registrys_host() {
    let elsewhere = Server::start(|_| token(0, 60)).await;
    let realm = format!("http://localhost:{}/token", elsewhere.address.port());
    let server = Server::start(move |_| challenge(&realm)).await;
    let config = Config { realms: RealmPolicy::SameHost, ..Files::ada(&server.host()).config() };
    let error = Registry::new(config).get_manifest(&server.reference("x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsafe);
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn bad_token_answers_are_errors() {
    let flood = Reply::Endless(vec![("content-type".into(), "application/json".into())]);
    for (answer, kind) in [
        (flood, ErrorKind::TooLarge),
        (Reply::body(200, "text/html", "<html>"), ErrorKind::NotARegistry),
        (Reply::body(200, "application/json", "{}"), ErrorKind::Protocol),
        (Reply::body(200, "application/json", "nonsense"), ErrorKind::Protocol),
        (Reply::body(200, "application/json", r#"{"token":"a\nb"}"#), ErrorKind::Protocol),
        (Reply::status(401), ErrorKind::Unauthorized),
        (Reply::status(307).with("location", "http://127.0.0.1:1/"), ErrorKind::Rejected),
    ] {
        let name = format!("{answer:?}");
        let server = Server::start(move |seen| match seen.path.starts_with("/token") {
            true => answer.clone(),
            false => challenge(&format!("http://{}/token", seen.header("host").unwrap())),
        })
        .await;
        let error = Registry::new(quick()).get_manifest(&server.reference("x:1")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error:?}");
        assert_eq!(tokens(&server).len(), 1, "{name}");
    }
}

#[tokio::test]
async fn redirects_take_no_credentials_along() {
    let bytes = noise(2, 1000);
    let stored = bytes.clone();
    let storage = Server::start(move |_| Reply::Answer(200, vec![], stored.clone())).await;
    let location = format!("http://{}/blob?signature=x", storage.host());
    let server = Server::start(move |seen| match seen.header("authorization") {
        Some(BASIC) => Reply::status(307).with("location", location.clone()).with("set-cookie", "a=b"),
        _ => Reply::status(401).with("www-authenticate", "Basic realm=\"x\""),
    })
    .await;
    let files = Files::ada(&server.host());
    let client = Registry::new(files.config());
    let mut download = client.get_blob(&server.reference("x"), &blob(&bytes)).await.unwrap();
    let mut got = Vec::new();
    while let Some(chunk) = download.chunk().await.unwrap() {
        got.extend_from_slice(&chunk);
    }
    assert!(got == bytes);
    let seen = storage.seen();
    assert_eq!((seen.len(), seen[0].header("authorization"), seen[0].header("cookie")), (1, None, None));
}

/// A token that ends while a blob is on its way in pieces: the next piece gets a new one, and no byte is sent in vain.
#[tokio::test]
async fn a_token_that_ends_during_an_upload_is_renewed() {
    let issued = AtomicU32::new(0);
    let received = std::sync::Mutex::new(0_usize);
    let server = Server::start(move |seen| {
        if seen.path.starts_with("/token") {
            return token(issued.fetch_add(1, Ordering::SeqCst), 300);
        }
        let number: Option<usize> =
            seen.header("authorization").and_then(|value| value.strip_prefix("Bearer t")?.parse().ok());
        let mut received = received.lock().unwrap();
        // Each token is good for two pieces.
        let Some(_) = number.filter(|n| *received < (n + 1) * 2000 || seen.method == "POST") else {
            return challenge(&format!("http://{}/token", seen.header("host").unwrap()));
        };
        match seen.method.as_str() {
            "PATCH" => *received += seen.body.len(),
            "PUT" => return Reply::status(if *received == 5000 { 201 } else { 400 }),
            _ => {}
        }
        Reply::status(202).with("location", "/v2/x/blobs/uploads/s")
    })
    .await;
    let limits = Limits { chunk_bytes: 1000, chunk_above: 0, ..Limits::default() };
    let client = Registry::new(Config { limits, ..Files::ada(&server.host()).config() });
    let bytes = noise(9, 5000);
    client.put_blob(&server.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await.unwrap();
    assert_eq!(tokens(&server).len(), 3, "{:?}", server.lines());
    let posts = server.seen().iter().filter(|seen| seen.method == "POST").count();
    assert_eq!(posts, 2, "the first without a token; one session");
}
