//! One test per thing a broken or hostile server does (other than asking for credentials).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use polyarch_registry::client::{
    BytesSource, ClientError, Config, ErrorKind, HostSettings, Limits, Mounted, Registry, Security,
};
use polyarch_registry::oci::{Descriptor, Digest, Reference, media_type};

use super::images::{bare_manifest, blob, noise};
use super::model;
use super::script::{Reply, Seen, Server, client, quick};

/// Answers the root, and the rest by `answer`.
async fn server(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Server {
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

async fn read(client: &Registry, at: &Reference, descriptor: &Descriptor) -> Result<Vec<u8>, ClientError> {
    let mut download = client.get_blob(at, descriptor).await?;
    let mut all = Vec::new();
    while let Some(chunk) = download.chunk().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
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

/// Serves `bytes` in connections that break after `step` bytes.
fn breaking(bytes: Bytes, step: usize, ranges: bool) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
    move |seen| {
        let range = seen.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        let start: usize = range.filter(|_| ranges).map_or(0, |start| start.parse().unwrap());
        let end = bytes.len().min(start + step);
        let (left, part) = ((bytes.len() - start) as u64, bytes.slice(start..end));
        let (code, headers) = match start {
            0 => (200, vec![]),
            _ => (206, vec![("content-range".into(), format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len()))]),
        };
        if end == bytes.len() { Reply::Answer(code, headers, part) } else { Reply::Cut(code, headers, left, part) }
    }
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_broke() {
    let bytes = noise(1, 300_000);
    let server = server(breaking(bytes.clone(), 120_000, true)).await;
    let limits = Limits { progress_bytes: 1000, ..Limits::default() };
    let client = Registry::new(Config { limits, ..quick() });
    let got = read(&client, &server.reference("x"), &blob(&bytes)).await.unwrap();
    assert!(got == bytes);
    // How much of a cut body arrives is up to the sockets; that it goes on from there is not.
    let ranges: Vec<_> = server.seen().iter().filter_map(|seen| seen.header("range").map(str::to_owned)).collect();
    assert!(!ranges.is_empty() && !ranges.contains(&"bytes=0-".to_owned()), "{ranges:?}");
}

#[tokio::test]
async fn a_server_without_ranges_is_read_from_the_start() {
    let bytes = noise(2, 300_000);
    let count = AtomicU32::new(0);
    let whole = bytes.clone();
    let server = server(move |seen| match count.fetch_add(1, Ordering::SeqCst) {
        0 => breaking(whole.clone(), 200_000, false)(seen),
        _ => Reply::Answer(200, vec![], whole.clone()),
    })
    .await;
    assert!(read(&client(), &server.reference("x"), &blob(&bytes)).await.unwrap() == bytes);
}

#[tokio::test]
async fn a_download_without_progress_ends() {
    let bytes = noise(3, 10_000);
    let server = server(breaking(bytes.clone(), 10, true)).await;
    let error = read(&client(), &server.reference("x"), &blob(&bytes)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted, "{error:?}");
    assert!(server.lines().len() <= 3, "{:?}", server.lines());
}

#[tokio::test]
async fn downloads_of_other_bytes_or_sizes_fail() {
    let (good, bad) = (noise(4, 5000), noise(5, 5000));
    let descriptor = blob(&good);
    for reply in [
        Reply::Answer(200, vec![], bad.clone()),
        Reply::Answer(200, vec![], good.slice(..4999)),
        Reply::Answer(200, vec![], [good.as_ref(), b"x"].concat().into()),
        Reply::Endless(vec![]),
    ] {
        let server = server(move |_| reply.clone()).await;
        let error = read(&client(), &server.reference("x"), &descriptor).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Mismatch, "{error:?}");
        assert_eq!(server.lines().len(), 1);
    }
}

#[tokio::test]
async fn wrong_ranges_are_not_glued_together() {
    let bytes = noise(6, 300_000);
    let whole = bytes.clone();
    let server = server(move |seen| match seen.header("range") {
        None => breaking(whole.clone(), 200_000, true)(seen),
        Some(_) => Reply::Answer(206, vec![("content-range".into(), "bytes 5-9/300000".into())], whole.slice(5..10)),
    })
    .await;
    let error = read(&client(), &server.reference("x"), &blob(&bytes)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
}

#[tokio::test]
async fn redirects_are_bounded_and_never_leave_for_a_private_place() {
    let bytes = noise(7, 100);
    let descriptor = blob(&bytes);
    let circle = server(|seen| Reply::status(307).with("location", seen.path.clone())).await;
    let metadata = server(|_| Reply::status(307).with("location", "http://169.254.169.254/latest")).await;
    let anywhere = server(|_| Reply::status(307).with("location", "http://0.0.0.0:1/")).await;
    let file = server(|_| Reply::status(302).with("location", "file:///etc/passwd")).await;
    for server in [circle, metadata, anywhere, file] {
        let error = read(&client(), &server.reference("x"), &descriptor).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsafe, "{error:?}");
        assert!(server.lines().len() <= 6);
    }
    let nowhere = server(|_| Reply::status(307)).await;
    assert_eq!(read(&client(), &nowhere.reference("x"), &descriptor).await.unwrap_err().kind(), ErrorKind::Protocol);
}

#[tokio::test]
async fn uploads_break_and_start_again() {
    let bytes = noise(8, 2 << 20);
    let descriptor = blob(&bytes);
    let cuts = AtomicU32::new(0);
    let (server, state) = model::start_cutting(move |seen| {
        (seen.method == "PUT" && cuts.fetch_add(1, Ordering::SeqCst) < 2).then_some(300_000)
    })
    .await;
    let at = server.reference("x");
    client().put_blob(&at, &descriptor, &BytesSource(bytes.clone()), None).await.unwrap();
    assert!(state.lock().unwrap().blobs[&("x".to_owned(), descriptor.digest.to_string())] == bytes);
    let posts = server.lines().iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(posts, 3, "each attempt has its own session: {:?}", server.lines());
}

#[tokio::test]
async fn upload_locations_stay_with_the_registry() {
    let bytes = noise(9, 10);
    let other = Server::start(|_| Reply::status(201)).await;
    let absolute = format!("http://{}/upload", other.host());
    for (location, kind) in [
        (Some(absolute.clone()), ErrorKind::Unsafe),
        (Some(absolute.replace("http:", "")), ErrorKind::Unsafe),
        (Some("file:///x".to_owned()), ErrorKind::Unsafe),
        (None, ErrorKind::Protocol),
    ] {
        let server = server(move |_| match &location {
            Some(location) => Reply::status(202).with("location", location.clone()),
            None => Reply::status(202),
        })
        .await;
        let put = client();
        let error = put.put_blob(&server.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await;
        assert_eq!(error.unwrap_err().kind(), kind);
    }
    assert!(other.seen().is_empty());

    let listing = server(move |_| Reply::status(202).with("location", absolute.clone())).await;
    let settings = HostSettings { upload_hosts: vec![other.host()], ..HostSettings::default() };
    let config = Config { hosts: [(listing.host(), settings)].into(), ..quick() };
    let put = Registry::new(config);
    put.put_blob(&listing.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await.unwrap();
    assert_eq!(other.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_mount_may_become_an_upload() {
    let bytes = noise(10, 1000);
    let (server, state) = model::start(|_| None).await;
    state.lock().unwrap().mounts = false;
    let (at, from) = (server.reference("to"), server.reference("from"));
    let descriptor = blob(&bytes);
    let Mounted::Upload(session) = client().mount_blob(&at, &descriptor, &from).await.unwrap() else { panic!() };
    client().put_blob_into(session, (&at, &descriptor), &BytesSource(bytes), None).await.unwrap();
    let lines = server.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("POST /v2/to/blobs/uploads/?mount=sha256%3A") && lines[0].ends_with("&from=from"));
    assert!(lines[1].contains("_state=a%2Fb&digest=sha256%3A"), "{lines:?}");
}

/// A registry that refuses large PUT bodies and takes chunks.
fn chunking(drop_second: bool) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
    let received = std::sync::Mutex::new(0_u64);
    let patches = AtomicU32::new(0);
    move |seen| {
        let mut received = received.lock().unwrap();
        let location = format!("/v2/x/blobs/uploads/s?at={}", *received);
        match seen.method.as_str() {
            "POST" => Reply::status(202).with("location", "/v2/x/blobs/uploads/s?at=0"),
            "PUT" if !seen.body.is_empty() => Reply::status(413),
            "PUT" => Reply::status(if seen.path.contains(&format!("at={}&digest=", *received)) { 201 } else { 404 }),
            "GET" => Reply::status(204).with("location", location).with("range", format!("0-{}", *received - 1)),
            "PATCH" => {
                let n = patches.fetch_add(1, Ordering::SeqCst);
                let want = format!("{}-{}", *received, *received + seen.body.len() as u64 - 1);
                assert!(seen.path.ends_with(&format!("at={}", *received)), "not the latest location: {}", seen.path);
                assert_eq!(seen.header("content-range"), Some(want.as_str()));
                *received += seen.body.len() as u64;
                if drop_second && n == 1 {
                    // Taken, but the answer is lost.
                    return Reply::Hang;
                }
                Reply::status(202).with("location", format!("/v2/x/blobs/uploads/s?at={}", *received))
            }
            _ => Reply::status(404),
        }
    }
}

#[tokio::test]
async fn a_registry_that_refuses_large_bodies_gets_chunks() {
    let bytes = noise(11, 2500);
    for drop_second in [false, true] {
        let server = server(chunking(drop_second)).await;
        let limits = Limits { chunk_bytes: 1000, ..Limits::default() };
        let client = Registry::new(Config { limits, ..quick() });
        client.put_blob(&server.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await.unwrap();
        let sent: Vec<u8> =
            server.seen().iter().filter(|s| s.method == "PATCH").flat_map(|s| s.body.to_vec()).collect();
        assert!(sent == bytes, "drop_second: {drop_second}");
    }
}

#[tokio::test]
async fn a_registry_that_stores_something_else_is_found_out() {
    let lie = || Reply::status(201).with("docker-content-digest", Digest::sha256("else").to_string());
    let server = server(move |seen| match seen.method.as_str() {
        "POST" => Reply::status(202).with("location", "u"),
        _ => lie(),
    })
    .await;
    let at = server.reference("x:1");
    assert_eq!(client().put_manifest(&at, &bare_manifest("x")).await.unwrap_err().kind(), ErrorKind::Mismatch);
    let bytes = noise(12, 10);
    let error = client().put_blob(&at, &blob(&bytes), &BytesSource(bytes), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
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
