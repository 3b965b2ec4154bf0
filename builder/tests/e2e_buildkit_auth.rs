//! How a real daemon logs in to a registry with tokens: with ours, or with our credentials.

#![allow(clippy::unwrap_used)]

mod bed;

use std::sync::{Arc, Mutex};

use bed::{Build, amd64, connect};
use futures::future::BoxFuture;
use polyarch_builder::buildkit::session::{Credentials, RegistryAuth, Token, TokenRequest};
use polyarch_builder::buildkit::{Export, Session};
use polyarch_builder::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A registry that wants the token `good` and then knows no image. Tells every path with its authorisation.
async fn registry(listener: TcpListener, seen: Arc<Mutex<Vec<String>>>) {
    let host = listener.local_addr().unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        answer(stream, &host.to_string(), &seen).await;
    }
}

async fn answer(mut stream: TcpStream, host: &str, seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().split('?').next().unwrap().to_owned();
    let authorization = head.lines().find_map(|line| line.strip_prefix("Authorization: ")).unwrap_or("none");
    seen.lock().unwrap().push(format!("{path} {authorization}"));
    let (status, extra, body) = match (path.as_str(), authorization) {
        ("/token", _) => ("200 OK", String::new(), r#"{"token":"good"}"#),
        (_, "Bearer good") => ("404 Not Found", String::new(), ""),
        _ => {
            let challenge = format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"s\"\r\n");
            ("401 Unauthorized", challenge, "")
        }
    };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\n{extra}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let _ = stream.write_all(answer.as_bytes()).await;
}

struct Auth {
    tokens: bool,
    asked: Mutex<Vec<TokenRequest>>,
}

impl RegistryAuth for Auth {
    fn credentials<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Option<Credentials>> {
        Box::pin(async { Some(Credentials { username: "me".into(), secret: Secret::new("pass") }) })
    }

    fn fetches_tokens<'a>(&'a self, _: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(async { self.tokens })
    }

    fn fetch_token<'a>(&'a self, request: &'a TokenRequest) -> BoxFuture<'a, Result<Token, String>> {
        self.asked.lock().unwrap().push(request.clone());
        Box::pin(async { Ok(Token { token: Secret::new("good"), expires_in: 60 }) })
    }
}

/// Builds from an image of the registry; returns what the registry saw and which tokens were asked of us.
async fn log_in(tokens: bool) -> Option<(Vec<String>, Vec<TokenRequest>)> {
    let worker = connect("BED_DOCKER28").await?;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let build = Build::new(worker, &format!("FROM {host}/private:1\n"));
    let auth = Arc::new(Auth { tokens, asked: Mutex::default() });
    let mut services = build.services();
    services.auth = auth.clone();
    let session = Session::open(&build.worker, services, "e2e").await.unwrap();
    let platform = amd64();
    let error = tokio::select! {
        result = build.solve(&session, &platform, Export::CacheOnly) => result.unwrap_err(),
        () = registry(listener, seen.clone()) => return None,
    };
    assert!(error.to_string().contains("not found"), "{error}");
    let asked = std::mem::take(&mut *auth.asked.lock().unwrap());
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    assert!(seen.contains(&"/v2/private/manifests/1 Bearer good".to_owned()), "{seen:?}");
    Some((seen, asked))
}

#[tokio::test]
async fn tokens_fetched_here_keep_the_password_here() {
    let Some((seen, asked)) = log_in(true).await else { return };
    assert_eq!(asked[0].service, "s");
    assert_eq!(asked[0].scopes, ["repository:private:pull"]);
    assert!(!seen.iter().any(|line| line.starts_with("/token") || line.contains("Basic")), "{seen:?}");
}

#[tokio::test]
async fn without_them_the_daemon_logs_in_with_the_credentials() {
    let Some((seen, asked)) = log_in(false).await else { return };
    assert_eq!(asked, []);
    // me:pass; Docker may also post them as a form.
    assert!(seen.iter().any(|line| line.starts_with("/token")), "{seen:?}");
}
