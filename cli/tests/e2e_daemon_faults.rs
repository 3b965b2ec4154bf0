//! Daemons that die during a build, and a disk that is full: what is said, and that everything is left as it should be.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod support;

use std::process::Command;

use polyarch_testkit::{GrpcBridge, TestRegistry, require};
use support::project::finish;
use support::{Builder, Cell, Project, Published, Running, holds_within, processes, until};

const SLOW: &str = "FROM base\nARG TARGETARCH\nRUN echo @; if [ $TARGETARCH = arm64 ]; then exec sleep SECONDS; fi\n";

/// Returns a project, and the step of it that does not end on arm64.
fn slow_project(builder: &Builder) -> (Project, String) {
    let seconds = support::long_time().to_string();
    (Project::on(builder, &SLOW.replace("SECONDS", &seconds)), format!("sleep {seconds}"))
}

#[test]
fn a_container_removed_during_the_build() {
    let Some(builder) = Builder::dind("") else { return };
    let registry = TestRegistry::start();
    let (project, step) = slow_project(&builder);
    let reference = registry.reference("died:1");
    let args = ["--platform", "linux/amd64,linux/arm64", "-t", &reference, "--push"];
    let mut running = Running::start(project.build(&builder, &args));
    until("the step runs", || processes::runs(&step));
    // The other platform is not lost with the daemon.
    running.wait_for("linux/amd64 BUILT");
    let docker = builder.docker.as_ref().unwrap();
    let container = docker.containers_of(running.pid()).pop().unwrap();
    let volumes = docker.volumes_of(&container);
    docker.run(&["rm", "-f", &container]);
    let finished = running.wait(support::DEADLINE);
    finished.check(4).says(&["linux/arm64", "lost", "kept in the store as partial-"]);
    // Without `-v` the volumes were left by the one who removed the container.
    volumes.iter().for_each(|volume| drop(docker.run(&["volume", "rm", volume])));
    docker.assert_clean(finished.pid, &volumes);
    assert_eq!(Published::new(registry.addr(), "died").manifest("1"), None);
    project.assert_store_valid();
}

#[test]
fn a_connection_that_ends_during_the_build() {
    let Some(builder) = Builder::of(Cell::Docker28) else { return };
    let bridge = GrpcBridge::start(builder.address.strip_prefix("unix://").unwrap().as_ref());
    let (project, step) = slow_project(&builder);
    let address = format!("buildkit+unix://{}", bridge.socket().display());
    let mut command = project.command(&["build", ".", "--builder", &address]);
    command.args(["--platform", "linux/amd64,linux/arm64"]);
    let mut running = Running::start(command);
    until("the step runs", || processes::runs(&step));
    running.wait_for("linux/amd64 BUILT");
    drop(bridge);
    let finished = running.wait(support::DEADLINE);
    finished.check(4).says(&["linux/arm64", "lost", "kept in the store as partial-"]);
    until("the daemon gave the step up", || !processes::runs(&step));
    project.assert_store_valid();
}

#[test]
fn a_full_disk() {
    let registry = TestRegistry::start();
    for cell in [Cell::Docker28, Cell::Docker20] {
        let Some(builder) = Builder::of(cell) else { return };
        let project =
            Project::new("FROM scratch\nCOPY Dockerfile /\nCOPY noise /\n").file("ctx/noise", support::noise(8 << 20));
        std::fs::create_dir(project.path("store")).unwrap();
        let reference = registry.reference("full/disk:1");
        let build = project.build(&builder, &["--platform", "linux/amd64", "-t", &reference, "--push"]);
        let finished = finish(on_a_small_disk(&project, &build));
        let says = ["no space left", "hint: free some space: `polyarch store rm`, `polyarch store gc`"];
        finished.check(0).says(&says);
        assert!(finished.out.contains("code=6\n") || finished.out.contains("code=4\n"), "{}", finished.out);
        assert!(finished.out.contains("\n[]\n") && finished.out.contains("collected=0"), "{}", finished.out);
        assert_eq!(Published::new(registry.addr(), "full/disk").manifest("1"), None);
        if let Some(docker) = &builder.docker {
            docker.assert_clean(finished.pid, &[]);
        }
    }
}

/// The same command with a store of 3 MB, which disappears with the mount namespace; then what the store says of itself.
fn on_a_small_disk(project: &Project, build: &Command) -> Command {
    let script = "mount -t tmpfs -o size=3m none \"$POLYARCH_STORE\"\n\"$@\"; echo code=$?\n\
         \"$1\" store ls --format json; \"$1\" store gc; echo collected=$?";
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-c", script, "sh"]).arg(build.get_program()).args(build.get_args());
    shell.env_clear().envs(build.get_envs().filter_map(|(key, value)| Some((key, value?))));
    shell.current_dir(project.path("ctx"));
    shell
}

#[test]
fn ctrl_c_while_docker_in_docker_starts() {
    let Some(builder) = Builder::dind("") else { return };
    let docker = builder.docker.clone().unwrap();
    let project = Project::on(&builder, "FROM base\n");
    let running = Running::start(project.build(&builder, &["--platform", "linux/amd64"]));
    let pid = running.pid();
    until("the container is there", || !docker.containers_of(pid).is_empty());
    let volumes: Vec<String> = docker.containers_of(pid).iter().flat_map(|id| docker.volumes_of(id)).collect();
    running.signal("-INT");
    running.wait(support::DEADLINE).check(130);
    assert!(holds_within(support::DEADLINE, || docker.containers_of(pid).is_empty()));
    docker.assert_clean(pid, &volumes);
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let address = require!("BED_DOCKER28");
    let Some(builder) = Builder::of(Cell::Docker28) else { return };
    let (project, step) = slow_project(&builder);
    let mut command = project.command(&["build", ".", "--builder", &address]);
    command.args(["--platform", "linux/arm64"]);
    let running = Running::start(command);
    until("the step runs", || processes::runs(&step));
    running.signal("-INT");
    running.signal("-INT");
    running.wait(support::DEADLINE).check(130);
    until("the daemon gave the step up", || !processes::runs(&step));
}
