//! `plan`, `check` and `build --deny` with real daemons and a registry.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Command;

use polyarch_testkit::require;

fn run(dockerfile: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
    command.args(args).env_clear().env("HOME", dir.path()).env("POLYARCH_STORE", dir.path().join("store"));
    let output = command.current_dir(dir.path()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn all_platforms_of_the_base_are_planned() {
    let (builder, base) = (require!("BED_DOCKER28"), require!("BED_BASE_IMAGE"));
    let text = format!("FROM {base} AS one\nFROM one\nCOPY a b\n");
    let (code, out, err) =
        run(&text, &["plan", "--builder", &builder, "--platform", "all-from-base", "--format", "json"]);
    assert_eq!(code, Some(0), "{err}");
    let plan: serde_json::Value = serde_json::from_str(&out).unwrap();
    let platforms = plan["platforms"].as_array().unwrap();
    let mut names: Vec<&str> = platforms.iter().map(|one| one["platform"]["architecture"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["amd64", "arm", "arm64", "riscv64"]);
    let (code, _, err) = run("FROM scratch\n", &["plan", "--builder", &builder, "--platform", "all-from-base"]);
    assert_eq!(code, Some(3));
    assert!(err.contains("no base image to take platforms from"), "{err}");
}

#[test]
fn emulation_can_be_denied() {
    let (builder, base) = (require!("BED_DOCKER28"), require!("BED_BASE_IMAGE"));
    let text = format!("FROM {base} AS tools\nRUN true > /t\nFROM scratch\nCOPY --from=tools /t /t\n");
    let args =
        |command| [command, ".", "--builder", &builder, "--platform", "linux/amd64,linux/arm64", "--deny", "emulated"];
    for command in ["plan", "build"] {
        let (code, _, err) = run(&text, &args(command));
        assert_eq!(code, Some(3), "{err}");
        assert!(err.contains("stage \"tools\" would be emulated for linux/arm64 (1 RUN step)"), "{err}");
        let edit = format!("hint: cross-compile: line 1 becomes `FROM --platform=$BUILDPLATFORM {base} AS tools`");
        assert!(err.contains(&edit), "{err}");
    }
    let native = text.replace("FROM ", "FROM --platform=$BUILDPLATFORM ");
    let (code, _, err) = run(&native, &args("build"));
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn the_daemons_own_rules_are_added() {
    let base = require!("BED_BASE_IMAGE");
    let text = format!("FROM {base} AS First\nARG TARGETARCH=amd64\nCMD true\n");
    let ours = ["TargetArgDefault"];
    let all = ["JSONArgsRecommended", "StageNameCasing", "TargetArgDefault"];
    for (builder, want) in [(require!("BED_DOCKER28"), &all[..]), (require!("BED_DOCKER20"), &ours[..])] {
        let args = ["check", "--builder", &builder, "--platform", "linux/amd64,linux/arm64", "--format", "json"];
        let (code, out, err) = run(&text, &args);
        assert_eq!(code, Some(7), "{err}");
        let found: serde_json::Value = serde_json::from_str(&out).unwrap();
        let findings = found["findings"].as_array().unwrap();
        let mut rules: Vec<&str> = findings.iter().map(|finding| finding["rule"].as_str().unwrap()).collect();
        rules.sort_unstable();
        assert_eq!(rules, want, "{out}");
        assert_eq!(err.contains("BuildKit's own rules were not checked"), want.len() == 1, "{err}");
        assert!(findings.iter().all(|finding| finding["platforms"].as_array().unwrap().is_empty()), "{out}");
    }
}

/// The bed registers emulators for arm64, arm and riscv64, on whatever machine it runs; for s390x none.
#[test]
fn what_a_node_runs_is_proven_by_running_it() {
    let nodes = [
        require!("BED_DOCKER28"),
        require!("BED_DOCKER28_CLASSIC"),
        require!("BED_DOCKER20"),
        require!("BED_BUILDKIT"),
    ];
    for builder in nodes {
        let foreign = if std::env::consts::ARCH == "aarch64" { "linux/amd64" } else { "linux/arm64" };
        let platforms = format!("{foreign},linux/riscv64,linux/s390x");
        let args =
            ["plan", "--probe", "--no-resolve", "--builder", &builder, "--platform", &platforms, "--format", "json"];
        let (code, out, err) = run("FROM base\nRUN true\n", &args);
        assert_eq!(code, Some(3), "{err}");
        assert!(err.contains("needs linux/s390x") && err.contains("--install s390x"), "{err}");
        let plan: serde_json::Value = serde_json::from_str(&out).unwrap();
        let tried = plan["nodes"][0]["tried"].as_array().unwrap();
        let outcomes: Vec<&str> = tried.iter().map(|trial| trial["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["emulated", "emulated", "fails"], "{builder}: {err}");
        for (at, mode) in [(0, "emulated"), (1, "emulated"), (2, "impossible")] {
            let stage = &plan["platforms"][at]["stages"][0];
            assert_eq!((&stage["mode"], &stage["tried"]), (&mode.into(), &true.into()), "{builder}");
        }
    }
}

#[test]
fn a_plan_tells_what_the_last_build_took() {
    let (builder, base) = (require!("BED_DOCKER28"), require!("BED_BASE_IMAGE"));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), format!("FROM {base}\nRUN true\nRUN true 1\n")).unwrap();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.args(args).env_clear().env("HOME", dir.path()).env("POLYARCH_STORE", dir.path().join("store"));
        let output = command.args(["--builder", &builder]).current_dir(dir.path()).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let plan = ["plan", "--no-resolve", "--platform", "linux/amd64,linux/arm64", "--format", "json"];
    let last = || serde_json::from_str::<serde_json::Value>(&run(&plan)).unwrap()["last_builds"].clone();
    assert_eq!(last(), serde_json::json!([]));
    run(&["build", ".", "--platform", "linux/arm64", "--no-cache"]);
    run(&["build", ".", "--platform", "linux/arm64"]);
    let told = last();
    assert_eq!((told.as_array().unwrap().len(), &told[0]["platform"]), (1, &"linux/arm64".into()));
    assert_eq!((&told[0]["cached"], &told[0]["executed"]), (&2.into(), &0.into()), "{told}");
    assert!(run(&plan[..4]).contains("last build of linux/arm64: 20"));
}
