//! A base image's layers in the same registry are mounted, not sent.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use polyarch_testkit::require;

/// Builds one more layer on the base, pushes to `tag` and returns how each blob got there.
fn push(dir: &std::path::Path, tag: &str) -> Vec<String> {
    let base = std::env::var("BED_BASE_IMAGE").unwrap();
    std::fs::write(dir.join("Dockerfile"), format!("FROM {base}\nRUN echo {tag} > /stamp\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
    let builder = std::env::var("BED_DOCKER28").unwrap();
    command.args(["build", ".", "--builder", &builder, "--platform", "linux/amd64", "--push", "-t", tag]);
    command.args(["--progress", "json"]);
    command.env_clear().env("HOME", dir).env("POLYARCH_STORE", dir.join("store"));
    let output = command.current_dir(dir).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let done = events.filter(|event| event["event"] == "transfer-done" && event["direction"] == "to-registry");
    let mut ways: Vec<String> = done.map(|event| event["how"].as_str().unwrap().to_owned()).collect();
    ways.sort();
    ways
}

#[test]
fn the_base_s_layer_is_mounted_into_a_new_repository() {
    let (registry, _) = (require!("BED_REGISTRY"), require!("BED_DOCKER28"));
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().file_name().unwrap().to_string_lossy().to_lowercase();
    let repository = format!("{registry}/e2e-mounts/{}", name.trim_start_matches('.'));
    // Base layer, new layer, config.
    assert_eq!(push(dir.path(), &format!("{repository}:1")), ["mounted", "sent", "sent"]);
    // There already: nothing is asked of the base's repository.
    assert_eq!(push(dir.path(), &format!("{repository}:1")), ["present", "present", "present"]);
}
