//! `--call` and `--check`: the frontend's answer on stdout, and the exit code.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Output};

use polyarch_testkit::require;

fn run(builder: &str, dockerfile: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
    command.args(["build", ".", "--builder", builder, "--platform", "linux/amd64,linux/arm64"]).args(more);
    command.env_clear().env("HOME", dir.path()).env("POLYARCH_STORE", dir.path().join("store"));
    let Output { status, stdout, stderr } = command.current_dir(dir.path()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// `RUN false` would fail: nothing is built.
fn with_warning() -> String {
    format!("FROM {} AS First\nARG WHO=me\nRUN false\n", std::env::var("BED_BASE_IMAGE").unwrap())
}

#[test]
fn warnings_are_printed_and_fail() {
    for builder in [require!("BED_DOCKER28"), require!("BED_DOCKER28_CLASSIC"), require!("BED_BUILDKIT")] {
        let (code, out, err) = run(&builder, &with_warning(), &["--check"]);
        assert_eq!(code, Some(7), "{err}");
        assert!(out.starts_with("WARNING: StageNameCasing") && out.contains(">>> FROM"), "{out}");
        assert_eq!(out.matches("StageNameCasing").count(), 1, "both platforms have the same: {out}");
        assert_eq!(run(&builder, &with_warning(), &["--call=check,ignorestatus"]).0, Some(0));
    }
}

#[test]
fn answers_come_in_two_forms() {
    let builder = require!("BED_DOCKER28");
    let (code, out, err) = run(&builder, &with_warning(), &["--call=outline,format=json"]);
    assert_eq!(code, Some(0), "{err}");
    let outline: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&outline["args"][0]["name"], &outline["args"][0]["value"]), (&"WHO".into(), &"me".into()));
    let (_, out, _) = run(&builder, &with_warning(), &["--call=targets"]);
    assert!(out.contains("first (default)"), "{out}");
    let (code, out, err) = run(&builder, &with_warning().replace("First", "first"), &["--check"]);
    assert_eq!((code, out.as_str()), (Some(0), ""));
    assert!(err.ends_with("check: no warnings\n"), "{err}");
}

#[test]
fn an_old_daemon_is_not_asked() {
    let builder = require!("BED_DOCKER20");
    let (code, out, err) = run(&builder, &with_warning(), &["--check"]);
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(err.contains("it needs BuildKit 0.14 or later") && err.contains("hint:"), "{err}");
}

#[test]
fn a_broken_dockerfile_has_no_answer() {
    let builder = require!("BED_BUILDKIT");
    let (code, out, err) = run(&builder, "FROM scratch\nRUNN x\n", &["--call=outline"]);
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(err.contains("RUNN"), "{err}");
    // BuildKit answers a check all the same, and the error is in the answer.
    let (code, out, err) = run(&builder, "FROM scratch\nRUNN x\n", &["--check"]);
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(err.contains("line 2") && err.contains("RUNN"), "{err}");
}
