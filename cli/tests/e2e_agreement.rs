//! The planner against a daemon: for every Dockerfile under testdata/dockerfiles, the stages, their platforms, the arguments in
//! effect and the external images are those of a real solve and of the frontend's own outline.
//!
//! A file may end with `# options: …`, given to both, and with `# expect: error` where both must refuse.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use polyarch_testkit::require;
use serde_json::Value;

/// The name all files use for the test bed's base image.
const BASE: &str = "registry.test/busybox:1";

/// What is planned and solved: not the machine's own platform.
const TARGET: &str = "linux/arm64";

struct Bed {
    docker: String,
    buildx: String,
    base: String,
}

struct Case {
    name: String,
    text: String,
    options: Vec<String>,
    fails: bool,
}

/// Which stages are built, for which platform, in how many steps.
type Stages = BTreeSet<(String, String, u64)>;

#[derive(Debug, Default)]
struct Told {
    stages: Stages,
    /// Images and the platforms they are asked for.
    images: BTreeSet<(String, String)>,
    /// Texts of RUN steps, arguments filled in.
    runs: Vec<String>,
    error: Option<String>,
}

#[test]
fn plans_agree_with_a_daemon() {
    let bed =
        Bed { docker: require!("BED_DOCKER28"), buildx: require!("BED_BUILDX"), base: require!("BED_BASE_IMAGE") };
    let cases = cases(&bed.base);
    assert!(cases.len() >= 80, "{} files", cases.len());
    // One after the other: steps of solves at the same time that come to the same files are one vertex, with one of their
    // names. What fails has no steps.
    let lane = |fails: bool| {
        let found = cases.iter().filter(|case| case.fails == fails).map(|case| (&case.name, compare(&bed, case)));
        found.filter(|(_, found)| !found.is_empty()).collect::<Vec<_>>()
    };
    let differences: BTreeMap<_, _> = std::thread::scope(|scope| {
        let failing = scope.spawn(|| lane(true));
        lane(false).into_iter().chain(failing.join().unwrap()).collect()
    });
    let mut shown = String::new();
    for (name, found) in &differences {
        writeln!(shown, "{name}:\n  {}", found.join("\n  ")).unwrap();
    }
    assert!(differences.is_empty(), "{} of {} files differ\n{shown}", differences.len(), cases.len());
}

fn cases(base: &str) -> Vec<Case> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/dockerfiles");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let host = base.strip_suffix("/busybox:1").unwrap().to_owned();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap().replace("registry.test", &host);
        let note = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let options = note("# options:").unwrap_or("").split_whitespace().map(str::to_owned).collect();
        let fails = note("# expect:") == Some("error");
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Case { name, options, fails, text }
    };
    paths.iter().map(read).collect()
}

fn compare(bed: &Bed, case: &Case) -> Vec<String> {
    let dir = project(case);
    let ours = plan(bed, case, dir.path(), TARGET);
    let theirs = solve(bed, case, dir.path());
    let mut found = Vec::new();
    match (&ours, &theirs.error, case.fails) {
        (Err(_), Some(_), true) => return found,
        (Ok(_), None, false) => {}
        (ours, theirs, _) => {
            let ours = ours.as_ref().err().map(|error| error.lines().next().unwrap_or("").to_owned());
            found.push(format!("we say {ours:?}, the daemon says {theirs:?}"));
            return found;
        }
    }
    let Ok(plan) = ours else { return found };
    stages(&plan, &theirs, &mut found);
    images(&plan, &theirs, &mut found);
    arguments(&plan, case, &theirs, &mut found);
    outline(bed, case, dir.path(), &mut found);
    found
}

/// The files the Dockerfiles copy.
fn project(case: &Case) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    std::fs::create_dir(dir.path().join("src")).unwrap();
    write("Dockerfile", case.text.as_bytes());
    for name in ["app.txt", "bin-amd64", "bin-arm64", "src/main.c"] {
        write(name, name.as_bytes());
    }
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append_data(&mut header, "inside", &b"x"[..]).unwrap();
    write("a.tar", &archive.into_inner().unwrap());
    dir
}

fn plan(bed: &Bed, case: &Case, dir: &Path, platform: &str) -> Result<Value, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
    command.args(["plan", ".", "--no-resolve", "--format", "json", "--builder", &bed.docker, "--platform", platform]);
    command.args(&case.options).env_clear().env("HOME", dir).current_dir(dir);
    let Output { status, stdout, stderr } = command.output().unwrap();
    match status.success() {
        true => Ok(serde_json::from_slice(&stdout).unwrap()),
        false => Err(String::from_utf8_lossy(&stderr).into_owned()),
    }
}

fn buildx(bed: &Bed, case: &Case, dir: &Path, platform: &str) -> Command {
    let mut command = Command::new(&bed.buildx);
    command.args(["build", ".", "--platform", platform]).args(&case.options);
    command.env_clear().env("DOCKER_HOST", &bed.docker).env("HOME", dir).current_dir(dir);
    command
}

/// Builds, and reads BuildKit's vertices. One platform by itself, so that it is known whose they are.
fn solve(bed: &Bed, case: &Case, dir: &Path) -> Told {
    let mut command = buildx(bed, case, dir, TARGET);
    command.args(["--build-arg", "BUILDKIT_MULTI_PLATFORM=1", "--progress", "rawjson", "--output", "type=cacheonly"]);
    // A step that was cached may keep the name it had in another file.
    command.arg("--no-cache");
    let Output { status, stderr, .. } = command.output().unwrap();
    let log = String::from_utf8_lossy(&stderr);
    let mut told = Told::default();
    for line in log.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
        for vertex in event["vertexes"].as_array().into_iter().flatten() {
            told.vertex(vertex["name"].as_str().unwrap_or(""));
        }
    }
    told.error = (!status.success()).then(|| log.lines().rev().find(|line| !line.is_empty()).unwrap_or("").to_owned());
    told
}

impl Told {
    /// `[linux/amd64->arm64 build 2/3] RUN …`, `[linux/arm64 internal] load metadata for …`
    fn vertex(&mut self, name: &str) {
        let Some((head, rest)) = name.strip_prefix('[').and_then(|name| name.split_once("] ")) else { return };
        let words: Vec<&str> = head.split_whitespace().collect();
        // `[context alpine] load metadata for …`: an image that replaces another, of the target's platform here.
        if let (Some(&"context"), Some(image)) = (words.first(), rest.strip_prefix("load metadata for ")) {
            self.images.insert((image.to_owned(), TARGET.to_owned()));
            return;
        }
        let Some(platform) = words.first().filter(|word| word.contains('/') && words.len() > 1) else { return };
        let platform = platform.split("->").next().unwrap().to_owned();
        if let Some(image) = rest.strip_prefix("load metadata for ") {
            self.images.insert((image.to_owned(), platform));
            return;
        }
        // The same base image in solves at the same time is one vertex, with one of their names.
        if rest.starts_with("FROM ") {
            return;
        }
        let Some(total) = words.last().and_then(|word| word.split_once('/')) else { return };
        let Ok(total) = total.1.parse() else { return };
        let stage = if words.len() == 3 { words[1] } else { "" };
        self.stages.insert((stage.to_owned(), platform, total));
        if let Some(run) = rest.strip_prefix("RUN ") {
            self.runs.push(run.to_owned());
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The planned stages of the only platform.
fn planned(plan: &Value) -> impl Iterator<Item = &Value> {
    plan["platforms"][0]["stages"].as_array().unwrap().iter()
}

fn platform(value: &Value) -> String {
    let variant = value["variant"].as_str().map(|variant| format!("/{variant}")).unwrap_or_default();
    format!("{}/{}{variant}", text(&value["os"]), text(&value["architecture"]))
}

fn stages(plan: &Value, theirs: &Told, found: &mut Vec<String>) {
    let only = planned(plan).count() == 1;
    let of = |stage: &Value| {
        let name = text(&stage["name"]);
        let unnamed = name.bytes().all(|byte| byte.is_ascii_digit());
        let shown = if unnamed { format!("stage-{name}") } else { name };
        // BuildKit normalises what it shows, not what it asks for.
        let platform = platform(&stage["platform"]);
        let platform = platform.strip_suffix("arm64/v8").map(|os| format!("{os}arm64")).unwrap_or(platform);
        (shown, platform, stage["steps"].as_u64().unwrap())
    };
    let ours: Stages = planned(plan).map(of).collect();
    for stage in &theirs.stages {
        // The only stage of a file has no name in BuildKit's texts.
        let same = |own: &(String, String, u64)| {
            own == stage || (only && stage.0.is_empty() && (&own.1, own.2) == (&stage.1, stage.2))
        };
        if !ours.iter().any(same) {
            found.push(format!("the daemon builds {stage:?}; we have {ours:?}"));
        }
    }
    for own in planned(plan) {
        let (name, platform, total) = of(own);
        let image = matches!(own["base"]["kind"].as_str(), Some("image" | "context"));
        if total > u64::from(image)
            && !theirs.stages.iter().any(|(other, at, steps)| {
                (other == &name || only && other.is_empty()) && at == &platform && *steps == total
            })
        {
            found.push(format!("we build {name:?} ({platform}, {total} steps); the daemon has {:?}", theirs.stages));
        }
    }
}

fn images(plan: &Value, theirs: &Told, found: &mut Vec<String>) {
    let mut ours = BTreeSet::new();
    for image in plan["images"].as_array().unwrap() {
        for used in image["platforms"].as_array().unwrap() {
            ours.insert((text(&image["name"]), platform(&used["platform"])));
        }
    }
    if ours != theirs.images {
        found.push(format!("images: ours {ours:?}, the daemon's {:?}", theirs.images));
    }
}

/// `RUN echo NAME=$NAME` in the file is `RUN echo NAME=value` in the vertex.
fn arguments(plan: &Value, case: &Case, theirs: &Told, found: &mut Vec<String>) {
    for stage in planned(plan) {
        for arg in stage["args"].as_array().into_iter().flatten() {
            let (name, value) = (text(&arg["name"]), text(&arg["value"]));
            let written = format!("{name}=${name}");
            if !case.text.contains(&written) {
                continue;
            }
            let told = format!("{name}={value}");
            let has = |run: &String| {
                run.split_whitespace().any(|word| word == told || word == format!("{name}=${name}") && value.is_empty())
            };
            if !theirs.runs.iter().any(has) {
                found.push(format!("we say {told}; the daemon runs {:?}", theirs.runs));
            }
        }
    }
}

/// The outline is made before any target platform is set, so it is compared with the plan for the daemon's own.
fn outline(bed: &Bed, case: &Case, dir: &Path, found: &mut Vec<String>) {
    let Ok(plan) = plan(bed, case, dir, "linux/amd64") else {
        found.push("the plan for linux/amd64 failed".to_owned());
        return;
    };
    let output = buildx(bed, case, dir, "linux/amd64").args(["--call", "outline,format=json"]).output().unwrap();
    let Ok(outline) = serde_json::from_slice::<Value>(&output.stdout) else {
        found.push(format!("no outline: {}", String::from_utf8_lossy(&output.stderr)));
        return;
    };
    let theirs: BTreeMap<(String, u64), String> = outline["args"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|arg| {
            let line = arg["location"]["ranges"][0]["start"]["line"].as_u64().unwrap_or(0);
            ((text(&arg["name"]), line), text(&arg["value"]))
        })
        .collect();
    let mut lines = BTreeSet::new();
    for stage in planned(&plan) {
        for arg in stage["args"].as_array().into_iter().flatten() {
            let key = (text(&arg["name"]), arg["line"].as_u64().unwrap());
            lines.insert(key.1);
            match theirs.get(&key) {
                Some(value) if *value != text(&arg["value"]) => {
                    found.push(format!("{key:?} is {:?} here and {value:?} in the outline", arg["value"]));
                }
                _ => {}
            }
        }
    }
    let first = planned(&plan).filter_map(|stage| stage["span"]["line"].as_u64()).min().unwrap_or(0);
    for ((name, line), value) in &theirs {
        if *line > first && !lines.contains(line) {
            found.push(format!("the outline has {name}={value} in line {line}, the plan has not"));
        }
    }
}

#[test]
fn every_file_uses_the_base_image() {
    let base = cases("host/busybox:1").iter().filter(|case| case.text.contains("host/")).count();
    assert!(base > 80 && BASE.starts_with("registry.test"), "{base}");
}
