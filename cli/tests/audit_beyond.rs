//! `polyarch audit` where it asks beyond the images: earlier reports, mirrors, bases.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::process::{Command, Output, Stdio};

use polyarch_testkit::{Image, Index, TestRegistry};

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn audit(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.arg("audit").args(args).env_clear().env("HOME", self.0.path());
        command.current_dir(self.0.path()).stdin(Stdio::null()).output().unwrap()
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// Lines are as long as a terminal is wide.
fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn a_tag_is_held_to_an_earlier_report() {
    let (home, registry) = (Home::new(), TestRegistry::start());
    let http = registry.http();
    let old = http.push_index("app", "1", &Index::small(&["linux/amd64", "linux/arm64"])).await;
    let target = registry.reference("app");
    let report = home.audit(&[&target, "--format", "json", "--output", "last.json"]);
    assert_eq!(code(&report), 0, "{}", stderr(&report));
    let same = home.audit(&[&target, "--unmoved-since", "last.json", "--recheck-tags"]);
    assert_eq!(code(&same), 0, "{}", stdout(&same));
    let new = http.push_index("app", "1", &Index::small(&["linux/amd64"]).annotation("n", "2")).await;
    let moved = home.audit(&[&target, "--unmoved-since", "last.json"]);
    assert_eq!(code(&moved), 7, "{}", stdout(&moved));
    let want = format!(
        "tag 1 leads to {} now, and led to {} in the earlier report",
        new.digest().short(),
        old.digest().short()
    );
    assert!(stdout(&moved).contains(&want) && stdout(&moved).contains("[moved-tag]"), "{}", stdout(&moved));
}

#[tokio::test]
async fn a_mirror_is_compared_with_its_source() {
    let (home, registry) = (Home::new(), TestRegistry::start());
    let http = registry.http();
    for (repository, tag) in [("source", "1"), ("source", "2"), ("mirror", "1")] {
        http.push_index(repository, tag, &Index::small(&["linux/amd64", "linux/arm64"])).await;
    }
    let (mirror, source) = (registry.reference("mirror"), registry.reference("source"));
    let output = home.audit(&[&mirror, "--mirror-of", &source]);
    assert_eq!(code(&output), 7, "{}", stdout(&output));
    assert!(stdout(&output).contains(&format!("tag 2 is missing; at {source} it leads to")), "{}", stdout(&output));
    let output = home.audit(&[&format!("{mirror}:1"), "--mirror-of", &source]);
    assert_eq!(code(&output), 0, "{}", stdout(&output));
}

#[tokio::test]
async fn a_base_that_cannot_be_asked_for_is_not_checked() {
    let (home, registry) = (Home::new(), TestRegistry::start());
    let base = "registry.invalid/base:1";
    let digest = format!("sha256:{}", "0".repeat(64));
    let image = Image::small("linux/amd64")
        .annotation("org.opencontainers.image.base.name", base)
        .annotation("org.opencontainers.image.base.digest", &digest);
    registry.http().push_image("app", "1", &image.build()).await;
    let target = registry.reference("app:1");
    assert_eq!(code(&home.audit(&[&target])), 0);
    let output = home.audit(&[&target, "--bases"]);
    assert!(
        stdout(&output).contains(&format!("could not check base {}: {base}: ", "0".repeat(12))),
        "{}",
        stdout(&output)
    );
    assert_eq!(code(&output), 8);
}

#[test]
fn bad_options_are_told() {
    let home = Home::new();
    let output = home.audit(&["host.example/app", "--mirror-of", "host.example/source:1"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("it names a tag or digest"), "{}", stderr(&output));
    let output = home.audit(&["host.example/app", "--unmoved-since", "none.json"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("none.json"), "{}", stderr(&output));
    std::fs::write(home.0.path().join("odd.json"), "{}").unwrap();
    let output = home.audit(&["host.example/app", "--unmoved-since", "odd.json"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("--format json"), "{}", stderr(&output));
}
