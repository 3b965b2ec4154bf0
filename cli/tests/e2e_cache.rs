//! `--cache-to` and `--cache-from`: what several platforms exported is one cache, on another daemon too.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

use polyarch_testkit::{TestRegistry, require};

/// A shared stage, and one that differs between platforms; `token` makes them unknown to every daemon.
fn dockerfile(token: &str) -> String {
    format!(
        "FROM --platform=$BUILDPLATFORM scratch AS shared\nCOPY Dockerfile /shared\nFROM scratch\nARG TARGETARCH\n\
         COPY --from=shared /shared /$TARGETARCH\nLABEL token={token}\n"
    )
}

/// Builds both platforms; returns what is told, and executed and cached steps of each platform.
fn build(dir: &Path, builder: &str, more: &[&str]) -> (String, Vec<(u64, u64)>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
    command.args(["build", ".", "--builder", builder, "--platform", "linux/amd64,linux/arm64", "--progress", "plain"]);
    command.args(["--metadata-file", "metadata.json"]).args(more);
    command.env_clear().env("HOME", dir).env("POLYARCH_STORE", dir.join(format!("store-{}", builder.len())));
    let output = command.current_dir(dir).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{err}");
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(dir.join("metadata.json")).unwrap()).unwrap();
    let platforms = told["polyarch"]["platforms"].as_array().unwrap_or_else(|| panic!("{told:#}"));
    let steps = |one: &serde_json::Value, key: &str| one[key].as_u64().unwrap();
    (err, platforms.iter().map(|one| (steps(one, "executed_steps"), steps(one, "cached_steps"))).collect())
}

fn project() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().file_name().unwrap().to_string_lossy().into_owned();
    std::fs::write(dir.path().join("Dockerfile"), dockerfile(&token)).unwrap();
    dir
}

#[test]
fn a_local_cache_holds_every_platform() {
    let (docker, buildkit) = (require!("BED_DOCKER28"), require!("BED_BUILDKIT"));
    let dir = project();
    let flags = ["--cache-from", "type=local,src=cache", "--cache-to", "type=local,dest=cache,mode=max"];
    let (err, steps) = build(dir.path(), &docker, &flags);
    assert!(err.contains("there is no cache in cache yet"), "{err}");
    assert!(steps.iter().all(|(executed, _)| *executed > 0), "{steps:?}");
    let names: Vec<_> =
        std::fs::read_dir(dir.path().join("cache")).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "blobs, index.json and oci-layout alone: {names:?}");

    let (_, steps) = build(dir.path(), &buildkit, &flags[..2]);
    assert_eq!(steps, [(0, 2), (0, 2)]);
}

#[test]
fn a_registry_cache_holds_every_platform_and_another_daemon_finds_it() {
    let (docker, buildkit) = (require!("BED_DOCKER28"), require!("BED_BUILDKIT"));
    let registry = TestRegistry::start();
    let cache = format!("type=registry,ref={},mode=max", registry.reference("cache:main"));
    let dir = project();
    let (_, steps) = build(dir.path(), &docker, &["--cache-to", &cache]);
    assert!(steps.iter().all(|(executed, _)| *executed > 0), "{steps:?}");
    let from = format!("type=registry,ref={}", registry.reference("cache:main"));
    let (_, steps) = build(dir.path(), &buildkit, &["--cache-from", &from]);
    assert_eq!(steps, [(0, 2), (0, 2)]);
}
