//! `--transfer daemon`: the daemon pushes, polyarch reads back, assembles and tags.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::{Command, Output};

use polyarch_testkit::{TestRegistry, require};

const DOCKERFILE: &str = "ARG BASE\nFROM $BASE\nARG STAMP\nRUN echo \"$STAMP\" > /stamp\n";

/// A context and an empty store.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("context")).unwrap();
        std::fs::write(dir.path().join("context/Dockerfile"), DOCKERFILE).unwrap();
        Self(dir)
    }

    fn store(&self) -> std::path::PathBuf {
        self.0.path().join("store")
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.args(args).env_clear().env("HOME", self.0.path()).env("POLYARCH_STORE", self.store());
        command.current_dir(self.0.path()).output().unwrap()
    }

    /// Builds for two platforms with the daemon pushing; `more` is added to the command line.
    fn build(&self, builder: &str, more: &[&str]) -> Output {
        let base = std::env::var("BED_BASE_IMAGE").unwrap();
        // The directory's name is new in each test, so the RUN is, too.
        let (base, stamp) = (format!("BASE={base}"), format!("STAMP={}", self.0.path().display()));
        let mut args = vec!["build", "context", "--builder", builder, "--build-arg", &base, "--build-arg", &stamp];
        args.extend(["--platform", "linux/amd64,linux/arm64", "--transfer", "daemon"]);
        args.extend(more);
        self.run(&args)
    }
}

#[track_caller]
fn check(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    (out, err)
}

fn largest_blob(store: &Path) -> u64 {
    let files = std::fs::read_dir(store.join("blobs/sha256")).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).max().unwrap_or_default()
}

fn metadata(bench: &Bench) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(bench.0.path().join("metadata.json")).unwrap()).unwrap()
}

/// A name of its own in a registry that outlives the test.
fn repository(registry: &str, bench: &Bench) -> String {
    let name = bench.0.path().file_name().unwrap().to_string_lossy().to_lowercase();
    format!("{registry}/e2e-transfer/{}", name.trim_start_matches(['.', '_']))
}

#[test]
fn a_docker_daemon_pushes_to_several_repositories_of_two_registries() {
    let (builder, debian) = (require!("BED_DOCKER28"), require!("BED_REGISTRY"));
    let bench = Bench::new();
    let embedded = TestRegistry::start();
    let tags = [
        format!("{}:1", repository(&debian, &bench)),
        format!("{}-b:1", repository(&debian, &bench)),
        embedded.reference("app:1"),
    ];
    let tagging: Vec<&str> = tags.iter().flat_map(|tag| ["-t", tag]).collect();
    let more = [&tagging[..], &["--push", "--metadata-file", "metadata.json"]].concat();
    let (out, _) = check(&bench.build(&builder, &more), 0);
    assert!(out.lines().any(|row| row.starts_with("linux/arm64") && row.ends_with("manifest")), "{out}");
    let told = metadata(&bench);
    let digest = told["containerimage.digest"].as_str().unwrap();
    assert_eq!(told["polyarch"]["platforms"][1]["verified"], "manifests");
    for tag in &tags {
        let (found, _) = check(&bench.run(&["verify", "--deep", tag, "--platform", "linux/amd64,linux/arm64"]), 0);
        assert!(found.contains(digest), "{found}");
    }
    // The base's layer alone has a megabyte: no layer came here.
    assert!(largest_blob(&bench.store()) < 100_000);
    assert_eq!(check(&bench.run(&["store", "ls", "--format", "json"]), 0).0, "[]\n");
}

#[test]
fn a_buildkit_daemon_pushes_attestations_too() {
    let builder = require!("BED_BUILDKIT");
    let bench = Bench::new();
    let registry = TestRegistry::start();
    let tag = registry.reference("deep/name/app:1");
    let (out, _) = check(&bench.build(&builder, &["-t", &tag, "--push", "--provenance=mode=max", "--quiet"]), 0);
    let (raw, _) = check(&bench.run(&["inspect", "--raw", &tag]), 0);
    let index: serde_json::Value = serde_json::from_str(&raw).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 4);
    for (image, attestation) in [(0, 2), (1, 3)] {
        assert_eq!(entries[attestation]["annotations"]["vnd.docker.reference.digest"], entries[image]["digest"]);
    }
    assert!(check(&bench.run(&["verify", "--deep", &tag]), 0).0.contains(out.trim_end()));
}

#[test]
fn what_it_cannot_do_is_said_before_anything_is_built() {
    let (classic, modern) = (require!("BED_DOCKER28_CLASSIC"), require!("BED_DOCKER28"));
    let bench = Bench::new();
    let registry = TestRegistry::start();
    let tag = registry.reference("app:1");
    let (_, err) = check(&bench.build(&classic, &["-t", &tag, "--push"]), 3);
    assert!(err.contains("--transfer daemon cannot be done by"), "{err}");
    let (_, err) = check(&bench.build(&modern, &["-t", &tag]), 2);
    assert!(err.contains("hint: add --push"), "{err}");
    check(&bench.build(&modern, &["--push"]), 2);
    check(&bench.build(&modern, &["-t", &tag, "--push", "-o", "type=oci,dest=out.tar"]), 2);
    check(&bench.run(&["verify", &tag]), 8);
}

#[test]
fn a_registry_that_refuses_the_daemon_gets_no_tag() {
    let builder = require!("BED_DOCKER28");
    let auth = require!("BED_REGISTRY_AUTH");
    let bench = Bench::new();
    let tag = format!("{}:1", repository(&auth, &bench));
    let (out, err) = check(&bench.build(&builder, &["-t", &tag, "--push"]), 4);
    assert!(out.is_empty() && err.contains("401"), "{err}");
}
