//! `plan` and `check` as a user runs them, without any daemon.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/sarif.rs"]
mod sarif;

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;

struct Run {
    code: Option<i32>,
    out: String,
    err: String,
}

fn run(dockerfile: &[u8], args: &[&str]) -> Run {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
    polyarch(dir.path(), args, None)
}

fn polyarch(dir: &std::path::Path, args: &[&str], stdin: Option<&[u8]>) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
    command.args(args).env_clear().env("HOME", dir).current_dir(dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read its input ends before it is written.
    let _ = child.stdin.take().unwrap().write_all(stdin.unwrap_or_default());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

const GOOD: &str = "FROM --platform=$BUILDPLATFORM golang AS build\nARG TARGETARCH\nRUN go build $TARGETARCH\nFROM scratch\nCOPY --from=build /a /a\n";

#[test]
fn a_plan_needs_no_daemon() {
    let run = run(GOOD.as_bytes(), &["plan", "--offline", "--platform", "linux/s390x,linux/riscv64"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "{}", run.out);
    assert!(
        run.out.starts_with("Dockerfile, target stage-1, 2 platforms\n  this machine: native linux/"),
        "{}",
        run.out
    );
    assert!(run.out.contains("\n  cross      linux/s390x, linux/riscv64: 1 RUN, as linux/"), "{}", run.out);
    assert!(run.out.ends_with("\ntotal: 4 stages, 2 RUN steps: 2 cross\n"), "{}", run.out);
    assert!(run.out.lines().all(|line| line.chars().count() <= 80), "{}", run.out);
}

#[test]
fn the_document_is_versioned() {
    let run = run(
        GOOD.as_bytes(),
        &["plan", "--offline", "--platform", "linux/s390x", "--format", "json", "-o", "plan.json"],
    );
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), "", ""));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), GOOD).unwrap();
    for name in [".dockerignore", "Dockerfile.dockerignore"] {
        std::fs::write(dir.path().join(name), "x\n").unwrap();
    }
    let args = ["plan", "--offline", "--platform", "linux/s390x", "--format", "json", "-o", "plan.json"];
    let run = polyarch(dir.path(), &args, None);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), "", ""));
    let plan: Value = serde_json::from_slice(&std::fs::read(dir.path().join("plan.json")).unwrap()).unwrap();
    assert_eq!(
        (&plan["version"], &plan["confidence"], &plan["dockerfile"]),
        (&1.into(), &"exact".into(), &"Dockerfile".into())
    );
    let build = &plan["platforms"][0]["stages"][0];
    assert_eq!((&build["mode"], &build["taint"]["argument"]), (&"cross".into(), &"TARGETARCH".into()));
    assert_eq!((&build["args"][0]["name"], &build["args"][0]["value"]), (&"TARGETARCH".into(), &"s390x".into()));
    assert_eq!(
        (&plan["images"][0]["name"], &plan["images"][0]["platforms"][0]["available"]),
        (&"golang".into(), &Value::Null)
    );
    assert_eq!((&plan["totals"]["cross"], &plan["ignore_file"]), (&1.into(), &"Dockerfile.dockerignore".into()));
}

#[test]
fn a_dockerfile_may_come_from_stdin() {
    let dir = tempfile::tempdir().unwrap();
    for args in [["plan", "-", "--offline"], ["plan", "--file=-", "--offline"]] {
        let run = polyarch(dir.path(), &args, Some(b"FROM scratch\nCOPY a b\n"));
        assert_eq!(run.code, Some(0), "{}", run.err);
        assert!(run.out.starts_with("Dockerfile from standard input, target stage-0, 1 platform\n"), "{}", run.out);
    }
}

#[test]
fn what_is_wrong_has_its_place_and_a_hint() {
    for (text, args, want) in [
        (
            "FROM a\nRNU x\n",
            &[][..],
            "error: Dockerfile:2:1: unknown instruction \"RNU\"\n         2 | RNU x\n           | ^\nhint: did you mean RUN?\n",
        ),
        (
            "FROM a AS build\n",
            &["--target", "bulid"],
            "error: target stage \"bulid\" does not exist\nhint: did you mean build?\n",
        ),
        (
            "FROM a AS x\nCOPY --from=y / /\nFROM b AS y\nFROM x\n",
            &[],
            "error: Dockerfile:2:13: stage \"y\" is used in stage \"x\" before it is defined\n         2 | COPY --from=y / /\n           |             ^\nhint: move stage y above stage x, or name an image\n",
        ),
        (
            "FROM a AS x\nCOPY --from=x / /\n",
            &[],
            "error: Dockerfile:2:1: circular dependency: x → x\n         2 | COPY --from=x / /\n           | ^\nhint: put what both need into a stage of its own above them\n",
        ),
        (
            "FROM $NOPE\n",
            &[],
            "error: Dockerfile:1:6: base name \"$NOPE\" is blank after expansion\n         1 | FROM $NOPE\n           |      ^\nhint: FROM sees only ARGs before the first FROM: declare it there, or give --build-arg\n",
        ),
    ] {
        let run = run(text.as_bytes(), &[&["plan", "--offline"][..], args].concat());
        assert_eq!((run.code, run.err.as_str()), (Some(3), want), "{text}");
    }
}

#[test]
fn what_is_not_here_or_not_a_dockerfile_is_not_planned() {
    let dir = tempfile::tempdir().unwrap();
    for (args, stdin, want) in [
        (["plan", "https://example.org/a.git", "--offline"], "", "Dockerfile is in a context that the daemon reads"),
        (["plan", "--file=-", "--offline"], "# syntax=other/one\nkey:\n  - x\n", "is in the language of a frontend"),
    ] {
        let run = polyarch(dir.path(), &args, Some(stdin.as_bytes()));
        assert_eq!((run.code, run.out.as_str()), (Some(3), ""));
        assert!(run.err.contains(want) && run.err.contains("hint: "), "{}", run.err);
    }
}

#[test]
fn a_check_does_without_a_daemon() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), BAD).unwrap();
    let quiet = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.args(args).env_clear().env("HOME", dir.path()).env("DOCKER_HOST", "unix:///no/such.sock");
        command.current_dir(dir.path()).output().unwrap()
    };
    let checked = quiet(&["check", "--no-resolve", "--platform", "linux/s390x"]);
    let err = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(
        (checked.status.code(), err.as_str()),
        (Some(7), "note: docker does not answer; planned for this machine\n")
    );
    let planned = quiet(&["plan", "--no-resolve", "--platform", "linux/s390x"]);
    assert_eq!(planned.status.code(), Some(0), "{}", String::from_utf8_lossy(&planned.stderr));
    let named = quiet(&["plan", "--no-resolve", "--builder", "docker"]);
    assert_eq!(named.status.code(), Some(3), "a builder that is named must answer");
    let asked = quiet(&["plan"]);
    assert!(String::from_utf8_lossy(&asked.stderr).ends_with("hint: plan without a daemon: --offline\n"));
}

#[test]
fn files_that_are_no_dockerfiles() {
    let run = |bytes: &[u8]| run(bytes, &["plan", "--offline"]);
    let binary = run(b"FROM a\nRUN \xff\xfe\x00\x1b[31m\n");
    assert_eq!(binary.code, Some(3));
    assert!(binary.err.starts_with("error: Dockerfile:2:1: the line is not UTF-8\n"), "{}", binary.err);
    assert!(!binary.err.contains('\x1b'), "{:?}", binary.err);
    let large = run("# nothing but comments, many of them\n".repeat(1_400_000).as_bytes());
    assert_eq!(large.code, Some(3));
    assert!(large.err.starts_with("error: Dockerfile:1:1: the Dockerfile has no instructions\n"), "{}", large.err);
    let line = run(&[b"FROM a\nRUN x ", "y".repeat(50 << 20).as_bytes(), b"\nNOPE\n"].concat());
    assert!(line.err.starts_with("error: Dockerfile:2:1: the line is longer than 65535 bytes\n"), "{}", line.err);
    assert!(
        line.err.contains("Dockerfile:3:1: unknown instruction \"NOPE\"\n") && line.err.len() < 2000,
        "{}",
        line.err.len()
    );
}

#[test]
fn emulation_can_be_denied() {
    let run = run(GOOD.as_bytes(), &["plan", "--offline", "--deny", "emulated", "--platform", "linux/s390x"]);
    assert_eq!((run.code, run.err.as_str()), (Some(0), ""), "nothing is emulated here");
    let run = self::run(b"FROM a\n", &["plan", "--offline", "--platform", "all-from-base"]);
    assert_eq!(run.code, Some(2));
    assert!(run.err.contains("--platform all-from-base asks a registry"), "{}", run.err);
}

const BAD: &str = "FROM --platform=$BUILDPLATFORM a\nARG TARGETARCH=amd64\n";

#[test]
fn findings_have_three_forms() {
    let args = ["check", "--offline", "--platform", "linux/s390x,linux/riscv64"];
    let of = |more: &[&str]| run(BAD.as_bytes(), &[&args, more].concat());
    let text = of(&[]);
    assert_eq!((text.code, text.err.as_str()), (Some(7), ""));
    assert!(
        text.out.starts_with("error: FinalStageBuildPlatform\n  FROM --platform=$BUILDPLATFORM is under the target"),
        "{}",
        text.out
    );
    assert!(
        text.out.contains("  Dockerfile:1:6\n") && text.out.contains("  fix: write `ARG TARGETARCH`\n"),
        "{}",
        text.out
    );
    assert!(text.out.ends_with("2 errors, 0 warnings\n"), "{}", text.out);
    let json: Value = serde_json::from_str(&of(&["--format", "json"]).out).unwrap();
    assert_eq!((&json["version"], json["findings"].as_array().unwrap().len()), (&1.into(), 2));
    assert_eq!(
        (&json["findings"][1]["rule"], &json["findings"][1]["span"]["column"]),
        (&"TargetArgDefault".into(), &5.into())
    );
    let sarif: Value = serde_json::from_str(&of(&["--format", "sarif"]).out).unwrap();
    sarif::assert_valid(&sarif);
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!((&sarif["version"], &result["ruleId"]), (&"2.1.0".into(), &"FinalStageBuildPlatform".into()));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!((&place["artifactLocation"]["uri"], &place["region"]["startColumn"]), (&"Dockerfile".into(), &6.into()));
    let rules: Vec<&Value> = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap().iter().collect();
    assert!(rules.len() >= 11 && rules.iter().all(|rule| rule["shortDescription"]["text"].is_string()));
}

#[test]
fn findings_can_be_skipped() {
    let run = run(BAD.as_bytes(), &["check", "--offline", "--skip", "targetargdefault,FinalStageBuildPlatform"]);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (Some(0), "", "check: no findings\n"));
    let quiet = self::run(format!("# check=skip=all\n{BAD}").as_bytes(), &["check", "--offline"]);
    assert_eq!((quiet.code, quiet.out.as_str()), (Some(0), ""));
}

#[test]
fn what_cannot_be_followed_is_told_and_not_locked() {
    let text = format!("FROM scratch\nENV A={}\nENV B=$A$A\nCOPY a b\n", "x".repeat(40_000));
    let told = "line 3: cannot expand \"$A$A\"";
    let plan = run(text.as_bytes(), &["plan", "--offline"]);
    // The tree is wrapped.
    assert!(plan.code == Some(0) && plan.out.contains(told), "{} {}", plan.out, plan.err);
    let check = run(text.as_bytes(), &["check", "--offline"]);
    assert!(check.code == Some(0) && check.err.contains(told), "{} {}", check.out, check.err);
    let lock = run(text.as_bytes(), &["lock"]);
    assert!(lock.code == Some(3) && lock.err.contains("not every image"), "{} {}", lock.out, lock.err);
}
