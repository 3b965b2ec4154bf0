//! What a server does at its limits: memory that does not grow with a blob, a disk that is full.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a failing helper is a failing test")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use polyarch_registry::oci::{Digest, Hasher};
use polyarch_registry::server::{Config, Server};
use polyarch_testkit::http::chunked;
use polyarch_testkit::layer::noise;
use polyarch_testkit::{Http, Image};

/// Names the directory the child serves; absent in an ordinary run.
const ROOT: &str = "POLYARCH_TEST_LIMITS_ROOT";

/// Not a test but the server: [`Process::start`] runs it in a process of its own. Without the variable it is over at once.
#[tokio::test]
async fn serve_for_a_test() {
    let Ok(root) = std::env::var(ROOT) else { return };
    let root = Path::new(&root);
    let server = Server::bind(Config::new("127.0.0.1:0".parse().unwrap(), root.join("registry"))).await.unwrap();
    // Beside the directory that may be full.
    let ready = root.with_extension("ready");
    std::fs::write(ready.with_extension("new"), server.addr().to_string()).unwrap();
    std::fs::rename(ready.with_extension("new"), ready).unwrap();
    server.run(std::future::pending()).await;
}

struct Process {
    child: Child,
    http: Http,
}

impl Process {
    async fn start(root: &Path) -> Self {
        let ready = root.with_extension("ready");
        let _ = std::fs::remove_file(&ready);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "serve_for_a_test", "--nocapture"]).env(ROOT, root);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let addr = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                match std::fs::read_to_string(&ready) {
                    Ok(addr) => break addr.parse().unwrap(),
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        });
        let addr: SocketAddr = addr.await.unwrap();
        Self { child, http: Http::new(addr) }
    }

    /// Peak resident memory in KiB.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Pushes a blob of so many MiB in one stream and reads it back.
async fn round_trip(http: Http, mebibytes: usize) {
    let piece = noise(7, 1 << 20);
    let mut hasher = Hasher::sha256();
    (0..mebibytes).for_each(|_| hasher.update(&piece));
    let digest = hasher.finish();
    let pieces: Vec<Bytes> = vec![piece; mebibytes];
    let location = http.start_upload("a").await;
    let reply = http.send(Request::patch(&location).body(chunked(pieces)).unwrap()).await;
    assert_eq!(reply.status(), 202);
    let put = format!("{}?digest={digest}", reply.header("location"));
    assert_eq!(http.call(Method::PUT, &put, &[], "").await.status(), 201);
    assert_eq!(http.get(&format!("/v2/a/blobs/{digest}")).await.body.len(), mebibytes << 20);
}

#[tokio::test]
async fn memory_does_not_grow_with_a_blob() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let process = Process::start(&root).await;
    round_trip(process.http, 12).await;
    let small = process.peak();
    round_trip(process.http, 120).await;
    let large = process.peak();
    assert!(large < small + 12 * 1024, "{small} KiB for 12 MiB, {large} KiB for 120 MiB");
}

/// A file system of a few MiB; unmounted when dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "polyarch-test"])
            .arg(dir.path().join("root"))
            .stderr(Stdio::null())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        let required = std::env::var("POLYARCH_BED_REQUIRED").is_ok_and(|value| value == "1");
        assert!(!required, "no file system can be mounted, and POLYARCH_BED_REQUIRED=1");
        eprintln!("skipped: no file system can be mounted here");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path().join("root")).status();
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_is_said() {
    let Some(small) = Small::mount() else { return };
    let root = small.0.path().join("root");
    let process = Process::start(&root).await;
    let http = process.http;
    let kept = Image::small("linux/amd64").build();
    http.push_image("a", "v1", &kept).await;

    let big = noise(1, 8 << 20);
    let digest = Digest::sha256(&big);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    let reply = http.call(Method::POST, &path, &[], big.clone()).await;
    assert_eq!((reply.status(), reply.code().as_str()), (507, "UNKNOWN"), "{reply:?}");
    let location = http.start_upload("a").await;
    let reply = http.call(Method::PATCH, &location, &[], big.clone()).await;
    assert!(matches!(reply.status(), 202 | 507), "{reply:?}");
    let reply = http.call(Method::PUT, &format!("{location}?digest={digest}"), &[], "").await;
    assert!(matches!(reply.status(), 404 | 507), "{reply:?}");
    assert_eq!(http.head(&format!("/v2/a/blobs/{digest}")).await.status(), 404);

    // The room of what failed is free again, and what was there is whole.
    let fits = noise(2, 3 << 20);
    http.push_blob("a", fits.clone()).await;
    assert_eq!(&http.get("/v2/a/manifests/v1").await.body, kept.manifest.bytes());
    for blob in kept.blobs.iter().chain([&fits]) {
        assert_eq!(http.get(&format!("/v2/a/blobs/{}", Digest::sha256(blob))).await.body, *blob);
    }
    drop(process);
    let again = Process::start(&root).await;
    assert_eq!(&again.http.get("/v2/a/manifests/v1").await.body, kept.manifest.bytes());
}
