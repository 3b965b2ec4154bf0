//! `polyarch audit` as a user runs it: exit codes, files, baselines.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

#[path = "support/sarif.rs"]
mod sarif;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use polyarch_registry::oci::{Descriptor, RawManifest};
use polyarch_registry::store::BlobStoreExt as _;
use polyarch_testkit::{Specimen, TestRegistry};
use serde_json::Value;

/// A folder to run in; each run has a store of its own, so that nothing is remembered.
struct Desk(tempfile::TempDir);

struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.read(name)).unwrap()
    }

    fn audit(&self, args: &[&str]) -> Ended {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.arg("audit").args(args).env_clear().env("HOME", home.path());
        let output = command.current_dir(self.0.path()).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ended {
    #[track_caller]
    fn has(&self, code: i32, text: &str) {
        assert!(
            self.code == code && self.out.contains(text),
            "{}\nstdout: {}\nstderr: {}",
            self.code,
            self.out,
            self.err
        );
    }
}

/// Pushes a specimen; of what it lost only manifests can be missing, for a registry takes no manifest without its blobs.
async fn push(registry: &TestRegistry, repository: &str, tag: &str, specimen: &Specimen) -> Vec<RawManifest> {
    let (built, http) = (specimen.build().await, registry.http());
    for manifest in &built.parts {
        let document: Value = serde_json::from_slice(manifest.bytes()).unwrap();
        let layers = document["layers"].as_array().unwrap().iter();
        for blob in layers.chain([&document["config"]]) {
            let blob: Descriptor = serde_json::from_value(blob.clone()).unwrap();
            http.push_blob(repository, built.store.read_bytes(&blob.digest, 1 << 20).await.unwrap()).await;
        }
        let digest = manifest.digest().to_string();
        assert_eq!(http.put_manifest(repository, &digest, manifest).await.status(), 201);
    }
    assert_eq!(http.put_manifest(repository, tag, &built.root).await.status(), 201);
    built.parts
}

fn healthy() -> Specimen {
    Specimen::healthy(&["linux/amd64", "linux/arm64"])
}

/// Another image of the same platforms.
fn other() -> Specimen {
    healthy().part(1, |part| part.config(|config| config["created"] = "2026-01-02T04:04:05Z".into()))
}

/// Pushes an image and removes its second platform.
async fn push_broken(registry: &TestRegistry, repository: &str, tag: &str, specimen: &Specimen) -> RawManifest {
    let lost = push(registry, repository, tag, specimen).await.remove(1);
    let path = format!("/v2/{repository}/manifests/{}", lost.digest());
    assert_eq!(registry.http().delete(&path).await.status(), 202);
    lost
}

#[tokio::test]
async fn exit_codes_tell_findings_from_what_could_not_be_checked() {
    let (registry, desk) = (TestRegistry::start(), Desk::new());
    push(&registry, "good", "1", &healthy()).await;
    push_broken(&registry, "bad", "1", &other()).await;
    let (good, bad) = (registry.reference("good"), registry.reference("bad:1"));
    let absent = registry.reference("good:absent");
    desk.audit(&[&good]).has(0, "1 image: nothing found\n");
    desk.audit(&[&bad]).has(7, "[dangling-child]");
    desk.audit(&[&bad]).has(7, "polyarch audit explain dangling-child");
    desk.audit(&[&bad, "--fail-on", "never"]).has(0, "[dangling-child]");
    desk.audit(&[&absent]).has(8, "could not check image: it is not there");
    desk.audit(&[&absent, &bad]).has(7, "1 thing could not be checked");
    desk.audit(&[&absent, &bad, "--fail-on", "never"]).has(8, "1 error");
    desk.audit(&[]).has(2, "");
    for (word, hint) in
        [("explian", "`polyarch audit explain` is a command"), ("127.0.0.1:5000", "--repos 127.0.0.1:5000")]
    {
        let ended = desk.audit(&[word]);
        assert!(ended.code == 2 && ended.err.contains(hint), "{}", ended.err);
    }
}

#[tokio::test]
async fn an_audit_of_nothing_is_not_clean_and_parts_are_not_the_whole() {
    let (registry, desk) = (TestRegistry::start(), Desk::new());
    push(&registry, "app", "1", &healthy()).await;
    let app = registry.reference("app");
    desk.audit(&[&app, "--tags", "zzz*"]).has(8, "0 images: nothing was audited");
    desk.audit(&[&app, "-o", "-"]).has(0, "1 image: nothing found");
    for args in [["--report=json=x", "-o", "x"], ["--report=json=-", "-o", "x"]] {
        assert_eq!(desk.audit(&[&[app.as_str()], &args[..]].concat()).code, 2, "{args:?}");
    }
    desk.audit(&[&app, "--shard", "1/2", "--format", "json", "-o", "1.json"]);
    desk.audit(&[&app, "--shard", "2/2", "--format", "json", "-o", "2.json"]);
    desk.audit(&["merge", "2.json", "1.json"]).has(0, "1 image: nothing found");
    for parts in [&["merge", "1.json"][..], &["merge", "1.json", "1.json", "2.json"]] {
        let merged = desk.audit(parts);
        assert!(merged.code == 2 && merged.err.contains("not all shards of one audit"), "{}", merged.err);
    }
}

#[tokio::test]
async fn one_run_writes_every_format() {
    let (registry, desk) = (TestRegistry::start(), Desk::new());
    push_broken(&registry, "team/app", "1", &healthy()).await;
    push(&registry, "team/app", "2", &other()).await;
    let names = ["text", "json", "sarif", "junit", "markdown", "html"];
    let files: Vec<String> = names.iter().map(|name| format!("--report={name}=audit.{name}")).collect();
    let mut args: Vec<&str> = files.iter().map(String::as_str).collect();
    let target = registry.reference("team/app");
    args.extend([target.as_str(), "--format", "json", "-o", "again.json"]);
    let run = desk.audit(&args);
    assert_eq!((run.code, run.out.as_str()), (7, ""), "{}", run.err);
    let report = desk.json("audit.json");
    assert_eq!(report, desk.json("again.json"));
    let tags: Vec<_> =
        report["images"].as_array().unwrap().iter().map(|image| image["tag"].as_str().unwrap()).collect();
    assert_eq!((tags, report["time"].as_str().unwrap().len()), (vec!["1", "2"], "2026-01-02T03:04:05Z".len()));
    sarif::assert_valid(&desk.json("audit.sarif"));
    assert!(roxmltree::Document::parse(&desk.read("audit.junit")).unwrap().root_element().has_tag_name("testsuites"));
    assert!(desk.read("audit.markdown").starts_with("## Image audit: 1 error, "));
    assert!(desk.read("audit.html").starts_with("<!doctype html>"));
    assert!(desk.read("audit.text").contains("team/app:1  "));
    let left: Vec<_> = std::fs::read_dir(desk.path("")).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert_eq!(left.len(), names.len() + 1, "{left:?}");
}

#[tokio::test]
async fn what_the_baseline_has_does_not_fail() {
    let (registry, desk) = (TestRegistry::start(), Desk::new());
    let lost = push_broken(&registry, "app", "1", &healthy()).await;
    let app = registry.reference("app");
    let with = |more: &[&str]| desk.audit(&[&[app.as_str(), "--baseline", "last.json"], more].concat());
    assert_eq!(desk.audit(&[&app, "--report", "json=last.json"]).code, 7);
    with(&[]).has(0, "[dangling-child, known]");
    with(&[]).has(0, "baseline: 0 new, 1 known, 0 fixed");
    let new = with(&["--new-only", "--report", "json=new.json"]);
    assert!(new.code == 0 && !new.out.contains("[dangling-child"), "{}", new.out);
    assert_eq!(desk.json("new.json")["images"][0]["findings"][0]["known"], true, "the record has all");
    push_broken(&registry, "app", "2", &other()).await;
    with(&[]).has(7, "baseline: 1 new, 1 known, 0 fixed");
    assert_eq!(registry.http().put_manifest("app", &lost.digest().to_string(), &lost).await.status(), 201);
    with(&["--fail-on", "never"]).has(0, "baseline: 1 new, 0 known, 1 fixed");
}

#[tokio::test]
async fn shards_are_merged() {
    let (registry, desk) = (TestRegistry::start(), Desk::new());
    push(&registry, "app", "1", &healthy()).await;
    push_broken(&registry, "app", "2", &other()).await;
    for tag in ["1", "2"] {
        desk.audit(&[&registry.reference(&format!("app:{tag}")), "--format", "json", "-o", &format!("{tag}.json")]);
    }
    desk.audit(&["merge", "1.json", "2.json"]).has(7, "2 images: 1 error, 0 warnings, 0 notes; 1 clean");
    desk.audit(&["merge", "1.json", "--format", "markdown"]).has(0, "## Image audit: nothing found");
}

#[test]
fn what_is_no_report_says_so() {
    let desk = Desk::new();
    std::fs::write(desk.path("old.json"), r#"{"version":0}"#).unwrap();
    std::fs::write(desk.path("other.json"), r#"{"version":1,"images":7}"#).unwrap();
    for (args, want) in [
        (["merge", "old.json"], "it has version 0, and this polyarch reads 1"),
        (["merge", "other.json"], "line 1 column 23"),
        (["merge", "absent.json"], "cannot read the report"),
        (["localhost:1/app", "--baseline=absent.json"], "a first one is written by"),
        (["localhost:1/app", "--report=pdf=x"], "there are text, json"),
        (["localhost:1/app", "--output=absent/x"], "there is no directory"),
        (["localhost:1/app", "--new-only"], "--baseline <FILE>"),
    ] {
        let run = desk.audit(&args);
        assert!(run.code == 2 && run.err.contains(want), "{args:?}: {} {}", run.code, run.err);
    }
}

#[test]
fn rules_are_told() {
    let desk = Desk::new();
    let json: Value = serde_json::from_str(&desk.audit(&["rules", "--format", "json"]).out).unwrap();
    assert!(json["rules"].as_array().unwrap().iter().any(|rule| rule["id"] == "dangling-child"));
    desk.audit(&["rules"]).has(0, "dangling-child");
    desk.audit(&["explain", "dangling-child"]).has(0, "the index names a manifest that the registry does not have");
    let wrong = desk.audit(&["explain", "dangling-chid"]);
    assert!(wrong.code == 2 && wrong.err.contains("did you mean `dangling-child`?"), "{}", wrong.err);
}
