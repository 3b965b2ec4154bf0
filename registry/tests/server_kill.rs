//! A server process that is killed at any moment: what it acknowledged is there afterwards, and valid.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use http::Method;
use polyarch_registry::oci::Digest;
use polyarch_registry::server::{Collected, Config, GcOptions, Server, collect};
use polyarch_testkit::{Http, Image, Layer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Names the directory the child serves; absent in an ordinary run.
const ROOT: &str = "POLYARCH_TEST_SERVE_ROOT";
const ROUNDS: u64 = 20;

/// Not a test but the server: [`Process::start`] runs it in a process of its own. Without the variable it is over at once.
#[tokio::test]
async fn serve_until_killed() {
    let Ok(root) = std::env::var(ROOT) else { return };
    let server =
        Server::bind(Config::new("127.0.0.1:0".parse().unwrap(), Path::new(&root).join("registry"))).await.unwrap();
    let ready = Path::new(&root).join("ready");
    std::fs::write(ready.with_extension("new"), server.addr().to_string()).unwrap();
    std::fs::rename(ready.with_extension("new"), ready).unwrap();
    server.run(std::future::pending()).await;
}

struct Process {
    child: Child,
    http: Http,
    addr: SocketAddr,
}

impl Process {
    async fn start(root: &Path) -> Self {
        let ready = root.join("ready");
        let _ = std::fs::remove_file(&ready);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "serve_until_killed", "--nocapture"]).env(ROOT, root);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let addr = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                match std::fs::read_to_string(&ready) {
                    Ok(addr) => break addr.parse().unwrap(),
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        });
        let addr: SocketAddr = addr.await.unwrap();
        Self { child, http: Http::new(addr), addr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn image(seed: u64) -> Image {
    Image::new("linux/amd64").layer(Layer::noise(seed, 400_000))
}

/// Sends a request by hand and returns the status, or `None` if the server died first.
async fn try_call(addr: SocketAddr, head: String, body: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(addr).await.ok()?;
    let head = format!("{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.get(9..12)?.parse().ok()
}

/// Pushes images one after the other until the server is gone; returns how many were acknowledged.
async fn push_until_dead(addr: SocketAddr, first: u64) -> u64 {
    for seed in first.. {
        let built = image(seed).build();
        for blob in &built.blobs {
            let head = format!("POST /v2/a/blobs/uploads/?digest={}", Digest::sha256(blob));
            if try_call(addr, head, blob).await != Some(201) {
                return seed;
            }
        }
        let head = format!("PUT /v2/a/manifests/v{seed}");
        if try_call(addr, head, built.manifest.bytes()).await != Some(201) {
            return seed;
        }
    }
    unreachable!()
}

/// Everything acknowledged is complete, and so is every tag that is listed.
async fn assert_valid(http: Http, acknowledged: u64) {
    let listed = http.get("/v2/a/tags/list").await;
    let tags = listed.json()["tags"].as_array().cloned().unwrap_or_default().len() as u64;
    assert!(tags == acknowledged || tags == acknowledged + 1, "{tags} tags, {acknowledged} acknowledged");
    for seed in 0..tags {
        let built = image(seed).build();
        assert_eq!(&http.get(&format!("/v2/a/manifests/v{seed}")).await.body, built.manifest.bytes());
        for blob in &built.blobs {
            assert!(http.get(&format!("/v2/a/blobs/{}", Digest::sha256(blob))).await.body == *blob);
        }
    }
}

#[tokio::test]
async fn a_killed_server_loses_nothing_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let mut process = Process::start(dir.path()).await;
        assert_valid(process.http, acknowledged).await;
        let pushing = push_until_dead(process.addr, acknowledged);
        // A different moment in every round; what is under test is that none matters.
        let killing = async {
            tokio::time::sleep(Duration::from_millis(round * 13 % 90)).await;
            process.child.kill().unwrap();
        };
        (acknowledged, ()) = futures::future::join(pushing, killing).await;
    }
    let process = Process::start(dir.path()).await;
    assert_valid(process.http, acknowledged).await;
    let again = process.http.call(Method::GET, "/v2/", &[], "").await;
    assert_eq!(again.status(), 200);
    let left = std::fs::read_dir(dir.path().join("registry/content/ingest")).unwrap().count();
    assert_eq!(left, 0, "what was half written is gone");
}

/// Collects until the server is gone, and deletes what gives it something to do.
async fn collect_until_dead(root: &Path, http: SocketAddr) {
    let options = GcOptions { untagged: true, grace_seconds: 0, dry_run: false };
    loop {
        if collect(&root.join("registry"), options).await.is_err() {
            return;
        }
        if try_call(http, "PUT /v2/b/manifests/moving".to_owned(), image(1000).build().manifest.bytes()).await.is_none()
        {
            return;
        }
    }
}

#[tokio::test]
async fn a_server_killed_while_it_collects_loses_nothing_that_is_tagged() {
    let dir = tempfile::tempdir().unwrap();
    let kept: Vec<_> = (0..3).map(|seed| image(seed).build()).collect();
    for round in 0..8 {
        let mut process = Process::start(dir.path()).await;
        for (n, image) in kept.iter().enumerate() {
            if round == 0 {
                process.http.push_image("a", &format!("v{n}"), image).await;
            }
            // Something to collect.
            process.http.push_blob("a", format!("stray {round} {n}")).await;
        }
        let collecting = collect_until_dead(dir.path(), process.addr);
        let killing = async {
            tokio::time::sleep(Duration::from_millis(round * 7 % 40)).await;
            process.child.kill().unwrap();
        };
        futures::future::join(collecting, killing).await;
    }
    let process = Process::start(dir.path()).await;
    assert_valid(process.http, kept.len() as u64).await;
    let options = GcOptions { untagged: true, grace_seconds: 0, dry_run: false };
    collect(&dir.path().join("registry"), options).await.unwrap();
    assert_valid(process.http, kept.len() as u64).await;
    assert_eq!(collect(&dir.path().join("registry"), options).await.unwrap(), Collected::default());
}
