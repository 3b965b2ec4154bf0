//! Input no build can be made of: what is said, the exit code, and that nothing was begun.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::process::Command;

use polyarch_testkit::{Index, TestRegistry, require};
use support::project::{Finished, finish};
use support::{Builder, Cell, Project, Published};

/// Runs `polyarch build` without any builder at hand.
fn build(project: &Project, args: &[&str]) -> Finished {
    let mut command = project.command(&["build", "."]);
    command.args(args);
    finish(command)
}

#[test]
fn an_unknown_platform_has_a_near_one() {
    let finished = build(&Project::new("FROM scratch\n"), &["--platform", "linux/amd64,linux/amr64"]);
    finished.check(2).says(&["unknown architecture, `amr64`", "did you mean `linux/arm64`?"]);
    assert_eq!(finished.out, "");
}

#[test]
fn references_are_pointed_into() {
    let digest = format!("a/b:c@sha256:{}", "a".repeat(64));
    let long = "a".repeat(129);
    for (reference, at, says) in [
        ("localhost:5000/aB:1", 16, "must be lower case"),
        ("foo@sha256:aaaa", 4, "is not lower-case hexadecimal"),
        (digest.as_str(), 5, "a tag cannot have a digest"),
        ("a/b:-c", 4, "tag"),
        (&format!("a/b:{long}"), 132, "longer than 128"),
    ] {
        let finished = build(&Project::new("FROM scratch\n"), &["-t", reference]);
        finished.check(2).says(&[says]);
        let lines: Vec<&str> = finished.err.lines().collect();
        let caret = lines.iter().position(|line| line.trim() == "^").unwrap_or_else(|| panic!("{}", finished.err));
        assert_eq!(lines[caret - 1].trim(), reference);
        assert_eq!(lines[caret].find('^').unwrap() - 4, at, "{}", finished.err);
    }
}

#[test]
fn a_missing_dockerfile_or_context_has_near_names() {
    let project = Project::new("FROM scratch\n").file("ctx/Dockerfile.dev", "FROM scratch\n");
    build(&project, &["-f", "Dockerfile.dve"]).check(2).says(&["there is no Dockerfile at", "Dockerfile.dev"]);
    let mut command = project.command(&["build", "../ctxx"]);
    command.arg("--quiet");
    finish(command).check(2).says(&["ctxx", "did you mean"]);
}

#[test]
fn a_missing_target_has_near_names() {
    let Some(builder) = Builder::of(Cell::Docker28) else { return };
    let project = Project::on(&builder, "FROM base AS release\nFROM base AS test\n");
    finish(project.build(&builder, &["--target", "relaese"])).check(3).says(&["\"relaese\"", "did you mean release?"]);
    finish(project.build(&builder, &["--target", "nothing"])).check(3).says(&["the stages are", "release", "test"]);
}

#[test]
fn a_dockerfile_that_cannot_be_read_is_shown() {
    let Some(builder) = Builder::of(Cell::Docker28) else { return };
    let project = Project::new("FROM scratch\nCOPPY a b\n");
    finish(project.build(&builder, &[])).check(3).says(&["Dockerfile:2:1", "COPPY a b", "did you mean COPY?"]);
}

#[test]
fn a_base_image_that_does_not_exist_is_named_with_its_line() {
    let registry = TestRegistry::start();
    for cell in [Cell::Docker20, Cell::Docker28] {
        let Some(builder) = Builder::of(cell) else { return };
        let missing = registry.reference("no/such:base");
        let project = Project::new(&format!("FROM {missing}\nCOPY Dockerfile /\n"));
        let reference = registry.reference("made/of-it:1");
        let args = ["--platform", "linux/amd64", "-t", &reference, "--push", "--no-resolve"];
        // Whoever is first, polyarch or the builder.
        let finished = finish(project.build(&builder, &args[..5]));
        finished.check(3).says(&["Dockerfile:1:6: image", &missing, "does not exist", "1 | FROM "]);
        let finished = finish(project.build(&builder, &args));
        finished.check(4).says(&["linux/amd64", &missing, "not found"]);
        finished.says(&["Dockerfile:1\n", ">   1 | FROM "]);
        assert_eq!(Published::new(registry.addr(), "made/of-it").manifest("1"), None);
        assert!(project.stored().is_empty());
    }
}

#[test]
fn a_platform_no_node_can_run_is_refused_with_what_helps() {
    for cell in [Cell::Docker20, Cell::Docker28, Cell::Buildkit] {
        let Some(builder) = Builder::of(cell) else { return };
        let project = Project::on(&builder, "FROM base\nRUN true\n");
        let finished =
            finish(project.build(&builder, &["--platform", "linux/amd64,linux/s390x", "--progress", "json"]));
        let says = ["Dockerfile:3", "needs linux/s390x", "cannot run", "the node offers linux/amd64", "linux/arm64"];
        finished.check(3).says(&says).says(&["--install s390x", "--builder"]);
        assert!(finished.events().iter().all(|event| event["event"] != "platform-started"), "{}", finished.err);
    }
}

#[test]
fn files_alone_need_no_emulator() {
    let Some(builder) = Builder::of(Cell::Docker28) else { return };
    let registry = TestRegistry::start();
    let project = Project::new("FROM scratch\nCOPY Dockerfile /file\n");
    let reference = registry.reference("files/alone:1");
    let args = ["--platform", "linux/amd64,linux/s390x", "-t", &reference, "--push"];
    finish(project.build(&builder, &args)).check(0);
    let images = Published::new(registry.addr(), "files/alone").images("1");
    assert_eq!(images["linux/s390x"].config["architecture"], "s390x");
}

#[test]
fn a_layout_as_context_is_refused_where_it_cannot_be_read() {
    for cell in [Cell::Docker20, Cell::Docker28Classic] {
        let Some(builder) = Builder::of(cell) else { return };
        let project = Project::new("FROM other\n");
        let layout = project.path("layout");
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(Index::small(&["linux/amd64"]).write_layout(&layout, "1"));
        let context = format!("other=oci-layout://{}:1", layout.display());
        let finished = finish(project.build(&builder, &["--build-context", &context]));
        finished.check(3).says(&["--build-context other", "cannot be done by", "needs"]);
    }
}

#[test]
fn no_daemon_lists_what_was_looked_for() {
    // In a mount namespace of its own `/run` is empty, whatever this machine has there.
    let project = Project::new("FROM scratch\n");
    let unshared = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/run"]).status();
    if !unshared.is_ok_and(|status| status.success()) {
        assert_ne!(std::env::var("POLYARCH_BED_REQUIRED").as_deref(), Ok("1"), "mount namespaces need root");
        return;
    }
    let build = project.command(&["build", "."]);
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-c", "mount -t tmpfs none /run && exec \"$0\" build ."]).arg(build.get_program());
    shell.env_clear().envs(build.get_envs().filter_map(|(key, value)| Some((key, value?))));
    shell.env("XDG_RUNTIME_DIR", "/run/user/12345").current_dir(project.path("ctx"));
    let says = ["no Docker daemon found", "unix:///var/run/docker.sock", "/run/user/12345", "hint: start Docker"];
    finish(shell).check(3).says(&says);
}

#[test]
fn a_named_daemon_that_is_away_is_named() {
    let project = Project::new("FROM scratch\n");
    build(&project, &["--builder", "unix:///nowhere/docker.sock"])
        .check(3)
        .says(&["/nowhere/docker.sock", "no such socket"]);
    let mut command = project.command(&["build", "."]);
    command.env("DOCKER_HOST", "tcp://127.0.0.1:1");
    finish(command).check(3).says(&["127.0.0.1:1", "refused"]);
}

#[test]
fn tls_without_certificates_says_which_are_missing() {
    let address = require!("BED_DOCKER28_TLS");
    let project = Project::new("FROM scratch\n");
    let mut command = project.command(&["build", ".", "--builder", &address]);
    command.env("DOCKER_TLS_VERIFY", "1").env("DOCKER_CERT_PATH", project.path("home"));
    let finished = finish(command);
    finished.says(&["ca.pem"]);
    assert!([Some(2), Some(3)].contains(&finished.code), "{:?}", finished.code);
}

#[test]
fn podman_is_told_apart_from_docker() {
    let project = Project::new("FROM scratch\n");
    let socket = project.path("podman.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || listener.incoming().for_each(|stream| answer_as_podman(stream.unwrap())));
    let finished = build(&project, &["--builder", &format!("unix://{}", socket.display())]);
    finished.check(3).says(&["is Podman 4.3.1", "no BuildKit behind", "hint: use a Docker daemon"]);
}

/// Podman 4.3.1's answers, as far as anyone asks.
fn answer_as_podman(mut stream: std::os::unix::net::UnixStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut path = String::new();
    while reader.read_line(&mut path).is_ok_and(|read| read > 0) {
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) && line != "\r\n" {
            line.clear();
        }
        let version =
            r#"{"Components":[{"Name":"Podman Engine","Version":"4.3.1"}],"Version":"4.3.1","ApiVersion":"1.41"}"#;
        let body = if path.contains("/version") { version } else { "OK" };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nApi-Version: 1.41\r\n";
        // A client may be gone before it has heard everything.
        let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        path.clear();
    }
}
