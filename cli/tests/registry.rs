//! `polyarch registry`, `login` and `logout` as a user runs them.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use polyarch_testkit::{Http, Image, TestRegistry};

/// `ada` with password `secret`.
const USERS: &str = "ada:$2y$04$EGxkvoJY4LXHv/rQwT03ku/T3gSdR5kkZmlAOZlEMSHuzoZXbFFTy\n";

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("htpasswd"), USERS).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.args(args).env_clear().env("HOME", self.0.path()).current_dir(self.0.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn run_with_input(&self, args: &[&str], input: &str) -> Output {
        let mut command = self.command(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that fails early does not read it.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn serve(&self, more: &[&str]) -> Served {
        let args = [&["registry", "serve", "--addr", "127.0.0.1:0", "--root", "root"], more].concat();
        let mut child = self.command(&args).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Served { child, url }
    }
}

struct Served {
    child: Child,
    url: String,
}

impl Served {
    fn host(&self) -> &str {
        self.url.split("//").nth(1).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[track_caller]
fn check(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    assert!(!err.contains("secret"), "{err}");
    (out, err)
}

fn certificate(dir: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into(), "127.0.0.1".into()]).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
}

#[test]
fn login_is_checked_before_it_is_kept() {
    let home = Home::new();
    let served = home.serve(&["--htpasswd", "htpasswd"]);
    let config = home.path(".docker/config.json");
    let login = ["login", served.host(), "-u", "ada", "--password-stdin"];
    let (_, err) = check(&home.run_with_input(&login, "wrong\n"), 8);
    assert!(err.contains("401") && !config.exists(), "{err}");

    let (out, err) = check(&home.run_with_input(&login, "secret\n"), 0);
    assert_eq!(out, "");
    assert!(err.contains(&format!("logged in to {} as ada", served.host())), "{err}");
    assert_eq!(std::fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    let reference = format!("{}/absent:1", served.host());
    let (_, err) = check(&home.run(&["inspect", &reference]), 8);
    assert!(err.contains("404"), "the kept credentials are used: {err}");

    let (_, err) = check(&home.run(&["logout", served.host()]), 0);
    assert!(err.contains("logged out of"), "{err}");
    let (_, err) = check(&home.run(&["logout", served.host()]), 0);
    assert!(err.contains("was not logged in to"), "{err}");
    let (_, err) = check(&home.run(&["inspect", &reference]), 8);
    assert!(err.contains("401") && err.contains("polyarch login"), "{err}");
}

#[test]
fn login_needs_a_password_from_somewhere_and_a_host() {
    let home = Home::new();
    let (_, err) = check(&home.run(&["login", "ghcr.io", "-u", "ada"]), 2);
    assert!(err.contains("--password-stdin"), "{err}");
    check(&home.run(&["login", "ghcr.io", "--password-stdin"]), 2);
    check(&home.run_with_input(&["login", "ghcr.io", "-u", "ada", "--password-stdin"], ""), 2);
    let (_, err) = check(&home.run_with_input(&["login", "registry", "-u", "a", "--password-stdin"], "x"), 2);
    assert!(err.contains("not a registry's host"), "{err}");
    assert!(!home.path(".docker").exists());
}

#[test]
fn a_registry_that_asks_nobody_is_told_so() {
    let home = Home::new();
    let served = home.serve(&[]);
    let login = ["login", served.host(), "-u", "ada", "--password-stdin"];
    let (_, err) = check(&home.run_with_input(&login, "x"), 0);
    assert!(err.contains("asks nobody"), "{err}");
}

#[test]
fn serves_tls_to_users_only() {
    let home = Home::new();
    certificate(home.0.path());
    let served = home.serve(&["--htpasswd", "htpasswd", "--tls-cert", "cert.pem", "--tls-key", "key.pem"]);
    assert!(served.url.starts_with("https://"), "{}", served.url);
    let ca = format!("{}=cert.pem", served.host());
    let login = ["login", served.host(), "-u", "ada", "--password-stdin", "--registry-ca", &ca];
    check(&home.run_with_input(&login, "secret"), 0);
    let (_, err) = check(&home.run_with_input(&login[..5], "secret"), 8);
    assert!(err.contains("TLS") && err.contains("--registry-ca"), "{err}");
}

#[test]
fn gc_works_beside_a_running_registry() {
    let home = Home::new();
    let served = home.serve(&["--delete"]);
    let http = Http::new(served.host().parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let image = Image::small("linux/amd64").build();
    runtime.block_on(async {
        http.push_image("a", "v1", &image).await;
        http.push_blob("a", "stray").await;
    });
    let (out, _) = check(&home.run(&["registry", "gc", "--root", "root"]), 0);
    assert!(out.contains("removed 0 files"), "all of it is new: {out}");
    let (out, _) = check(&home.run(&["registry", "gc", "--root", "root", "--older-than", "0s", "--dry-run"]), 0);
    assert_eq!(out, "would forget 0 manifests and 1 blobs of repositories\n");
    let gc = ["registry", "gc", "--root", "root", "--older-than", "0s", "--format", "json"];
    let (out, _) = check(&home.run(&gc), 0);
    assert_eq!(out, "{\"manifests\":0,\"links\":1,\"blobs\":1,\"bytes\":5}\n");
    let left = runtime.block_on(http.get("/v2/a/manifests/v1"));
    assert_eq!(&left.body, image.manifest.bytes());

    check(&home.run(&["registry", "gc", "--root", "nowhere"]), 2);
    let (_, err) = check(&home.run(&["registry", "gc", "--older-than", "5"]), 2);
    assert!(err.contains("none of s, m, h, d"), "{err}");
}

#[test]
fn a_registry_that_cannot_be_served_as_asked_is_not_served() {
    let home = Home::new();
    std::fs::write(home.path("sha1"), "ada:{SHA}x\n").unwrap();
    for (more, want) in [
        (&["--htpasswd", "sha1"][..], "line 1: the hash is not bcrypt"),
        (&["--htpasswd", "absent"], "cannot read"),
        (&["--tls-cert", "htpasswd", "--tls-key", "htpasswd"], "holds no certificate"),
        (&["--tls-cert", "htpasswd"], "--tls-key"),
        (&["--read-only", "--delete"], "cannot be used with"),
        (&["--max-blob-size", "x"], "there is no number"),
    ] {
        let args = [&["registry", "serve", "--addr", "127.0.0.1:0", "--root", "root"], more].concat();
        let (_, err) = check(&home.run(&args), 2);
        assert!(err.contains(want), "{more:?}: {err}");
        assert!(!home.path("root").exists(), "{more:?}");
    }
    let running = TestRegistry::start();
    let addr = running.addr().to_string();
    check(&home.run(&["registry", "serve", "--addr", &addr, "--root", "root"]), 2);
}

#[test]
fn what_a_registry_says_on_the_side_is_shown() {
    let home = Home::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(polyarch_testkit::script::Server::start(|seen| {
        use polyarch_testkit::script::Reply;
        let reply = if seen.path == "/v2/" { Reply::status(200) } else { Reply::status(404) };
        let reply = reply.with("warning", "299 - \"going\u{9}away\"");
        reply.with("ratelimit-limit", "100;w=21600").with("ratelimit-remaining", "7;w=21600")
    }));
    let (out, err) = check(&home.run(&["inspect", &format!("{}/x:1", server.host())]), 8);
    assert_eq!(out, "");
    assert!(err.contains(&format!("{} warns: going\\u{{9}}away", server.host())), "{err}");
    assert!(err.contains(&format!("{} allows 7 of 100 more requests", server.host())), "{err}");
}

/// A registry whose name only the proxy knows.
#[test]
fn a_proxy_is_used_where_the_environment_names_one() {
    use polyarch_testkit::script::{Reply, Server};
    let home = Home::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proxy = runtime.block_on(Server::start(|seen| match seen.header("host") {
        Some("registry.invalid") if seen.path.ends_with("/manifests/1") => {
            let manifest = polyarch_testkit::hostile::manifest("proxied");
            Reply::body(200, manifest.media_type(), manifest.bytes().clone())
        }
        _ => Reply::status(404),
    }));
    let args = ["inspect", "--raw", "--plain-http", "registry.invalid", "registry.invalid/x:1"];
    let output = home.command(&args).env("HTTP_PROXY", format!("http://{}", proxy.host())).output().unwrap();
    let (out, _) = check(&output, 0);
    assert!(out.contains("proxied"), "{out}");
    let (_, err) = check(&home.run(&args), 8);
    assert!(err.contains("cannot find the host") && err.contains("spelt right"), "{err}");
    let around =
        home.command(&args).env("HTTP_PROXY", "http://127.0.0.1:1").env("NO_PROXY", "registry.invalid").output();
    let (_, err) = check(&around.unwrap(), 8);
    assert!(err.contains("cannot find the host"), "NO_PROXY: {err}");
}

/// Each refusal says what may be behind it.
#[test]
fn refusals_have_their_own_hints() {
    use polyarch_testkit::script::{Reply, Server};
    let home = Home::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let index = polyarch_testkit::Index::small(&["linux/amd64"]);
    runtime.block_on(index.write_layout(&home.path("store"), "hello"));
    for (status, hint) in [
        (405, "it may be read-only"),
        (409, "the tag may be immutable"),
        (412, "the tag may be immutable"),
        (413, "takes nothing of this size"),
        (507, "storage or quota is full"),
        (403, "check its rights"),
    ] {
        let server = runtime.block_on(Server::start(move |seen| match seen.method.as_str() {
            "GET" if seen.path == "/v2/" => Reply::status(200),
            "GET" | "HEAD" => Reply::status(404),
            _ => Reply::status(status),
        }));
        let reference = format!("{}/x:1", server.host());
        let (_, err) = check(&home.run(&["--store", "store", "push", "hello", "-t", &reference]), 6);
        assert!(err.contains(&status.to_string()) && err.contains(hint), "{status}: {err}");
        let writes = server.lines().iter().filter(|line| line.starts_with("POST")).count();
        assert!(writes <= 10, "{status}: not tried again: {:?}", server.lines());
    }
}
