//! `polyarch audit` with a policy, over whole registries, and what is made of what it reads, as a user runs it.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use polyarch_testkit::{Index, TestRegistry};
use serde_json::Value;

struct Home {
    dir: tempfile::TempDir,
    registry: TestRegistry,
}

impl Home {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), registry: TestRegistry::start() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn at(&self, rest: &str) -> String {
        self.registry.reference(rest)
    }

    /// Puts an index of platforms at a reference.
    fn publish(&self, rest: &str, platforms: &[&str]) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let name = rest.replace(['/', ':'], "-");
        runtime.block_on(Index::small(platforms).write_layout(&self.path(&name), "1"));
        check(&self.run(&["copy", &format!("oci:{name}:1"), &self.at(rest)]), 0);
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.args(args).env_clear().env("HOME", self.dir.path()).current_dir(self.dir.path());
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn json(&self, args: &[&str], code: i32) -> Value {
        serde_json::from_str(&check(&self.run(args), code).0).unwrap()
    }

    fn digest(&self, reference: &str) -> String {
        let bytes = self.run(&["manifest", "get", &self.at(reference)]).stdout;
        polyarch_registry::oci::Digest::sha256(&bytes).to_string()
    }

    /// Digest of the child of a platform.
    fn child(&self, reference: &str, number: usize) -> String {
        let index = self.json(&["manifest", "get", &self.at(reference)], 0);
        index["manifests"][number]["digest"].as_str().unwrap().to_owned()
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
fn a_policy_is_checked_before_it_is_used() {
    let home = Home::new();
    std::fs::write(home.path("bad.toml"), "max-layers = 4\nforbid-rot = true\n").unwrap();
    for args in [&["audit", "policy", "check", "bad.toml"][..], &["audit", "--policy", "bad.toml", "127.0.0.1:1/x"]] {
        let (out, err) = check(&home.run(args), 2);
        assert_eq!(out, "");
        assert!(err.contains("  --> bad.toml:2:1\n  |\n2 | forbid-rot = true\n  | ^^^^^^^^^^\n"), "{err}");
        assert!(err.contains("did you mean `forbid-root`?"), "{err}");
    }
    check(&home.run(&["audit", "policy", "check", "absent.toml"]), 2);
    std::fs::write(home.path("good.toml"), "max-layers = 4\n").unwrap();
    let (out, _) = check(&home.run(&["audit", "policy", "check", "good.toml"]), 0);
    assert_eq!(out, "good.toml: good: 0 groups of repositories, 0 waivers\n");
    let shipped = std::fs::read_to_string("../docs/audit-policy.schema.json").unwrap();
    assert_eq!(check(&home.run(&["audit", "policy", "schema"]), 0).0, shipped);
}

#[test]
fn a_waived_finding_does_not_fail_an_audit_until_its_day() {
    let home = Home::new();
    home.publish("team/app:1", &["linux/amd64", "linux/arm64"]);
    let child = format!("{}@{}", home.at("team/app"), home.child("team/app:1", 1));
    check(&home.run(&["rm", "--digest", &child]), 0);
    let waiver = |rule: &str, expires: &str| {
        format!("[[waiver]]\nrule = \"{rule}\"\nrepository = \"**/team/*\"\nreason = \"known\"\nexpires = {expires}\n")
    };
    let policy = waiver("dangling-child", "9999-12-31") + &waiver("platform-mismatch", "9999-12-31");
    std::fs::write(home.path("policy.toml"), policy).unwrap();
    let audit = ["audit", "--policy", "policy.toml", "--format", "json", &home.at("team/app:1")];
    let output = home.run(&audit);
    let (out, err) = check(&output, 0);
    let report: Value = serde_json::from_str(&out).unwrap();
    let found: Vec<_> = report["images"][0]["findings"].as_array().unwrap().iter().collect();
    let dangling: Vec<_> = found.iter().filter(|one| one["rule"] == "dangling-child").collect();
    assert_eq!((dangling.len(), &dangling[0]["waived"]), (1, &Value::from("known")));
    let unused = "warning: policy.toml:6: the waiver of platform-mismatch is about nothing that was found\n";
    assert!(err.contains(unused), "{err}");

    std::fs::write(home.path("policy.toml"), waiver("dangling-child", "2026-01-01")).unwrap();
    let report = home.json(&audit, 7);
    let rules: Vec<_> = report["images"][0]["findings"].as_array().unwrap().iter().map(|one| &one["rule"]).collect();
    assert!(rules.contains(&&Value::from("dangling-child")) && rules.contains(&&Value::from("expired-waiver")));
}

#[test]
fn repositories_and_tags_are_chosen_by_patterns() {
    let home = Home::new();
    for rest in ["team/app:1", "team/app:2-rc", "team/sub/deep:1", "other/app:1"] {
        home.publish(rest, &["linux/amd64", "linux/arm64"]);
    }
    let signature = home.digest("team/app:1").replace(':', "-") + ".sig";
    check(&home.run(&["tag", &home.at("team/app:1"), &signature]), 0);
    let names = |more: &[&str]| {
        let report = home.json(&[&["audit", "--format", "json", "--fail-on", "never"], more].concat(), 0);
        let name = |image: &Value| {
            let repository = image["repository"].as_str().unwrap().split_once('/').unwrap().1.to_owned();
            format!("{repository}:{}", image["tag"].as_str().unwrap())
        };
        let names = report["images"].as_array().unwrap().iter().map(name).collect::<Vec<_>>();
        (names.join(" "), report["stats"]["skipped"].as_u64().unwrap())
    };
    let (team, all) = (home.at("team/*"), home.at("**"));
    assert_eq!(names(&["--repos", &team]), ("team/app:1 team/app:2-rc".to_owned(), 1));
    assert_eq!(names(&["--repos", &all, "--exclude-tags", "*-rc"]).0, "other/app:1 team/app:1 team/sub/deep:1");
    assert_eq!(names(&["--repos", &team, "--repos", &all, "--tags", "2*"]).0, "team/app:2-rc");
    assert_eq!(names(&[&home.at("other/app:1"), "--repos", &team, "--tags", "1"]).0, "other/app:1 team/app:1");

    let (_, err) = check(&home.run(&["audit", "--repos", "team/*"]), 2);
    assert!(err.contains("`--repos team/*` cannot be used") && err.contains("registry.example.com/team/*"), "{err}");
    let (_, err) = check(&home.run(&["audit", "--repos", &all, "--tags", "["]), 2);
    assert!(err.contains("`--tags [` cannot be used"), "{err}");
    let (out, _) = check(&home.run(&["audit", "--repos", &home.at("none/*")]), 8);
    assert!(out.contains("none of the 3 repositories"), "{out}");
}

#[test]
fn a_registry_that_does_not_tell_its_repositories_could_not_be_checked() {
    use polyarch_testkit::script::{Reply, Server};
    let home = Home::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start(|_| Reply::status(404)));
    let report = home.json(&["audit", "--format", "json", "--repos", &format!("{}/team/*", server.host())], 8);
    let reason = report["repositories"][0]["unchecked"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("name them one by one"), "{reason}");
}

#[test]
fn an_inventory_lists_bases_instead_of_findings() {
    let home = Home::new();
    home.publish("base/os:1", &["linux/amd64", "linux/arm64"]);
    home.publish("team/app:1", &["linux/amd64", "linux/arm64"]);
    let (name, digest) = (home.at("base/os:1"), home.digest("base/os:1"));
    let annotations = [
        format!("org.opencontainers.image.base.name={name}"),
        format!("org.opencontainers.image.base.digest={digest}"),
    ];
    let app = home.at("team/app:1");
    check(&home.run(&["index", "annotate", &app, &annotations[0], &annotations[1]]), 0);
    let (out, _) = check(&home.run(&["audit", "--inventory", &app]), 0);
    assert!(out.contains("current") && out.contains(&format!("used by {app}")), "{out}");
    assert!(
        out.ends_with("1 base: 1 current, 0 behind, 0 without a tag, 0 unknown, 0 could not be checked\n"),
        "{out}"
    );
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");

    check(&home.run(&["index", "annotate", &home.at("base/os:1"), "n=w"]), 0);
    check(&home.run(&["audit", "--inventory", &app, "--format", "json", "-o", "inventory.json"]), 0);
    let found: Value = serde_json::from_slice(&std::fs::read(home.path("inventory.json")).unwrap()).unwrap();
    let base = &found["bases"][0];
    assert_eq!((&base["name"], &base["digest"], &base["state"]), (&name.into(), &digest.into(), &"behind".into()));
    assert_eq!(base["current"], home.digest("base/os:1"));
    check(&home.run(&["audit", "--inventory", &home.at("team/none:1")]), 8);
    check(&home.run(&["audit", "--inventory", &app, "--report", "json=x"]), 2);
}

/// Runs the commands of a fix.
fn repair(home: &Home, fix: &str) {
    let commands = fix.split_once(": ").unwrap().1;
    for command in commands.split(" && ") {
        check(&home.run(&command.split(' ').skip(1).collect::<Vec<_>>()), 0);
    }
}

#[test]
fn what_is_missing_is_found_elsewhere_and_its_command_brings_it_back() {
    let home = Home::new();
    let other = TestRegistry::start();
    let (host, app) = (other.addr().to_string(), home.at("team/app:1"));
    home.publish("team/app:1", &["linux/amd64", "linux/arm64"]);
    let child = home.child("team/app:1", 1);
    let lost = format!("{}@{child}", home.at("team/app"));
    let index = home.run(&["manifest", "get", &lost]).stdout;
    let manifest: Value = serde_json::from_slice(&index).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    check(&home.run(&["copy", &app, &format!("{host}/team/app:1")]), 0);
    check(&home.run(&["rm", "--digest", &lost]), 0);

    let audit = |more: &[&str], rule: &str, code: i32| {
        let report = home.json(&[&["audit", "--blobs", "--format", "json", &app], more].concat(), code);
        let findings = report["images"][0]["findings"].as_array().unwrap().clone();
        findings.iter().find(|one| one["rule"] == rule).map(|one| one["fix"].as_str().unwrap().to_owned())
    };
    let nowhere = audit(&["--find-in", &format!("{host}/none")], "dangling-child", 7).unwrap();
    assert_eq!(nowhere, format!("{child} is not at {host}/none either; build and push it again"));
    let silent = audit(&["--find-in", "127.0.0.1:1"], "dangling-child", 7).unwrap();
    assert!(silent.starts_with("could not ask 127.0.0.1:1/team/app: "), "{silent}");
    let fix = audit(&["--find-in", &format!("{host}/none"), "--find-in", &host], "dangling-child", 7).unwrap();
    let to = home.at("team/app");
    assert_eq!(fix, format!("{host}/team/app still has it: polyarch copy {host}/team/app@{child} {to}"));
    repair(&home, &fix);
    assert_eq!(audit(&[], "dangling-child", 0), None);

    let blob = format!("/v2/team/app/blobs/{layer}");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(runtime.block_on(home.registry.http().delete(&blob)).status(), 202);
    let fix = audit(&["--find-in", &host], "missing-blob", 7).unwrap();
    assert!(fix.contains(&format!("polyarch blob get {host}/team/app@{layer} -o ")), "{fix}");
    repair(&home, &fix);
    assert_eq!(audit(&[], "missing-blob", 0), None);
    let (_, err) = check(&home.run(&["audit", &app, "--find-in", "mirror"]), 2);
    assert!(err.contains("`--find-in mirror` cannot be used"), "{err}");
}
