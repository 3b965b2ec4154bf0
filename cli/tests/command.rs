//! The command as a user runs it: exit codes, which stream has what, and that the wiring holds.
//! What the parts do in detail is tested where they are.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use polyarch_testkit::{Index, TestRegistry};

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// A store with an index in it, named `hello`.
struct Bench {
    dir: tempfile::TempDir,
    digest: String,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let index = runtime.block_on(Index::small(&PLATFORMS).write_layout(&dir.path().join("store"), "hello"));
        Self { digest: index.digest().to_string(), dir }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("POLYARCH_STORE", self.dir.path().join("store"));
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }
}

#[track_caller]
fn check(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    (out, err)
}

#[test]
fn usage_errors_exit_2_and_leave_stdout_alone() {
    let bench = Bench::new();
    for line in [
        &["biuld"][..],
        &["build", "--platfrom", "linux/amd64"],
        &["build", "nowhere"],
        &["build", ".", "-t", "Bad"],
        &["inspect"],
        &["inspect", "oci:nowhere"],
        &["push", "absent", "-t", "localhost:5000/a"],
        &["push", "hello"],
        &["store", "rm", "absent"],
    ] {
        let (out, err) = check(&bench.run(line), 2);
        assert!(out.is_empty() && !err.is_empty(), "{line:?}: {out}{err}");
    }
    let (out, err) = check(&bench.run(&["build", "--help"]), 0);
    assert!(out.contains("--platform") && err.is_empty());
    assert!(check(&bench.run(&["--version"]), 0).0.starts_with("polyarch "));
}

#[test]
fn a_result_goes_from_store_to_registry_and_is_found_sound() {
    let bench = Bench::new();
    let registry = TestRegistry::start();
    let reference = registry.reference("app/hello:1");
    let (out, err) = check(&bench.run(&["push", "hello", "-t", &reference]), 0);
    assert!(
        out.starts_with(&format!("index {}\n", bench.digest)) && out.contains(&format!("tag {reference}")),
        "{out}"
    );
    let (quiet, _) = check(&bench.run(&["push", "-q", "store:hello", "-t", &reference]), 0);
    assert_eq!(quiet, format!("{}\n", bench.digest), "{err}");
    let (json, _) = check(&bench.run(&["push", "--progress=json", "hello", "-t", &reference]), 0);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["image.name"], reference.as_str());
    let (out, _) = check(&bench.run(&["verify", "--deep", &reference, "--platform", "linux/amd64,linux/arm64"]), 0);
    assert!(out.contains("good (every byte read)"), "{out}");
    let (out, _) = check(&bench.run(&["inspect", "--format", "json", &reference]), 0);
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["descriptor"]["digest"], bench.digest.as_str());
    let platforms: Vec<&str> =
        found["platforms"].as_array().unwrap().iter().filter_map(|row| row["platform"].as_str()).collect();
    assert_eq!(platforms, PLATFORMS);
    let (raw, _) = check(&bench.run(&["inspect", "--raw", &reference]), 0);
    assert_eq!(polyarch_registry::oci::Digest::sha256(raw).to_string(), bench.digest);
    check(&bench.run(&["verify", &reference, "--platform", "linux/s390x"]), 5);
}

#[test]
fn digests_and_their_beginnings_name_a_result() {
    let bench = Bench::new();
    let registry = TestRegistry::start();
    let encoded = bench.digest.strip_prefix("sha256:").unwrap();
    for (name, tag) in [(bench.digest.as_str(), "a:1"), (&bench.digest[..15], "a:2"), (&encoded[..8], "a:3")] {
        check(&bench.run(&["push", name, "-t", &registry.reference(tag)]), 0);
        check(&bench.run(&["verify", &registry.reference(tag)]), 0);
    }
}

#[test]
fn every_command_takes_the_same_names() {
    let bench = Bench::new();
    let registry = TestRegistry::start();
    let (tag, digest) = (registry.reference("a:1"), bench.digest.as_str());
    check(&bench.run(&["push", "hello", "-t", &tag]), 0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(Index::small(&PLATFORMS).write_layout(&bench.dir.path().join("out"), "localhost:5000/app:1"));
    let short = &digest[..19];
    for name in [
        "store:hello".to_owned(),
        format!("store:hello@{digest}"),
        format!("store:hello@{short}"),
        format!("store:@{digest}"),
        format!("store:{short}"),
        "oci:out".to_owned(),
        "oci:out:localhost:5000/app:1".to_owned(),
        format!("oci:out:localhost:5000/app:1@{digest}"),
        format!("oci:out@{short}"),
    ] {
        check(&bench.run(&["inspect", &name]), 0);
        check(&bench.run(&["verify", &name]), 0);
        let (out, _) = check(&bench.run(&["push", "-q", &name, "-t", &tag]), 0);
        assert_eq!(out.trim(), digest, "{name}");
    }
    let other = format!("store:hello@sha256:{}", "0".repeat(64));
    for command in ["inspect", "verify", "push"] {
        let (_, err) = check(&bench.run(&[command, &other]), 2);
        assert!(err.contains(&format!("hello is {digest} there")), "{command}: {err}");
    }
    // A name that only a store has is not asked for at docker.io.
    let (_, err) = check(&bench.run(&["verify", "build-0123456789ab"]), 2);
    assert!(err.contains("hint: `store:build-0123456789ab`"), "{err}");
    check(&bench.run(&["store", "rm", "oci:out"]), 2);
    check(&bench.run(&["store", "rm", &other]), 2);
    let (_, err) = check(&bench.run(&["store", "rm", &format!("store:hello@{short}")]), 0);
    assert!(err.contains("forgot hello"), "{err}");
}

#[test]
fn a_layout_that_is_not_sound_is_not_published() {
    let bench = Bench::new();
    let registry = TestRegistry::start();
    let tag = registry.reference("a:1");
    let largest = largest_blob(&bench.dir.path().join("store/blobs/sha256"));
    let mut bytes = std::fs::read(&largest).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    let (out, err) = check(&bench.run(&["push", "oci:store:hello", "-t", &tag]), 5);
    assert!(out.is_empty() && err.contains("is not sound, and was not published"), "{err}");
    check(&bench.run(&["verify", &tag]), 8);
}

#[test]
fn a_damaged_layout_is_found_out() {
    let bench = Bench::new();
    check(&bench.run(&["verify", "--deep", "oci:store"]), 0);
    check(&bench.run(&["verify", "store:hello"]), 0);
    let largest = largest_blob(&bench.dir.path().join("store/blobs/sha256"));
    let mut bytes = std::fs::read(&largest).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    let (out, _) = check(&bench.run(&["verify", "--deep", "oci:store:hello"]), 5);
    assert!(out.contains("finding:"), "{out}");
}

fn largest_blob(dir: &Path) -> std::path::PathBuf {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.max_by_key(|path| path.metadata().unwrap().len()).unwrap()
}

#[test]
fn what_cannot_be_asked_is_not_called_bad() {
    let bench = Bench::new();
    let registry = TestRegistry::start();
    let (_, err) = check(&bench.run(&["verify", &registry.reference("absent:1")]), 8);
    assert!(err.contains("404") && err.contains("hint: check the name"), "{err}");
}

#[test]
fn the_store_lists_forgets_and_collects() {
    let bench = Bench::new();
    let (out, _) = check(&bench.run(&["store", "ls"]), 0);
    assert!(out.contains("hello") && out.contains("linux/amd64,linux/arm64"), "{out}");
    let (out, err) = check(&bench.run(&["store", "rm", "hello"]), 0);
    assert!(out.is_empty() && err.contains("forgot hello"), "{err}");
    // A short name with a tag has the form of a digest; the store's name for it is the long one.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (index, store) = (Index::small(&PLATFORMS), bench.dir.path().join("store"));
    runtime.block_on(index.write_layout(&store, "docker.io/library/app:1"));
    let (_, err) = check(&bench.run(&["store", "rm", "app:1"]), 0);
    assert!(err.starts_with("forgot docker.io/library/app:1 ("), "{err}");
    assert!(!check(&bench.run(&["store", "gc"]), 0).0.starts_with("removed 0 blobs"));
    assert_eq!(check(&bench.run(&["store", "ls", "--format", "json"]), 0).0, "[]\n");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let bench = Bench::new();
    let mut child =
        bench.command(&["inspect", "oci:store"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{err}");
}

/// Starts the registry and returns its address.
fn serve(bench: &Bench) -> (Child, String) {
    let mut command = bench.command(&["registry", "serve", "--addr", "127.0.0.1:0", "--root", "registry"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap_or_else(|| panic!("{line:?}")).to_owned();
    (child, address)
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn the_registry_serves_until_ctrl_c_and_keeps_what_it_has() {
    let bench = Bench::new();
    let (mut first, address) = serve(&bench);
    check(&bench.run(&["push", "hello", "-t", &format!("{address}/a:1")]), 0);
    signal(&first, "-INT");
    assert_eq!(first.wait().unwrap().code(), Some(0));
    let (mut second, address) = serve(&bench);
    check(&bench.run(&["verify", "--deep", &format!("{address}/a:1")]), 0);
    signal(&second, "-TERM");
    assert_eq!(second.wait().unwrap().code(), Some(0));
}

#[test]
fn the_registry_says_where_its_content_is() {
    let bench = Bench::new();
    let mut command = bench.command(&["registry", "serve", "--addr", "127.0.0.1:0"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, format!("content in {}\n", bench.dir.path().join(".local/share/polyarch/registry").display()));
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn ctrl_c_while_standard_input_hangs_leaves_nothing_behind() {
    let bench = Bench::new();
    let tmp = bench.dir.path().join("tmp");
    std::fs::create_dir(&tmp).unwrap();
    let mut child = bench
        .command(&["build", "-"])
        .env("TMPDIR", &tmp)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // A gzip header, and then nothing: once it was spooled the reader waits for more.
    let stdin = child.stdin.take().unwrap();
    let mut head = vec![0u8; 64 << 10];
    head[..3].copy_from_slice(&[0x1f, 0x8b, 0x08]);
    std::io::Write::write_all(&mut &stdin, &head).unwrap();
    while std::fs::read_dir(&tmp).unwrap().next().is_none() {
        std::thread::yield_now();
    }
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(std::fs::read_dir(&tmp).unwrap().next().is_none());
    drop(stdin);
}
