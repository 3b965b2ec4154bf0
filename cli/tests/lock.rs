//! `polyarch lock` and `--locked` against the embedded registry, without a daemon.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::path::PathBuf;
use std::process::Command;

use polyarch_testkit::{Image, Index, TestRegistry};

/// A registry with `base:1` for two platforms, and a context.
struct Bench {
    registry: TestRegistry,
    dir: tempfile::TempDir,
    digest: String,
}

impl Bench {
    fn new() -> Self {
        let registry = TestRegistry::start();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let index = Index::small(&["linux/amd64", "linux/arm64"]);
        let root = runtime.block_on(registry.http().push_index("base", "1", &index));
        Self { digest: root.digest().to_string(), registry, dir: tempfile::tempdir().unwrap() }
    }

    fn write(&self, text: &str) {
        std::fs::write(self.dir.path().join("Dockerfile"), text.replace("REG", &self.registry.addr().to_string()))
            .unwrap();
    }

    fn lock_file(&self) -> PathBuf {
        self.dir.path().join("polyarch.lock")
    }

    #[track_caller]
    fn run(&self, args: &[&str], code: i32) -> (String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.args(args).env_clear().env("HOME", self.dir.path()).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
        let output = command.current_dir(self.dir.path()).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{args:?}\nstdout: {out}\nstderr: {err}");
        (out, err)
    }
}

const PLATFORMS: &str = "--platform=linux/amd64,linux/arm64";

#[test]
fn a_lock_is_the_same_every_time_and_obeyed() {
    let bench = Bench::new();
    bench.write("FROM REG/base:1\nCOPY --from=REG/base:1 /hello /h\n");
    bench.run(&["lock", ".", PLATFORMS], 0);
    let text = std::fs::read_to_string(bench.lock_file()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let image = &document["images"][bench.registry.reference("base:1")];
    assert_eq!(image["digest"], bench.digest);
    assert_eq!(image["platforms"].as_object().unwrap().len(), 2);
    // Whatever it is asked for, and again from the cache.
    assert_eq!(bench.run(&["lock", ".", "-o", "-", "--platform=linux/amd64"], 0).0, text);
    bench.run(&["plan", ".", "--offline", "--locked", PLATFORMS], 0);

    bench.write("FROM REG/base:1 AS x\nFROM REG/other:2\nCOPY --from=x / /\n");
    let (_, err) = bench.run(&["plan", ".", "--offline", "--locked", PLATFORMS], 3);
    assert!(err.contains("Dockerfile:2:6: image") && err.contains("/other:2 is not in the lock file"), "{err}");
    assert!(err.contains("hint: lock again: polyarch lock"), "{err}");
}

#[test]
fn nothing_is_written_of_what_is_not_known() {
    let bench = Bench::new();
    bench.write("FROM REG/base:2\n");
    let (_, err) = bench.run(&["lock", ".", PLATFORMS], 3);
    assert!(err.contains("Dockerfile:1:6: image") && err.contains("/base:2 does not exist"), "{err}");
    assert!(err.contains("has tags like 1"), "{err}");

    bench.write("FROM REG/base:1\n");
    let (_, err) = bench.run(&["lock", ".", "--platform=linux/s390x"], 3);
    assert!(err.contains("is not there for linux/s390x") && err.contains("it has linux/amd64, linux/arm64"), "{err}");

    bench.write("FROM 127.0.0.1:1/base:1\n");
    let (_, err) = bench.run(&["lock", ".", PLATFORMS], 8);
    assert!(err.contains("could not check 127.0.0.1:1/base:1") && err.contains("cannot be locked"), "{err}");
    assert!(!bench.lock_file().exists());
}

#[test]
fn a_lock_file_that_is_none_is_refused() {
    let bench = Bench::new();
    bench.write("FROM REG/base:1\n");
    let (_, err) = bench.run(&["plan", ".", "--offline", "--locked"], 2);
    assert!(err.contains("polyarch.lock") && err.contains("hint: write it: polyarch lock"), "{err}");
    std::fs::write(bench.lock_file(), "{\"version\": 1, \"images\": []}").unwrap();
    for command in ["plan", "build"] {
        let (_, err) = bench.run(&[command, ".", "--locked"], 2);
        assert!(err.contains("it is no lock file: line 1, column"), "{err}");
    }
}

#[test]
fn triggers_contexts_and_the_frontend_are_locked() {
    let bench = Bench::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let http = bench.registry.http();
    let push = |repository: &str, index: &Index| {
        runtime.block_on(http.push_index(repository, "1", index)).digest().to_string()
    };
    let tool = push("tool", &Index::small(&["linux/amd64"]));
    let front = push("front", &Index::small(&["linux/amd64"]));
    let trigger = format!("COPY --from={} /hello /t", bench.registry.reference("tool:1"));
    let triggered = Image::small("linux/amd64").on_build(&trigger);
    push("triggered", &Index::new().image(triggered).image(Image::small("linux/arm64")));

    bench.write("# syntax=REG/front:1\nFROM REG/triggered:1\nCOPY --from=ctx /hello /c\n");
    let context = format!("--build-context=ctx=docker-image://{}", bench.registry.reference("base:1"));
    let args = [context.as_str(), "--platform=linux/amd64"];
    bench.run(&[&["lock", "."], &args[..]].concat(), 0);
    let text = std::fs::read_to_string(bench.lock_file()).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let digest = |name: &str| document["images"][bench.registry.reference(name)]["digest"].clone();
    assert_eq!(
        (digest("tool:1"), digest("front:1"), digest("base:1")),
        (tool.into(), front.into(), bench.digest.clone().into())
    );
    let triggers = &document["images"][bench.registry.reference("triggered:1")]["on_build"];
    assert_eq!(*triggers, serde_json::json!({ "linux/amd64": [trigger] }));

    // Without a registry the lock itself knows what the trigger names.
    let plan = [&["plan", ".", "--offline", "--locked"], &args[..]].concat();
    let (out, _) = bench.run(&plan, 0);
    for name in ["tool:1", "front:1", "base:1", "triggered:1"] {
        assert!(out.contains(&format!("  {}@sha256:", bench.registry.reference(name))), "{name}: {out}");
    }
    for gone in ["tool:1", "front:1", "base:1"] {
        let mut less = document.clone();
        less["images"].as_object_mut().unwrap().remove(&bench.registry.reference(gone));
        std::fs::write(bench.lock_file(), less.to_string()).unwrap();
        let (_, err) = bench.run(&plan, 3);
        assert!(err.contains(&format!("{gone} is not in the lock file")), "{err}");
    }
}
