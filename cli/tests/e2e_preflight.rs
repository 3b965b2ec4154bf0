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

/// Pushes what a Dockerfile makes under a name of its own and returns the reference.
fn push(builder: &Builder, part: &str, dockerfile: &str) -> String {
    let project = Project::new(dockerfile);
    let registry = builder.base.split('/').next().unwrap();
    let reference = format!("{registry}/{}-{part}:1", project.name);
    finish(project.build(builder, &["--platform", "linux/amd64", "--push", "-t", &reference])).check(0);
    reference
}

#[test]
fn what_triggers_and_contexts_bring_in_is_pinned_too() {
    let Some(builder) = Builder::of(Cell::Docker28) else { return };
    let base = &builder.base;
    let tool = push(&builder, "tool", &format!("FROM {base}\nRUN echo one > /tool\n"));
    let triggered = push(&builder, "base", &format!("FROM {base}\nONBUILD COPY --from={tool} /tool /tool\n"));
    let project = Project::new(&format!("FROM {triggered}\nCOPY --from=more /tool /more\n"));
    let context = format!("more=docker-image://{tool}");
    let options = ["--platform", "linux/amd64", "--build-context", &context];
    let lock = [&["lock", ".", "--builder", &builder.address], &options[..]].concat();
    finish(project.command(&lock)).check(0);
    let file = project.path("ctx/polyarch.lock");
    let text = std::fs::read_to_string(&file).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let digest = document["images"][&tool]["digest"].as_str().unwrap();
    let build = |out: &str| {
        let out = project.path(out);
        let args = ["--locked", "--no-cache", "--progress", "plain", "-o", out.to_str().unwrap()];
        finish(project.build(&builder, &[&options[..], &args].concat()))
    };
    build("first").check(0).says(&[&format!("{tool}@{digest}")]);

    // The tag moves, what is locked does not.
    let moved = Project::new(&format!("FROM {base}\nRUN echo two > /tool\n"));
    finish(moved.build(&builder, &["--platform", "linux/amd64", "--push", "-t", &tool])).check(0);
    build("second").check(0);
    for copied in ["second/tool", "second/more"] {
        assert_eq!(std::fs::read_to_string(project.path(copied)).unwrap(), "one\n", "{copied}");
    }

    let mut less = document.clone();
    less["images"].as_object_mut().unwrap().remove(&tool);
    std::fs::write(&file, less.to_string()).unwrap();
    build("third").check(3).says(&[&format!("image {tool} is not in the lock file")]);
}

/// BuildKit's gateway is asked for the locked digest, whatever the tag means to the daemon.
#[test]
fn a_locked_frontend_is_asked_for_by_digest() {
    for cell in [Cell::Docker28, Cell::Docker20, Cell::Buildkit] {
        let Some(builder) = Builder::of(cell) else { return };
        let project = Project::new("# syntax=docker/dockerfile:1\nFROM scratch\nCOPY Dockerfile /\n");
        let nobody = format!("sha256:{}", "0".repeat(64));
        let locked = serde_json::json!({ "version": 1, "images": {
            "docker.io/docker/dockerfile:1": { "digest": nobody, "platforms": { "linux/amd64": nobody } },
        } });
        std::fs::write(project.path("ctx/polyarch.lock"), locked.to_string()).unwrap();
        let args = ["--platform", "linux/amd64", "--locked", "--no-resolve", "--progress", "plain"];
        finish(project.build(&builder, &args)).check(4).says(&["docker.io/docker/dockerfile", &nobody]);
    }
}
