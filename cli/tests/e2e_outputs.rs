//! Every output of a build on real daemons, read back by other tools.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::{Command, Output, Stdio};

use polyarch_testkit::bed::run;
use polyarch_testkit::{Bed, require_tool};
use serde_json::Value;

const BOTH: &str = "linux/amd64,linux/arm64";
/// Daemons that load every platform, and those that load one.
const CONTAINERD: &str = "BED_DOCKER28";
const CLASSIC: [&str; 2] = ["BED_DOCKER28_CLASSIC", "BED_DOCKER20"];

/// A context whose image says its machine, a store, and a directory for outputs.
struct Bench {
    dir: tempfile::TempDir,
    daemon: String,
    /// A name no other test has.
    name: String,
}

impl Bench {
    fn new(daemon: &str) -> Option<Self> {
        let (daemon, base) = (Bed::require(daemon)?, Bed::require("BED_BASE_IMAGE")?);
        let dir = tempfile::tempdir().unwrap();
        let seed = dir.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let name = format!("outputs.test/{}", seed.replace(|c: char| !c.is_ascii_alphanumeric(), ""));
        let context = dir.path().join("context");
        std::fs::create_dir(&context).unwrap();
        let run = "RUN uname -m > /machine && ln /machine /hard && ln -s machine /soft";
        let dockerfile = format!("FROM {base}\nCOPY name /name\n{run}\nCMD [\"uname\", \"-m\"]\n");
        std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();
        std::fs::write(context.join("name"), &name).unwrap();
        Some(Self { dir, daemon, name })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command
            .args(["build", "context", "--progress", "plain", "--builder", &self.daemon])
            .args(args)
            .current_dir(self.dir.path())
            .env("POLYARCH_STORE", self.path("store"))
            .env("DOCKER_CONFIG", self.dir.path())
            .stdin(Stdio::null());
        command
    }

    fn build(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn docker(&self, args: &[&str]) -> String {
        run(Command::new("docker").arg("-H").arg(&self.daemon).args(args)).trim().to_owned()
    }

    fn machine(&self, platform: &str, image: &str) -> String {
        self.docker(&["run", "--rm", "--network=none", "--pull=never", "--platform", platform, image])
    }
}

#[track_caller]
fn check(output: &Output, code: i32) -> (Vec<u8>, String) {
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{}\n{err}", String::from_utf8_lossy(&output.stdout));
    (output.stdout.clone(), err)
}

/// The platforms skopeo finds behind a name, and how often each is there.
fn platforms(image: &str) -> BTreeMap<String, usize> {
    let index: Value = serde_json::from_str(&run(Command::new("skopeo").args(["inspect", "--raw", image]))).unwrap();
    let mut platforms = BTreeMap::new();
    for entry in index["manifests"].as_array().unwrap() {
        *platforms.entry(entry["platform"]["architecture"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    platforms
}

fn both() -> BTreeMap<String, usize> {
    BTreeMap::from([("amd64".to_owned(), 1), ("arm64".to_owned(), 1)])
}

fn tar_files(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(bytes);
    let read = archive.entries().unwrap().map(|entry| {
        let (mut entry, mut content) = (entry.unwrap(), Vec::new());
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().display().to_string(), String::from_utf8_lossy(&content).into_owned())
    });
    read.collect()
}

#[test]
fn everything_at_once_from_every_daemon() {
    for daemon in [CONTAINERD, CLASSIC[0], CLASSIC[1]] {
        let Some(bench) = Bench::new(daemon) else { continue };
        let _ = require_tool!("skopeo");
        let tag = format!("{}:1", bench.name);
        let outputs = ["oci:layout", "type=oci,dest=oci.tar", "type=docker,dest=docker.tar", "type=tar,dest=files.tar"];
        let mut args = vec!["--platform", BOTH, "-t", &tag, "-o", "files"];
        args.extend(outputs.iter().flat_map(|output| ["-o", output]));
        check(&bench.build(&args), 0);
        for (place, copy) in [("oci:layout:1", "oci:copy:1"), ("oci-archive:oci.tar:1", "oci:copy:2")] {
            let copying = ["copy", "--quiet", "--all", place, copy];
            run(Command::new("skopeo").current_dir(bench.dir.path()).args(copying));
            assert_eq!(platforms(&format!("oci:{}/copy:{}", bench.dir.path().display(), &copy[9..])), both());
        }
        let tar = tar_files(&std::fs::read(bench.path("files.tar")).unwrap());
        for (folder, machine) in [("linux_amd64", "x86_64\n"), ("linux_arm64", "aarch64\n")] {
            for file in ["machine", "hard", "soft"] {
                let read = std::fs::read_to_string(bench.path("files").join(folder).join(file)).unwrap();
                assert_eq!(read, machine, "{daemon} {folder}/{file}");
            }
            assert_eq!(tar[&format!("{folder}/name")], bench.name, "{daemon}");
            assert_eq!(tar[&format!("{folder}/soft")], "", "a link stays one");
        }
    }
}

#[test]
fn a_containerd_store_gets_every_platform() {
    let Some(bench) = Bench::new(CONTAINERD) else { return };
    let tags = [format!("{}:1", bench.name), format!("{}:2", bench.name)];
    let args = ["--platform", BOTH, "-t", &tags[0], "-t", &tags[1], "--load", "-o", "type=docker,dest=a.tar"];
    let (out, _) = check(&bench.build(&args), 0);
    assert!(String::from_utf8_lossy(&out).contains("linux/amd64, linux/arm64 loaded into"));
    let runs_both = |tag: &str| {
        assert_eq!(bench.machine("linux/amd64", tag), "x86_64");
        assert_eq!(bench.machine("linux/arm64", tag), "aarch64");
    };
    runs_both(&tags[1]);
    bench.docker(&["rmi", &tags[0], &tags[1]]);
    bench.docker(&["load", "-q", "-i", bench.path("a.tar").to_str().unwrap()]);
    runs_both(&tags[0]);
    bench.docker(&["rmi", &tags[0], &tags[1]]);
}

#[test]
fn a_classic_store_gets_its_own_platform_and_the_rest_is_named() {
    for daemon in CLASSIC {
        let Some(bench) = Bench::new(daemon) else { continue };
        let tag = format!("{}:1", bench.name);
        let args = ["--platform", "linux/arm64,linux/amd64", "-t", &tag, "--load"];
        let (out, err) = check(&bench.build(&args), 3);
        for part in ["here linux/amd64, and cannot hold linux/arm64", "--allow-missing load", "--platform linux/amd64"]
        {
            assert!(err.contains(part), "no {part:?} in {err}");
        }
        assert!(out.is_empty() && !err.contains("#1"), "nothing was built: {err}");
        assert_eq!(bench.docker(&["images", "-q", &tag]), "");
        let allowed = [&args[..], &["--allow-missing", "load"]].concat();
        let (out, err) = check(&bench.build(&allowed), 0);
        assert!(err.contains("cannot hold linux/arm64; left out as allowed"), "{err}");
        assert_eq!(bench.machine("linux/amd64", &tag), "x86_64");
        let out = String::from_utf8_lossy(&out);
        assert!(out.contains("linux/amd64 loaded into") && out.contains("cannot hold linux/arm64"), "{out}");
        bench.docker(&["rmi", &tag]);
    }
}

#[test]
fn one_platform_s_archive_is_for_every_docker() {
    for daemon in [CONTAINERD, CLASSIC[0], CLASSIC[1]] {
        let Some(bench) = Bench::new(daemon) else { continue };
        let tag = format!("{}:1", bench.name);
        let args = ["--platform", "linux/arm64", "-t", &tag, "-o", "type=docker,dest=one.tar"];
        check(&bench.build(&args), 0);
        bench.docker(&["load", "-q", "-i", bench.path("one.tar").to_str().unwrap()]);
        assert_eq!(bench.machine("linux/arm64", &tag), "aarch64", "{daemon}");
        bench.docker(&["rmi", &tag]);
    }
}

#[test]
fn what_has_no_name_is_loaded_and_told_by_its_id() {
    for daemon in [CONTAINERD, CLASSIC[1]] {
        let Some(bench) = Bench::new(daemon) else { continue };
        let (out, _) = check(&bench.build(&["--platform", "linux/amd64", "--load"]), 0);
        let out = String::from_utf8(out).unwrap();
        let said = out.lines().find_map(|line| line.trim().strip_prefix("Loaded image ID: "));
        let id = said.unwrap_or_else(|| panic!("{daemon}: {out}")).to_owned();
        assert_eq!(bench.machine("linux/amd64", &id), "x86_64", "{daemon}");
        bench.docker(&["rmi", &id]);
    }
}

#[test]
fn standard_output_has_the_tar_alone() {
    let Some(bench) = Bench::new(CONTAINERD) else { return };
    let (out, err) = check(&bench.build(&["--platform", "linux/amd64", "-o", "-"]), 0);
    let files = tar_files(&out);
    assert_eq!(files["name"], bench.name);
    assert!(err.contains("files in standard output"), "{err}");
    let (out, _) = check(&bench.build(&["--platform", BOTH, "-o", "type=oci,dest=-"]), 0);
    assert!(tar_files(&out).contains_key("oci-layout"));
}

#[test]
fn a_layout_keeps_its_other_images() {
    let Some(bench) = Bench::new(CONTAINERD) else { return };
    let _ = require_tool!("skopeo");
    let [one, two] = ["1", "2"].map(|tag| format!("{}:{tag}", bench.name));
    let annotation = ["--annotation", "index-descriptor:org.example.key=value"];
    let first = [&["--platform", BOTH, "-t", &one, "-o", "oci:layout"], &annotation[..]].concat();
    check(&bench.build(&first), 0);
    check(&bench.build(&["--platform", "linux/arm64", "-t", &two, "-o", "oci:layout"]), 0);
    check(&bench.build(&["--platform", "linux/arm64", "-t", &two, "-o", "oci:layout"]), 0);
    let there = std::fs::read_dir(bench.path("layout")).unwrap().map(|entry| entry.unwrap().file_name());
    let there: std::collections::BTreeSet<_> = there.collect();
    assert_eq!(Vec::from_iter(there), ["blobs", "index.json", "oci-layout"]);
    let text = std::fs::read_to_string(bench.path("layout/index.json")).unwrap();
    let index: Value = serde_json::from_str(&text).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    let names: Vec<_> = entries.iter().map(|entry| &entry["annotations"]["io.containerd.image.name"]).collect();
    assert_eq!(names, [&one, &two]);
    assert_eq!(entries[0]["annotations"]["org.example.key"], "value");
    assert_eq!(platforms(&format!("oci:{}:1", bench.path("layout").display())), both());
}

#[test]
fn a_failing_output_leaves_the_others_alone() {
    let Some(bench) = Bench::new(CONTAINERD) else { return };
    // Full whoever writes to it.
    let args =
        ["--platform", BOTH, "-o", "type=oci,dest=/dev/full", "-o", "oci:layout", "-o", "type=tar,dest=/dev/full"];
    let (_, err) = check(&bench.build(&args), 6);
    assert_eq!(err.matches("error: cannot write /dev/full").count(), 2, "{err}");
    assert!(err.contains("No space left"), "{err}");
    assert!(bench.path("layout/index.json").is_file());
    std::fs::write(bench.path("not-a-layout"), "").unwrap();
    for output in ["oci:context", "type=oci,tar=false,dest=not-a-layout", "type=tar,dest=context"] {
        let (out, err) = check(&bench.build(&["-o", output]), 2);
        assert!(out.is_empty() && err.starts_with("error: "), "{output}: {err}");
    }
}

#[test]
fn a_reader_that_goes_away_fails_its_output() {
    let Some(bench) = Bench::new(CONTAINERD) else { return };
    let mut child =
        bench.command(&["--platform", BOTH, "-o", "-"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let (_, err) = check(&output, 6);
    assert!(err.contains("Broken pipe"), "{err}");
}

#[test]
fn files_of_one_platform_are_not_split_and_need_no_image() {
    for daemon in [CONTAINERD, CLASSIC[0], CLASSIC[1], "BED_BUILDKIT"] {
        let Some(bench) = Bench::new(daemon) else { continue };
        let args = ["--platform", "linux/arm64", "--metadata-file", "metadata.json", "-o", "type=local,dest=plain"];
        let (out, err) =
            check(&bench.build(&[&args[..], &["-o", "type=local,dest=split,platform-split=true"]].concat()), 0);
        for file in ["plain/machine", "split/linux_arm64/machine"] {
            assert_eq!(std::fs::read_to_string(bench.path(file)).unwrap(), "aarch64\n", "{daemon}");
        }
        assert!(!bench.path("plain/linux_arm64").exists());
        assert!(out.is_empty() && err.contains("files in "), "{err}");
        let metadata: Value =
            serde_json::from_str(&std::fs::read_to_string(bench.path("metadata.json")).unwrap()).unwrap();
        assert_eq!(metadata["polyarch"]["platforms"][0]["outcome"], "files");
        assert_eq!(metadata["polyarch"]["outputs"].as_array().unwrap().len(), 2);
        assert_eq!(std::fs::read_dir(bench.path("store/blobs/sha256")).unwrap().count(), 0, "{daemon}");
    }
}

#[test]
fn every_output_has_the_files_of_the_one_build() {
    let Some(bench) = Bench::new(CONTAINERD) else { return };
    let dockerfile = bench.path("context/Dockerfile");
    let text = std::fs::read_to_string(&dockerfile).unwrap();
    std::fs::write(&dockerfile, format!("{text}RUN cat /proc/sys/kernel/random/uuid > /id\n")).unwrap();
    let args = ["--platform", "linux/amd64", "--no-cache", "-o", "files", "-o", "type=tar,dest=files.tar"];
    check(&bench.build(&args), 0);
    let id = std::fs::read_to_string(bench.path("files/id")).unwrap();
    assert_eq!(tar_files(&std::fs::read(bench.path("files.tar")).unwrap())["id"], id);
}

#[test]
fn one_platform_s_failure_is_told_and_nothing_is_written() {
    let Some(bench) = Bench::new(CONTAINERD) else { return };
    let dockerfile = bench.path("context/Dockerfile");
    let text = std::fs::read_to_string(&dockerfile).unwrap();
    std::fs::write(&dockerfile, format!("{text}RUN test $(uname -m) = x86_64\n")).unwrap();
    let (out, err) = check(&bench.build(&["--platform", BOTH, "-o", "files"]), 4);
    assert!(out.is_empty() && err.contains("linux/arm64") && !bench.path("files").exists(), "{err}");
}
