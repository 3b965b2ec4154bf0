//! One test per thing a broken or hostile server does to blobs on their way.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use polyarch_registry::client::{
    BytesSource, ClientError, Config, ErrorKind, HostSettings, Limits, Mounted, Registry, UploadStyle,
};
use polyarch_registry::oci::{Descriptor, Digest, Reference};

use super::faults::server;
use super::images::{bare_manifest, blob, noise};
use super::model;
use super::script::{Reply, Seen, Server, client, quick};

async fn read(client: &Registry, at: &Reference, descriptor: &Descriptor) -> Result<Vec<u8>, ClientError> {
    let mut download = client.get_blob(at, descriptor).await?;
    let mut all = Vec::new();
    while let Some(chunk) = download.chunk().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
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
    let put = server.seen().pop().unwrap();
    assert_eq!((put.header("content-length"), put.header("transfer-encoding")), (Some("1000"), None));
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
async fn a_registry_that_keeps_going_back_is_given_up() {
    let server = server(|seen| match seen.method.as_str() {
        "POST" => Reply::status(202).with("location", "/v2/x/blobs/uploads/s?at=0"),
        "PUT" => Reply::status(413),
        "GET" => Reply::status(204).with("location", "/v2/x/blobs/uploads/s?at=0").with("range", "0-0"),
        "PATCH" if seen.path.ends_with("at=0") => Reply::status(202).with("location", "/v2/x/blobs/uploads/s?at=1000"),
        _ => Reply::status(503),
    })
    .await;
    let config = Config { limits: Limits { chunk_bytes: 1000, ..Limits::default() }, ..quick() };
    let attempts = config.retry.attempts as usize;
    let bytes = noise(13, 2500);
    let (client, at, source) = (Registry::new(config), server.reference("x"), BytesSource(bytes.clone()));
    let wanted = blob(&bytes);
    let put = client.put_blob(&at, &wanted, &source, None);
    let error = tokio::time::timeout(std::time::Duration::from_secs(30), put).await.unwrap().unwrap_err();
    assert_eq!(error.status().map(|status| status.as_u16()), Some(503));
    let patches = server.seen().iter().filter(|seen| seen.method == "PATCH").count();
    // Two chunks per attempt, each in a session of its own.
    assert_eq!(patches, 2 * attempts);
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

/// A registry that keeps what arrived of a PUT or PATCH that breaks off after `step` bytes.
struct Keeper {
    received: Vec<u8>,
    step: usize,
    /// Acknowledges bytes it has lost.
    spoils: bool,
}

impl Keeper {
    fn answer(&mut self, seen: &Seen, cut: &AtomicU32) -> Reply {
        match seen.method.as_str() {
            "POST" => {
                self.received.clear();
                Reply::status(202).with("location", "/v2/x/blobs/uploads/s")
            }
            "GET" => {
                let end = self.received.len().max(1) - 1;
                Reply::status(204).with("location", "/v2/x/blobs/uploads/s").with("range", format!("0-{end}"))
            }
            "HEAD" => Reply::status(404),
            _ => {
                let whole = seen.body.len() > self.step
                    && cut.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok();
                let taken = if whole { self.step } else { seen.body.len() };
                self.received.extend_from_slice(&seen.body[..taken]);
                if whole {
                    if self.spoils {
                        self.received[0] ^= 1;
                    }
                    return Reply::Hang;
                }
                match seen.path.split_once("digest=") {
                    None => Reply::status(202).with("location", "/v2/x/blobs/uploads/s"),
                    Some((_, want)) => {
                        let got = Digest::sha256(&self.received).to_string().replace(':', "%3A");
                        Reply::status(if got == want { 201 } else { 400 })
                    }
                }
            }
        }
    }
}

pub async fn keeper(step: usize, breaks: u32, spoils: bool) -> Server {
    let state = std::sync::Mutex::new(Keeper { received: Vec::new(), step, spoils });
    let cut = AtomicU32::new(breaks);
    server(move |seen| state.lock().unwrap().answer(seen, &cut)).await
}

pub fn methods(server: &Server) -> Vec<String> {
    server.seen().iter().filter(|seen| seen.path != "/v2/").map(|seen| seen.method.to_string()).collect()
}

#[tokio::test]
async fn a_broken_put_goes_on_where_the_registry_stands() {
    let bytes = noise(21, 3000);
    let server = keeper(1000, 1, false).await;
    client().put_blob(&server.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await.unwrap();
    assert_eq!(methods(&server), ["POST", "PUT", "GET", "PATCH", "PUT"]);
    let patch = server.seen().into_iter().find(|seen| seen.method == "PATCH").unwrap();
    assert_eq!((patch.header("content-range"), patch.body.len()), (Some("1000-2999"), 2000));
}

#[tokio::test]
async fn a_registry_that_cannot_go_on_gets_the_whole_blob_again() {
    let bytes = noise(22, 3000);
    let server = keeper(1000, 1, false).await;
    let settings = HostSettings { upload: Some(UploadStyle::Whole), ..HostSettings::default() };
    let config = Config { hosts: [(server.host(), settings)].into(), ..quick() };
    let whole = Registry::new(config);
    whole.put_blob(&server.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await.unwrap();
    assert_eq!(methods(&server), ["POST", "PUT", "HEAD", "POST", "PUT"]);
}

#[tokio::test]
async fn a_registry_that_went_on_wrongly_is_sent_everything_again() {
    let bytes = noise(23, 3000);
    let server = keeper(1000, 1, true).await;
    client().put_blob(&server.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await.unwrap();
    assert_eq!(methods(&server), ["POST", "PUT", "GET", "PATCH", "PUT", "HEAD", "POST", "PUT"]);
}

#[tokio::test]
async fn attempts_are_counted_once_for_the_whole_upload() {
    let bytes = noise(24, 3000);
    let chunked =
        |down: bool| Limits { chunk_bytes: 1000, chunk_above: if down { 0 } else { 1 << 30 }, ..Limits::default() };
    for in_chunks in [false, true] {
        let server = server(|seen| match seen.method.as_str() {
            "POST" => Reply::status(202).with("location", "/v2/x/blobs/uploads/s"),
            _ => Reply::status(503),
        })
        .await;
        let put = Registry::new(Config { limits: chunked(in_chunks), ..quick() });
        let error = put.put_blob(&server.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Unavailable);
        let sent = methods(&server).iter().filter(|method| *method != "POST").count();
        assert_eq!(sent, 3, "three attempts, not three times three: {:?}", server.lines());
    }
}

#[tokio::test]
async fn large_blobs_go_in_chunks_that_are_kept() {
    let bytes = noise(25, 5000);
    let server = keeper(600, 2, false).await;
    let limits = Limits { chunk_bytes: 1000, chunk_above: 4000, ..Limits::default() };
    let put = Registry::new(Config { limits, ..quick() });
    put.put_blob(&server.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await.unwrap();
    assert_eq!(methods(&server).iter().filter(|method| *method == "POST").count(), 1, "{:?}", server.lines());
}

#[tokio::test]
async fn an_answer_that_is_lost_is_found_by_asking_for_the_blob() {
    let bytes = noise(26, 100);
    let stored = std::sync::Mutex::new(false);
    let server = server(move |seen| {
        let mut stored = stored.lock().unwrap();
        match seen.method.as_str() {
            "POST" => Reply::status(202).with("location", "/v2/x/blobs/uploads/s"),
            "PUT" => {
                *stored = true;
                Reply::Hang
            }
            "HEAD" if *stored => Reply::status(200).with("content-length", "100"),
            _ => Reply::status(404),
        }
    })
    .await;
    client().put_blob(&server.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await.unwrap();
    assert_eq!(methods(&server), ["POST", "PUT", "GET", "HEAD"]);
}

#[tokio::test]
async fn a_refused_range_is_read_from_the_start() {
    let bytes = noise(27, 300_000);
    let whole = bytes.clone();
    let count = AtomicU32::new(0);
    let server = server(move |seen| match (count.fetch_add(1, Ordering::SeqCst), seen.header("range")) {
        (0, _) => breaking(whole.clone(), 200_000, false)(seen),
        (_, Some(_)) => Reply::status(416),
        (_, None) => Reply::Answer(200, vec![], whole.clone()),
    })
    .await;
    assert!(read(&client(), &server.reference("x"), &blob(&bytes)).await.unwrap() == bytes);
    let ranges: Vec<_> = server.seen().iter().skip(1).map(|seen| seen.header("range").is_some()).collect();
    assert_eq!(ranges.iter().filter(|range| **range).count(), 1, "{ranges:?}");
}
