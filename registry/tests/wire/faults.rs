//! One test per thing a broken or hostile server does when asked for manifests and lists.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use polyarch_registry::client::{ClientError, Config, ErrorKind, HostSettings, Limits, Registry, Security};
use polyarch_registry::oci::{Digest, media_type};

use super::images::bare_manifest;
use super::script::{Reply, Seen, Server, client, quick};

/// Answers the root, and the rest by `answer`.
pub async fn server(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |seen| if seen.path == "/v2/" { Reply::status(200) } else { answer(seen) }).await
}

fn counted(answer: impl Fn(u32) -> Reply + Send + Sync + 'static) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
    let count = AtomicU32::new(0);
    move |_| answer(count.fetch_add(1, Ordering::SeqCst))
}

fn manifest_reply() -> Reply {
    let manifest = bare_manifest("x");
    Reply::body(200, manifest.media_type(), manifest.bytes().clone())
}

async fn get(server: &Server) -> Result<(), ClientError> {
    client().get_manifest(&server.reference("x:1")).await.map(drop)
}

#[tokio::test]
async fn passing_troubles_are_tried_again() {
    for reply in [Reply::status(503), Reply::status(429).with("retry-after", "0"), Reply::status(408), Reply::Hang] {
        let name = format!("{reply:?}");
        let server = server(counted(move |n| if n < 2 { reply.clone() } else { manifest_reply() })).await;
        get(&server).await.unwrap();
        assert_eq!(server.lines().len(), 3, "{name}");
    }
}

#[tokio::test]
async fn attempts_are_bounded_and_told() {
    let server = server(|_| Reply::body(503, "text/html", "<html>down</html>")).await;
    let told = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&told);
    let observed = client().with_observer(Arc::new(move |notice| {
        assert_eq!(notice.reason, ErrorKind::Unavailable);
        count.fetch_add(1, Ordering::SeqCst);
    }));
    let error = observed.get_manifest(&server.reference("x:1")).await.unwrap_err();
    assert_eq!((error.kind(), error.status().map(|s| s.as_u16())), (ErrorKind::Unavailable, Some(503)));
    assert_eq!((server.lines().len(), told.load(Ordering::SeqCst)), (3, 2));
}

#[tokio::test]
async fn a_retry_after_beyond_the_cap_ends_the_attempts() {
    let server = server(|_| Reply::status(429).with("retry-after", "99999999")).await;
    let error = get(&server).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::from_secs(99_999_999))));
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn final_answers_are_not_tried_again() {
    for (code, kind) in [
        (400, ErrorKind::Rejected),
        (401, ErrorKind::Unauthorized),
        (403, ErrorKind::Denied),
        (404, ErrorKind::NotFound),
        (405, ErrorKind::Rejected),
        (413, ErrorKind::TooLarge),
        (501, ErrorKind::Unavailable),
    ] {
        let server = server(move |_| Reply::status(code)).await;
        assert_eq!(get(&server).await.unwrap_err().kind(), kind, "{code}");
        assert_eq!(server.lines().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn error_bodies_are_bounded_and_escaped() {
    let body = format!(r#"{{"errors":[{{"code":"DENIED","message":"\u001b[31m\n::error::{}"}}]}}"#, "x".repeat(10_000));
    let denied = server(move |_| Reply::body(403, "application/json", body.clone())).await;
    let error = get(&denied).await.unwrap_err();
    let text = error.fault().to_string();
    assert!(text.contains("DENIED (\\u{1b}[31m\\u{a}::error::xxx") && text.len() < 1000, "{text}");

    let huge = format!(r#"{{"errors":[{{"code":"DENIED","message":"{}"}}]}}"#, "x".repeat(1 << 20));
    let flooding = server(move |_| Reply::body(403, "application/json", huge.clone())).await;
    assert_eq!(get(&flooding).await.unwrap_err().fault().to_string(), "answered 403 Forbidden");
}

#[tokio::test]
async fn manifests_have_a_budget() {
    let announced = server(|_| Reply::Cut(200, vec![], 5 << 30, Bytes::new())).await;
    let endless = server(|_| Reply::Endless(vec![("content-type".into(), media_type::OCI_INDEX.into())])).await;
    for server in [announced, endless] {
        assert_eq!(get(&server).await.unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(server.lines().len(), 1);
    }
}

#[tokio::test]
async fn manifests_are_what_their_digest_says() {
    let server = server(|_| manifest_reply()).await;
    let other = server.reference("x").with_digest(Digest::sha256("other"));
    let error = client().get_manifest(&other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error:?}");

    let lying = self::server(|_| manifest_reply().with("docker-content-digest", Digest::sha256("lie").to_string()));
    assert_eq!(get(&lying.await).await.unwrap_err().kind(), ErrorKind::Mismatch);
    for bad in ["sha256:../../etc/passwd", "sha256:ABC", "sha256:"] {
        let server = self::server(move |_| manifest_reply().with("docker-content-digest", bad)).await;
        assert_eq!(get(&server).await.unwrap_err().kind(), ErrorKind::Protocol, "{bad}");
    }
}

#[tokio::test]
async fn manifests_are_of_one_kind() {
    let image = bare_manifest("x");
    let both = r#"{"schemaVersion":2,"manifests":[],"layers":[],"config":{}}"#;
    for (content_type, body) in [
        (media_type::OCI_INDEX, image.bytes().clone()),
        (media_type::OCI_INDEX, Bytes::from_static(both.as_bytes())),
        (media_type::OCI_MANIFEST, Bytes::from_static(b"not json")),
        ("application/vnd.docker.distribution.manifest.v1+json", Bytes::from_static(b"{}")),
    ] {
        let server = server(move |_| Reply::body(200, content_type, body.clone())).await;
        assert_eq!(get(&server).await.unwrap_err().kind(), ErrorKind::Mismatch, "{content_type}");
    }
    let parameters = format!("{}; charset=utf-8", media_type::OCI_MANIFEST);
    for content_type in [parameters, "application/octet-stream".to_owned()] {
        let body = image.bytes().clone();
        let server = server(move |_| Reply::body(200, &content_type, body.clone())).await;
        let got = client().get_manifest(&server.reference("x:1")).await.unwrap();
        assert_eq!(got, image);
    }
}

#[tokio::test]
async fn a_web_page_is_not_a_registry() {
    for code in [200, 404] {
        let server =
            Server::start(move |_| Reply::body(code, "text/html; charset=utf-8", "<h1>secret page</h1>")).await;
        let error = client().ping(&server.reference("x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotARegistry, "{code}");
        assert!(!format!("{error:?}").contains("secret page"));
    }
}

#[tokio::test]
async fn encoded_bodies_are_refused() {
    let server = server(|_| manifest_reply().with("content-encoding", "gzip")).await;
    assert_eq!(get(&server).await.unwrap_err().kind(), ErrorKind::Protocol);
    assert_eq!(server.seen().last().unwrap().header("accept-encoding"), Some("identity"));
}

#[tokio::test]
async fn a_silent_server_times_out() {
    // Accepts connections into its backlog and never reads.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let limits = Limits { response_timeout: Duration::from_millis(30), ..Limits::default() };
    let plain = HostSettings { security: Security::PlainHttp, ..HostSettings::default() };
    let config = Config { limits, hosts: [(host.clone(), plain)].into(), ..quick() };
    let at = format!("{host}/x:1").parse().unwrap();
    let error = Registry::new(config).get_manifest(&at).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error:?}");
}

#[tokio::test]
async fn tag_lists_are_bounded_and_stay_home() {
    let page = |tags: &str| Reply::body(200, "application/json", format!(r#"{{"name":"x","tags":{tags}}}"#));
    let pages = server(move |seen| match seen.path.as_str() {
        "/v2/x/tags/list" => {
            page(r#"["b","a","bad tag\u001b"]"#).with("link", "</v2/x/tags/list?last=b>; rel=\"next\"")
        }
        _ => page(r#"["c"]"#),
    })
    .await;
    let list = client().tags(&pages.reference("x")).await.unwrap();
    assert_eq!((list.tags.into_iter().collect::<String>(), list.truncated), ("abc".to_owned(), false));

    let none = server(move |_| page("null")).await;
    assert!(client().tags(&none.reference("x")).await.unwrap().tags.is_empty());

    for link in ["<http://127.0.0.2:1/x>; rel=next", "<file:///x>; rel=next", "<javascript:x>; rel=next"] {
        let away = server(move |_| page("[]").with("link", link)).await;
        assert_eq!(client().tags(&away.reference("x")).await.unwrap_err().kind(), ErrorKind::Unsafe, "{link}");
        assert_eq!(away.lines().len(), 1);
    }
    let circle = server(move |seen| page("[]").with("link", format!("<{}>; rel=next", seen.path))).await;
    assert_eq!(client().tags(&circle.reference("x")).await.unwrap_err().kind(), ErrorKind::Protocol);

    let count = AtomicU32::new(0);
    let endless = server(move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        page(&format!("[\"t{n}\"]")).with("link", format!("</v2/x/tags/list?last={n}>; rel=next"))
    })
    .await;
    let config = Config { limits: Limits { pages: 5, ..Limits::default() }, ..quick() };
    let list = Registry::new(config).tags(&endless.reference("x")).await.unwrap();
    assert_eq!((list.tags.len(), list.truncated), (5, true));
}

#[tokio::test]
async fn warnings_are_collected() {
    let server = server(|_| manifest_reply().with("warning", "299 - \"going away\"")).await;
    let client = client();
    for _ in 0..3 {
        client.get_manifest(&server.reference("x:1")).await.unwrap();
    }
    assert_eq!(client.warnings(), [(server.host(), "going away".to_owned())]);
}
