//! What a daemon that works for the user gets of the user's credentials.

use std::collections::BTreeSet;
use std::time::Duration;

use polyarch_registry::client::{ErrorKind, LentToken, Registry, Secret, TokenLoan};

use super::auth::{BASIC, Files, challenge, token};
use super::script::{Reply, Seen, Server, quick};

/// A registry that names this token endpoint when it is asked at a path that `asks`.
async fn registry(realm: impl Fn(&Seen) -> String + Send + Sync + 'static, asks: &'static str) -> Server {
    Server::start(move |seen| match seen.path.as_str() {
        path if path.starts_with("/token") => token(7, 300),
        path if path.starts_with(asks) => challenge(&realm(seen)),
        _ => Reply::status(200),
    })
    .await
}

async fn lend(client: &Registry, host: &str, realm: &str) -> Result<LentToken, ErrorKind> {
    let scopes = ["repository:team/app:pull".to_owned(), "repository:other:pull,push".to_owned()];
    let push = BTreeSet::new();
    let loan = TokenLoan { host, realm, service: "svc", scopes: &scopes, push: &push };
    client.lend_token(loan).await.map_err(|error| error.kind())
}

fn authorizations(server: &Server) -> Vec<Option<String>> {
    server.seen().iter().map(|seen| seen.header("authorization").map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_token_of_the_registrys_own_host_is_fetched_with_the_password() {
    let server = registry(|_| unreachable!(), "/nothing").await;
    let files = Files::ada(&server.host());
    let client = Registry::new(files.config());
    let lent = lend(&client, &server.host(), &format!("http://{}/token", server.host())).await.unwrap();
    assert_eq!(lent.secret, Secret::new("t7"));
    assert!(lent.lifetime > Duration::from_secs(290) && lent.lifetime <= Duration::from_secs(300), "{lent:?}");
    let asked = server.seen().into_iter().find(|seen| seen.path.starts_with("/token")).unwrap();
    assert_eq!(asked.header("authorization"), Some(BASIC));
    // Pushing to another repository is not what this build is about.
    assert_eq!(asked.path, "/token?service=svc&scope=repository%3Aother%3Apull&scope=repository%3Ateam%2Fapp%3Apull");
}

#[tokio::test]
async fn an_endpoint_elsewhere_must_be_named_by_the_registry() {
    for asks in ["/v2/", "/v2/team/"] {
        let endpoint = Server::start(|_| token(8, 60)).await;
        let realm = format!("http://localhost:{}/token", endpoint.address.port());
        let named = realm.clone();
        let server = registry(move |_| named.clone(), asks).await;
        let files = Files::ada(&server.host());
        let client = Registry::new(files.config());
        assert_eq!(lend(&client, &server.host(), &realm).await.unwrap().secret, Secret::new("t8"), "{asks}");
        assert_eq!(authorizations(&endpoint), [Some(BASIC.to_owned())]);
        assert!(authorizations(&server).iter().all(Option::is_none), "the registry itself is asked without");
    }
}

#[tokio::test]
async fn an_endpoint_a_daemon_makes_up_gets_nothing() {
    let evil = Server::start(|_| token(9, 60)).await;
    let server = registry(|seen| format!("http://{}/token", seen.header("host").unwrap()), "/v2/").await;
    let files = Files::ada(&server.host());
    let client = Registry::new(files.config());
    for realm in [
        format!("http://localhost:{}/token", evil.address.port()),
        format!("http://{}/token", evil.host()),
        format!("http://me:pw@{}/token", server.host()),
        "http://auth.example.com/token".to_owned(),
        "https://169.254.169.254/token".to_owned(),
        "nonsense".to_owned(),
    ] {
        let refused = lend(&client, &server.host(), &realm).await.unwrap_err();
        assert!(matches!(refused, ErrorKind::Unsafe | ErrorKind::Protocol), "{realm}: {refused:?}");
    }
    assert!(evil.seen().is_empty());
    assert!(authorizations(&server).iter().all(Option::is_none));
}

#[tokio::test]
async fn tokens_beyond_repositories_are_not_lent() {
    let server = registry(|_| unreachable!(), "/nothing").await;
    let files = Files::ada(&server.host());
    let client = Registry::new(files.config());
    let (host, realm) = (server.host(), format!("http://{}/token", server.host()));
    let scopes = ["registry:catalog:*".to_owned()];
    let push = BTreeSet::new();
    let loan = TokenLoan { host: &host, realm: &realm, service: "svc", scopes: &scopes, push: &push };
    let error = client.lend_token(loan).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsafe);
    assert!(error.fault().to_string().contains("registry:catalog:*"), "{error}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn credentials_of_a_path_are_for_its_repositories() {
    let server = registry(|_| unreachable!(), "/nothing").await;
    let host = server.host();
    let files = Files::new(&format!("{host}/team"), r#"{"auth":"YWRhOnNlY3JldA=="}"#);
    let client = Registry::new(files.config());
    assert!(client.can_lend(&host).await.unwrap());
    let realm = format!("http://{host}/token");
    let push = BTreeSet::new();
    for repository in ["team/app", "other"] {
        let scopes = [format!("repository:{repository}:pull")];
        let loan = TokenLoan { host: &host, realm: &realm, service: "svc", scopes: &scopes, push: &push };
        client.lend_token(loan).await.unwrap();
    }
    let tokens = server.seen().into_iter().filter(|seen| seen.path.starts_with("/token"));
    let sent: Vec<_> = tokens.map(|seen| seen.header("authorization").map(str::to_owned)).collect();
    assert_eq!(sent, [Some(BASIC.to_owned()), None]);
}

#[tokio::test]
async fn a_password_is_lent_only_where_the_registry_takes_nothing_else() {
    for (answer, lent) in [
        (Reply::status(401).with("www-authenticate", "Basic realm=\"x\""), true),
        (Reply::status(401).with("www-authenticate", "Basic realm=\"x\", Bearer realm=\"https://a.example/t\""), false),
        (challenge("https://auth.example.com/token"), false),
        (Reply::status(401), false),
        (Reply::status(200), false),
    ] {
        let name = format!("{answer:?}");
        let server = Server::start(move |_| answer.clone()).await;
        let files = Files::ada(&server.host());
        let client = Registry::new(files.config());
        let got = client.lend_password(&server.host()).await.unwrap();
        assert_eq!(got, lent.then(|| ("ada".to_owned(), Secret::new("secret"))), "{name}");
        assert!(authorizations(&server).iter().all(Option::is_none), "{name}");
    }
}

#[tokio::test]
async fn nobody_lends_what_nobody_has() {
    let files = Files::ada("r.example.com");
    let client = Registry::new(files.config());
    assert!(client.can_lend("r.example.com").await.unwrap());
    assert!(!client.can_lend("other.example.com").await.unwrap());
    assert!(!Registry::new(quick()).can_lend("r.example.com").await.unwrap());
    // A registry that cannot be asked says nothing about passwords.
    let gone = Server::start(|_| Reply::Hang).await;
    let files = Files::ada(&gone.host());
    let client = Registry::new(files.config());
    assert!(client.lend_password(&gone.host()).await.is_err());
}

#[tokio::test]
async fn a_ready_token_is_lent_as_it_is_but_only_where_the_registry_asks_for_one() {
    let entry = r#"{"registrytoken":"ready"}"#;
    let own = |seen: &Seen| format!("http://{}/token", seen.header("host").unwrap());
    let server = registry(own, "/v2/").await;
    let files = Files::new(&server.host(), entry);
    let client = Registry::new(files.config());
    let (host, realm) = (server.host(), format!("http://{}/token", server.host()));
    assert_eq!(lend(&client, &host, &realm).await.unwrap().secret, Secret::new("ready"));
    assert_eq!(lend(&client, &host, "http://localhost:1/token").await, Err(ErrorKind::Unsafe), "made up");
    assert!(authorizations(&server).iter().all(Option::is_none), "nothing was sent for it");

    let other = registry(own, "/v2/").await;
    let (host, realm) = (other.host(), format!("http://{}/token", other.host()));
    assert_eq!(lend(&client, &host, &realm).await.unwrap().secret, Secret::new("t7"), "an anonymous one");

    let open = registry(own, "/nothing").await;
    let files = Files::new(&open.host(), entry);
    let realm = format!("http://{}/token", open.host());
    assert_eq!(lend(&Registry::new(files.config()), &open.host(), &realm).await, Err(ErrorKind::Unsafe));
}
