//! Images that are missing, found while a build begins; and builds that obey a lock file.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::project::finish;
use support::{Builder, Cell, Project};

/// The base image, the same under a tag that is not there, and a step that would be run before anybody misses it.
fn late(base: &str) -> String {
    format!(
        "FROM --platform=$BUILDPLATFORM {base} AS slow\nRUN sleep 300\nFROM {base}-absent\nCOPY --from=slow /bin /b\n"
    )
}

#[test]
fn a_missing_image_ends_the_build_at_once() {
    for cell in [Cell::Docker28, Cell::Buildkit] {
        let Some(builder) = Builder::of(cell) else { return };
        let project = Project::new(&late(&builder.base));
        let platforms = ["--platform", "linux/amd64,linux/arm64"];
        let missing = finish(project.build(&builder, &platforms));
        missing.check(3).says(&["Dockerfile:3:6", "-absent does not exist", "--no-resolve"]);
        let text = format!("FROM {}\n", builder.base);
        let project = Project::new(&text);
        let lacking = finish(project.build(&builder, &["--platform", "linux/amd64,linux/s390x"]));
        lacking.check(3).says(&["is not there for linux/s390x", "it has linux/amd64"]);
    }
}

#[test]
fn an_image_the_daemon_has_itself_is_built_upon() {
    let Some(builder) = Builder::of(Cell::Docker28Classic) else { return };
    let docker = builder.docker.clone().unwrap();
    let local = format!("127.0.0.1:1/never-pushed-{}:1", support::unique());
    docker.run(&["pull", &builder.base]);
    docker.run(&["tag", &builder.base, &local]);
    let project = Project::new(&format!("FROM {local}\nRUN true\n"));
    let done = finish(project.build(&builder, &["--platform", "linux/amd64"]));
    docker.run(&["rmi", &local]);
    done.check(0);
}

#[test]
fn a_locked_build_uses_the_pinned_digest() {
    let Some(builder) = Builder::of(Cell::Docker28) else { return };
    let text = format!(
        "FROM --platform=$BUILDPLATFORM {0} AS tools\nFROM {0}\nCOPY --from=tools /bin/busybox /b\n",
        builder.base
    );
    let project = Project::new(&text);
    finish(project.command(&["lock", ".", "--builder", &builder.address])).check(0);
    let lock = std::fs::read_to_string(project.path("ctx/polyarch.lock")).unwrap();
    let document: serde_json::Value = serde_json::from_str(&lock).unwrap();
    let digest = document["images"][&builder.base]["digest"].as_str().unwrap();
    let platforms = ["--platform", "linux/amd64,linux/arm64", "--progress", "plain"];
    let locked = finish(project.build(&builder, &[&platforms[..], &["--locked"]].concat()));
    locked.check(0).says(&[&format!("{}@{digest}", builder.base)]);
    // A digest that is not there is refused before anything is built.
    let nobody = format!("sha256:{}", "0".repeat(64));
    std::fs::write(project.path("ctx/polyarch.lock"), lock.replacen(digest, &nobody, 1)).unwrap();
    finish(project.build(&builder, &[&platforms[..], &["--locked"]].concat())).check(3).says(&["does not exist"]);
}
