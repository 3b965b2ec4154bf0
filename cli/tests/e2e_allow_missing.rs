//! `--allow-missing`: what a daemon cannot do is left out of its request, and nothing else is.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::{Command, Output};

use polyarch_testkit::{TestRegistry, require};

fn run(builder: &str, more: &[&str]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let base = std::env::var("BED_BASE_IMAGE").unwrap();
    std::fs::write(dir.path().join("Dockerfile"), format!("FROM {base}\nARG A\nRUN test \"$A\" = kept\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
    command.args(["build", ".", "--builder", builder, "--platform", "linux/amd64", "--build-arg", "A=kept"]).args(more);
    command.env_clear().env("HOME", dir.path()).env("POLYARCH_STORE", dir.path().join("store"));
    let Output { status, stderr, .. } = command.current_dir(dir.path()).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn what_may_be_missing_is_left_out() {
    let registry = TestRegistry::start();
    let cache = format!("type=registry,ref={}", registry.reference("cache:1"));
    for builder in [require!("BED_DOCKER28_CLASSIC"), require!("BED_DOCKER20")] {
        let flags =
            ["--provenance=true", "--cache-to", &cache, "--build-context", "extra=.", "--compression", "estargz"];
        let (code, err) = run(&builder, &flags);
        assert_eq!(code, Some(3), "{err}");
        let named = err.lines().find_map(|line| line.split_once("--allow-missing ")).unwrap().1;
        let mut named: Vec<&str> = named.split(',').collect();
        named.sort_unstable();
        let all = ["attestations", "cache-export", "compression", "named-contexts"];
        // Docker 28's classic store has named contexts.
        assert!(named == all || named == all[..3], "{err}");
        let allowed = ["--allow-missing", "attestations,cache-export,compression,named-contexts"];
        let (code, err) = run(&builder, &[&flags[..], &allowed].concat());
        assert_eq!(code, Some(0), "{err}");
        for flag in ["--provenance", "--cache-to type=registry", "--compression estargz"] {
            assert!(err.contains(&format!("{flag} cannot be done by")), "{err}");
        }
        assert!(err.contains("left out as allowed"), "{err}");
        // One of them is not allowed.
        assert_eq!(run(&builder, &[&flags[..], &["--allow-missing", "cache-export"]].concat()).0, Some(3));
    }
}
