//! `polyarch gc-plan` as a user runs it, and what is left when its commands are.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use polyarch_testkit::{Index, Proxy, TestRegistry, proxy::Act};
use serde_json::{Value, json};

struct Home {
    dir: tempfile::TempDir,
    registry: TestRegistry,
}

impl Home {
    /// A repository with two indexes that share the images of amd64, and a note about each index.
    fn new() -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap(), registry: TestRegistry::start() };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for (tag, platforms) in [("1", ["linux/amd64", "linux/arm64"]), ("2", ["linux/amd64", "linux/riscv64"])] {
            runtime.block_on(Index::small(&platforms).write_layout(&home.path(tag), tag));
            check(&home.run(&["copy", &format!("oci:{tag}:{tag}"), &home.at(&format!("app:{tag}"))]), 0);
            home.note(tag);
        }
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn at(&self, rest: &str) -> String {
        self.registry.reference(rest)
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.args(args).env_clear().env("HOME", self.dir.path()).current_dir(self.dir.path());
        command.stdin(Stdio::null()).output().unwrap()
    }

    fn json(&self, args: &[&str], code: i32) -> Value {
        serde_json::from_str(&check(&self.run(args), code).0).unwrap()
    }

    /// Puts something that refers to a tag's index.
    fn note(&self, tag: &str) {
        let index = self.run(&["manifest", "get", &self.at(&format!("app:{tag}"))]).stdout;
        std::fs::write(self.path("content"), format!("note {tag}")).unwrap();
        let (digest, _) = check(&self.run(&["blob", "put", &self.at("app"), "content"]), 0);
        let blob = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest.trim(), "size": 6});
        let note = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": "text/x-note",
            "config": blob, "layers": [], "subject": {
                "mediaType": "application/vnd.oci.image.index.v1+json", "size": index.len(),
                "digest": polyarch_registry::oci::Digest::sha256(&index),
            },
        });
        std::fs::write(self.path("note"), note.to_string()).unwrap();
        check(&self.run(&["manifest", "put", &self.at("app"), "note"]), 0);
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
fn the_commands_of_a_plan_leave_what_is_kept_whole() {
    let home = Home::new();
    let app = home.at("app");
    let plan = home.json(&["gc-plan", &app, "--keep-tags", "2", "--format", "json"], 0);
    assert_eq!((&plan["tags"], &plan["complete"]), (&json!(["1"]), &json!(true)));
    let manifests = plan["manifests"].as_array().unwrap();
    let kinds: Vec<_> = manifests.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "image").count(), 1, "that of amd64 stays: {plan}");
    assert_eq!((kinds[..2].contains(&"index"), kinds.len()), (true, 3), "{plan}");
    // The index is before its image, whatever else stands between.
    assert!(kinds.iter().position(|kind| *kind == "index") < kinds.iter().position(|kind| *kind == "image"));
    assert_eq!(plan["kept_manifests"], 4);

    let (out, _) = check(&home.run(&["gc-plan", &app, "--keep-tags", "2"]), 0);
    let commands: Vec<&str> = out.lines().filter(|line| line.starts_with("polyarch rm ")).collect();
    assert_eq!(commands.len(), 4, "{out}");
    let others = out.lines().filter(|line| !line.starts_with("polyarch"));
    assert!(others.clone().all(|line| line.chars().count() <= 80), "{out}");
    for command in commands {
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        check(&home.run(&words), 0);
    }
    assert_eq!(check(&home.run(&["tags", &app, "--field", "tag"]), 0).0, "2\n");
    check(&home.run(&["verify", "--deep", &home.at("app:2")]), 0);
    assert_eq!(check(&home.run(&["referrers", &home.at("app:2"), "--field", "type"]), 0).0, "text/x-note\n");
    let (out, _) = check(&home.run(&["gc-plan", &app, "--keep-tags", "*"]), 0);
    assert!(out.ends_with("nothing can be deleted\n"), "{out}");
}

#[test]
fn images_of_no_age_are_kept_where_age_decides() {
    let home = Home::new();
    let plan = home.json(&["gc-plan", &home.at("app"), "--keep-last", "1", "--format", "json"], 0);
    assert_eq!((&plan["tags"], &plan["kept"][0]["reason"]), (&json!([]), &json!("nobody knows how old it is")));
    let (out, _) = check(&home.run(&["gc-plan", &home.at("app"), "--keep-tags", "2", "--format", "dot"]), 0);
    assert!(out.starts_with("digraph ") && out.contains("\"tag 1\" [label=\"1\""), "{out}");
    check(&home.run(&["gc-plan", &home.at("app")]), 2);
    check(&home.run(&["gc-plan", &home.at("app:1"), "--keep-last", "1"]), 2);
    check(&home.run(&["gc-plan", &home.at("app"), "--keep-tags", "["]), 2);
    let (_, err) = check(&home.run(&["gc-plan", &home.at("app"), "--keep-tags", "2", "--keep-tags", "v*"]), 2);
    assert!(err.contains("no tag of the repository fits it"), "{err}");
    check(&home.run(&["gc-plan", &home.at("app"), "--older-than", "1"]), 2);
    check(&home.run(&["gc-plan", &home.at("none"), "--keep-last", "1"]), 8);
}

#[test]
fn nothing_is_deletable_while_something_cannot_be_read() {
    let home = Home::new();
    let proxy = Proxy::start(home.registry.addr(), |seen| match seen.path.contains("/referrers/") {
        true => Act::Answer(403, &[]),
        false => Act::Pass,
    });
    let (out, _) = check(&home.run(&["gc-plan", &proxy.reference("app"), "--keep-tags", "2"]), 8);
    assert!(out.contains("could not check") && out.contains("nothing is safe to delete"), "{out}");
    assert!(!out.contains("polyarch rm"), "{out}");
}
