//! Realms and tokens.

use polyarch_registry::client::{Config, ErrorKind, HostSettings, RealmPolicy, Registry};
use polyarch_testkit::hostile::{realm_at, token};
use polyarch_testkit::script::{Reply, Server};

use super::{Files, leaked, serve, start};

/// "realm-without-tls": no request is sent to it.
#[tokio::test]
async fn a_realm_without_tls_of_a_registry_with_it() {
    let realm = Server::start(|_| token()).await;
    let script = realm_at(format!("http://{}/token", realm.host()));
    let (server, pem) = Server::start_tls(move |seen| script(seen)).await;
    let files = Files::of(&server.host());
    let ca = files.0.path().join("ca.pem");
    std::fs::write(&ca, pem).unwrap();
    let settings = HostSettings { ca_files: vec![ca], ..HostSettings::default() };
    let config = Config { hosts: [(server.host(), settings)].into(), ..files.config() };
    let error = Registry::new(config).get_manifest(&server.reference("x:1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsafe, "{error:?}");
    assert!(realm.seen().is_empty() && !leaked(&server));
}

/// "realm-at-cloud-metadata" and "realm-at-an-address-in-disguise"; the same places named by a public registry are in
/// the pool's own tests, names that resolve to them in the resolver's.
#[tokio::test]
async fn a_realm_at_a_place_that_nobody_may_name() {
    for realm in [
        "http://169.254.169.254/token",
        "https://169.254.169.254/token",
        "https://0.0.0.0/token",
        "https://[::]/token",
        "https://[::ffff:169.254.169.254]/token",
        "https://2852039166/token",
        "https://0xa9.0xfe.0xa9.0xfe/token",
    ] {
        let server = serve(realm_at(realm.to_owned())).await;
        let files = Files::of(&server.host());
        let error = files.client().get_manifest(&server.reference("x:1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsafe, "{realm}: {error:?}");
        assert!(!leaked(&server), "{realm}");
    }
}

/// "realm-on-another-host": allowed, unless the user is strict.
#[tokio::test]
async fn a_realm_on_another_host() {
    let realm = Server::start(|_| token()).await;
    let server = serve(realm_at(format!("http://localhost:{}/token", realm.address.port()))).await;
    let at = server.reference("x:1");
    let strict = Config { realms: RealmPolicy::SameHost, ..Files::of(&server.host()).config() };
    assert_eq!(Registry::new(strict).get_manifest(&at).await.unwrap_err().kind(), ErrorKind::Unsafe);
    assert!(realm.seen().is_empty());

    Files::of(&server.host()).client().get_manifest(&at).await.unwrap();
    assert!(leaked(&realm), "it is the registry's own token endpoint");
    let others = Server::start(|_| token()).await;
    let server = serve(realm_at(format!("http://localhost:{}/token", others.address.port()))).await;
    Files::of(&others.host()).client().get_manifest(&server.reference("x:1")).await.unwrap();
    assert!(!leaked(&others), "only for the registry whose realm it is");
}

#[tokio::test]
async fn a_wider_scope_is_not_asked_for() {
    let server = start("challenge-for-a-wider-scope").await;
    server_get(&server).await.unwrap();
    let tokens: Vec<_> = server.lines().into_iter().filter(|line| line.contains("/token")).collect();
    assert_eq!(tokens, ["GET /token?service=svc&scope=repository%3Ax%3Apull"]);
}

#[tokio::test]
async fn a_token_has_a_budget() {
    let server = start("token-without-end").await;
    assert_eq!(server_get(&server).await.unwrap_err().kind(), ErrorKind::TooLarge);
    for (answer, kind) in [
        (Reply::body(200, "text/html", "<html>"), ErrorKind::NotARegistry),
        (Reply::body(200, "application/json", "{}"), ErrorKind::Protocol),
        (Reply::status(307).with("location", "http://127.0.0.1:1/"), ErrorKind::Rejected),
    ] {
        let server = serve(polyarch_testkit::hostile::guarded(move |_| answer.clone())).await;
        assert_eq!(server_get(&server).await.unwrap_err().kind(), kind);
    }
}

async fn server_get(server: &Server) -> Result<(), polyarch_registry::client::ClientError> {
    Files::of("elsewhere.example.com").client().get_manifest(&server.reference("x:1")).await.map(drop)
}

/// Credentials of `ghcr.io` are not for a host that looks like it.
#[tokio::test]
async fn names_that_look_alike_get_nothing() {
    for own in ["ghcr.io", "127.0.0.1", "127.0.0.1:1"] {
        let server = serve(polyarch_testkit::hostile::registry(|_| {
            Reply::status(401).with("www-authenticate", "Basic realm=\"x\"")
        }))
        .await;
        let error = Files::of(own).client().get_manifest(&server.reference("x:1")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
        assert!(!leaked(&server), "{own}");
    }
    for bad in ["user:pass@ghcr.io/x", "ghcr.io/..//x", "https://ghcr.io/x"] {
        assert!(bad.parse::<polyarch_registry::oci::Reference>().is_err(), "{bad}");
    }
}
