//! A user's folder and a registry of its own, for commands that need no builder.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use polyarch_testkit::{Index, TestRegistry};
use serde_json::Value;

/// A folder with nothing of the user's in it, and a registry.
pub struct Home {
    /// The folder.
    pub dir: tempfile::TempDir,
    /// The registry.
    pub registry: TestRegistry,
}

impl Home {
    /// A registry with `app:1`, an index of three platforms, and a layout with the same.
    pub fn new() -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap(), registry: TestRegistry::start() };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let index = Index::small(&["linux/amd64", "linux/arm64", "linux/arm/v7"]).annotation("k", "v");
        runtime.block_on(index.write_layout(&home.path("layout"), "1"));
        check(&home.run(&["copy", "oci:layout:1", &home.at("app:1")]), 0);
        home
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A reference in the registry.
    pub fn at(&self, rest: &str) -> String {
        self.registry.reference(rest)
    }

    /// Runs polyarch in it.
    pub fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.args(args).env_clear().env("HOME", self.dir.path()).current_dir(self.dir.path());
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Runs polyarch and reads what it writes.
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&check(&self.run(args), 0).0).unwrap()
    }

    /// Digest of a manifest in the registry.
    pub fn digest(&self, reference: &str) -> String {
        let bytes = self.run(&["manifest", "get", &self.at(reference)]).stdout;
        polyarch_registry::oci::Digest::sha256(&bytes).to_string()
    }
}

/// Asserts the exit code, and returns stdout and stderr.
#[track_caller]
pub fn check(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "stdout: {out}\nstderr: {err}");
    (out, err)
}
