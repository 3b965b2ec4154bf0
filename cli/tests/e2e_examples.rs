//! Every folder of `examples/` as its README has it: built for several platforms on a real daemon, pushed, and run by
//! Docker on each platform.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use polyarch_testkit::bed::run;
use polyarch_testkit::{TestRegistry, require};

/// What the README of an example has the user do, and what is seen then.
struct Example {
    /// Of `polyarch build`, after the context.
    options: Vec<String>,
    /// The context; the example's own folder if none.
    context: Option<PathBuf>,
    /// Of the container, after the image.
    command: &'static [&'static str],
    /// What the container prints, by platform.
    prints: BTreeMap<&'static str, String>,
}

/// The addresses an example needs, and a place for files of its own.
struct Bench {
    docker: String,
    base: String,
    bases: PathBuf,
    dir: tempfile::TempDir,
    registry: TestRegistry,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// What `uname -m` prints on each platform.
const MACHINES: [(&str, &str); 3] =
    [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64"), ("linux/riscv64", "riscv64")];

fn prints(text: impl Fn(&str, &str) -> String) -> BTreeMap<&'static str, String> {
    MACHINES.iter().map(|&(platform, machine)| (platform, text(platform, machine))).collect()
}

fn example(name: &str, bench: &Bench) -> Example {
    let native = MACHINES.iter().find(|(platform, _)| platform.ends_with(go_arch())).unwrap();
    let mut options = words(&format!("--build-arg BASE={}", bench.base));
    let (mut context, mut command): (_, &[&str]) = (None, &[]);
    let prints = match name {
        "hello" => prints(|platform, machine| {
            format!("hello from {platform}\ngenerated on {} ({})\nmachine says {machine}\n", native.0, native.1)
        }),
        "busybox" => {
            options = words("-f examples/busybox/Dockerfile");
            context = Some(busybox_context(bench));
            command = &["uname", "-m"];
            prints(|_, machine| format!("{machine}\n"))
        }
        "cross-compile" => prints(|platform, _| format!("compiled for {platform}, never run while it was built\n")),
        "secrets-and-contexts" => {
            options.extend(words(
                "--secret id=token,env=TOKEN --build-context assets=examples/secrets-and-contexts/assets",
            ));
            prints(|_, machine| format!("one image, many machines\nfetched with a token of 11 characters\n{machine}\n"))
        }
        other => panic!("examples/{other} is not known here: say how it is built and what it prints"),
    };
    Example { options, context, command, prints }
}

fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

/// One root file system per architecture, made as the example's README says.
fn busybox_context(bench: &Bench) -> PathBuf {
    let context = bench.dir.path().join("busybox");
    for arch in ["amd64", "arm64", "riscv64"] {
        let mut script = Command::new(root().join("testdata/bed/busybox"));
        run(script.arg("--root").arg(bench.bases.join(format!("busybox-{arch}"))).arg(context.join(arch)));
    }
    context
}

fn build_and_run(name: &str, bench: &Bench) {
    let example = example(name, bench);
    let image = bench.registry.reference(&format!("examples/{name}:1"));
    let context = example.context.unwrap_or_else(|| Path::new("examples").join(name));
    let platforms: Vec<&str> = example.prints.keys().copied().collect();
    let mut build = Command::new(env!("CARGO_BIN_EXE_polyarch"));
    build.arg("build").arg(context).args(&example.options).args(["--push", "--quiet", "-t", &image]);
    build.args(["--platform", &platforms.join(",")]).current_dir(root()).stdin(Stdio::null());
    build.env("DOCKER_HOST", &bench.docker).env("POLYARCH_STORE", bench.dir.path().join("store"));
    let digest = run(build.env("TOKEN", "open sesame"));
    for (platform, expected) in &example.prints {
        let by_digest = format!("{}@{}", image.trim_end_matches(":1"), digest.trim());
        let mut container = docker(bench);
        container.args(["run", "--rm", "--pull", "always", "--platform", platform, &by_digest]);
        assert_eq!(&run(container.args(example.command)), expected, "{name} on {platform}");
        run(docker(bench).args(["image", "rm", "--force", &by_digest]));
    }
}

fn docker(bench: &Bench) -> Command {
    let mut docker = Command::new("docker");
    docker.env("DOCKER_CONFIG", bench.dir.path()).args(["-H", &bench.docker]);
    docker
}

#[test]
fn every_example_builds_and_runs_on_each_platform() {
    let docker = require!("BED_DOCKER28");
    let (base, bases) = (require!("BED_BASE_IMAGE"), PathBuf::from(require!("BED_BASES")));
    let bench = Bench { docker, base, bases, dir: tempfile::tempdir().unwrap(), registry: TestRegistry::start() };
    let mut seen = Vec::new();
    for folder in fs::read_dir(root().join("examples")).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(root().join("examples").join(&name).join("README.md").is_file(), "{name} has no README.md");
        build_and_run(&name, &bench);
        seen.push(name);
    }
    seen.sort();
    assert_eq!(seen, ["busybox", "cross-compile", "hello", "secrets-and-contexts"]);
}
