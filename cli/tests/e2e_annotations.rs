//! `--annotation` at every level, in what ends up in the store, whatever the kind of daemon.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

use polyarch_testkit::require;
use serde_json::{Value, json};

fn blob(store: &Path, descriptor: &Value) -> Value {
    let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    serde_json::from_slice(&std::fs::read(store.join("blobs/sha256").join(digest)).unwrap()).unwrap()
}

/// Builds and returns the store's directory.
fn build(builder: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let base = std::env::var("BED_BASE_IMAGE").unwrap();
    std::fs::write(dir.path().join("Dockerfile"), format!("FROM {base}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
    command.args(["build", ".", "--builder", builder, "--platform", "linux/amd64,linux/arm64", "-t", "a:1"]);
    for annotation in [
        "index:level=index",
        "level=manifest",
        "manifest[linux/arm64]:only=arm64",
        "manifest-descriptor:level=manifest descriptor",
        "manifest-descriptor[linux/amd64]:only=amd64",
        "index-descriptor:level=index descriptor",
    ] {
        command.args(["--annotation", annotation]);
    }
    command.env_clear().env("HOME", dir.path()).env("POLYARCH_STORE", dir.path().join("store"));
    let output = command.current_dir(dir.path()).output().unwrap();
    assert!(output.status.success(), "{builder}: {}", String::from_utf8_lossy(&output.stderr));
    dir
}

#[test]
fn every_level_is_written_by_every_kind_of_daemon() {
    for builder in
        [require!("BED_DOCKER28"), require!("BED_DOCKER28_CLASSIC"), require!("BED_DOCKER20"), require!("BED_BUILDKIT")]
    {
        let dir = build(&builder);
        let store = dir.path().join("store");
        let layout: Value = serde_json::from_slice(&std::fs::read(store.join("index.json")).unwrap()).unwrap();
        let root = &layout["manifests"][0];
        assert_eq!(root["annotations"]["level"], "index descriptor", "{builder}");
        let index = blob(&store, root);
        assert_eq!(index["annotations"], json!({ "level": "index" }), "{builder}");
        let entries = index["manifests"].as_array().unwrap();
        assert_eq!(entries[0]["annotations"], json!({ "level": "manifest descriptor", "only": "amd64" }), "{builder}");
        assert_eq!(entries[1]["annotations"], json!({ "level": "manifest descriptor" }), "{builder}");
        assert_eq!(blob(&store, &entries[0])["annotations"], json!({ "level": "manifest" }), "{builder}");
        assert_eq!(
            blob(&store, &entries[1])["annotations"],
            json!({ "level": "manifest", "only": "arm64" }),
            "{builder}"
        );
    }
}
