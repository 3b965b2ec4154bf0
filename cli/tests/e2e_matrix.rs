//! The same builds on every kind of builder: one behaviour.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failing helper is a failing test, and skips are told")]

mod support;

use std::time::Duration;

use polyarch_testkit::TestRegistry;
use serde_json::Value;
use support::project::{finish, line_of};
use support::published::{skopeo_architecture, skopeo_inspect};
use support::{Builder, Cell, Project, Published, Running, holds_within, processes, until};

/// Grace of a cancelled build (`Limits::grace`) for the solves and again for a container, and a loaded machine.
const GRACE: Duration = Duration::from_secs(30);

macro_rules! matrix {
    ($($name:ident: $cell:ident,)*) => {
        $(mod $name {
            #[test]
            fn builds_and_publishes() {
                super::on(super::Cell::$cell, super::builds_and_publishes);
            }

            #[test]
            fn named_context() {
                super::on(super::Cell::$cell, super::named_context);
            }

            #[test]
            fn one_platform_fails() {
                super::on(super::Cell::$cell, super::one_platform_fails);
            }

            #[test]
            fn fail_fast() {
                super::on(super::Cell::$cell, super::fail_fast);
            }

            #[test]
            fn ctrl_c() {
                super::on(super::Cell::$cell, super::ctrl_c);
            }
        })*
    };
}

matrix! {
    docker20: Docker20,
    docker28: Docker28,
    docker28_classic: Docker28Classic,
    dind: Dind,
    dind_containerd: DindContainerd,
    tls: Tls,
    ssh: Ssh,
    buildkit: Buildkit,
    buildkit_container: BuildkitContainer,
    bridge: Bridge,
}

fn on(cell: Cell, test: fn(&Builder)) {
    if let Some(builder) = Builder::of(cell) {
        test(&builder);
    }
}

/// Of the two secrets, one after the other.
const SECRETS_MD5: &str = "d9291331e19fcd0bc8b365bc9dfdb856";

const PLATFORMS: &str = "linux/amd64,linux/arm64,linux/arm/v7";

/// A shared stage of the build platform, an emulated RUN, secrets, and a context with exclusions.
const FULL: &str = "\
FROM native AS tools
COPY files /src
RUN echo @ && cat /proc/sys/kernel/random/uuid > /id
FROM base
COPY --from=tools /id /id
COPY files /files
RUN --mount=type=secret,id=token --mount=type=secret,id=word \\
    cat /run/secrets/token /run/secrets/word | md5sum | cut -d' ' -f1 > /secrets.md5 && uname -m > /machine
";

fn builds_and_publishes(builder: &Builder) {
    let registry = TestRegistry::start();
    let project = full_project(builder);
    let (reference, metadata) = (registry.reference("full/image:1"), project.path("metadata.json"));
    let first = finish(full_build(&project, builder, &reference));
    first.check(0);
    assert_nothing_left(builder, first.pid, &[]);
    let metadata: Value = serde_json::from_slice(&std::fs::read(metadata).unwrap()).unwrap();
    let digest = metadata["containerimage.digest"].as_str().unwrap();
    assert!(first.out.contains(digest), "{}", first.out);

    let published = Published::new(registry.addr(), "full/image");
    let images = published.images("1");
    assert_eq!(images.keys().map(String::as_str).collect::<Vec<_>>(), ["linux/amd64", "linux/arm/v7", "linux/arm64"]);
    let machines: Vec<String> = images.values().map(|image| image.text("/machine")).collect();
    assert_eq!(machines, ["x86_64", "armv7l", "aarch64"]);
    let native = &images["linux/amd64"];
    for image in images.values() {
        assert_eq!(image.text("/id"), native.text("/id"), "the shared stage ran once");
        assert_eq!(image.text("/secrets.md5"), SECRETS_MD5);
        assert_eq!(image.names_under("/files/"), ["deep/kept.log", "kept.txt"]);
        assert!(image.files.values().all(|bytes| !contains(bytes, b"of-the-token")), "no secret in a layer");
    }
    let raw = skopeo_inspect(&reference, &["--raw", "--tls-verify=false"]);
    assert_eq!(polyarch_registry::oci::Digest::sha256(&raw).to_string(), digest);
    for architecture in ["amd64", "arm64"] {
        assert_eq!(skopeo_architecture(&reference, architecture, &["--tls-verify=false"]), architecture);
    }
    project.assert_sound(&reference, PLATFORMS);
    project.assert_store_valid();
    if !builder.is_fresh {
        again_into_an_empty_store(&project, builder, &reference, digest);
    }
}

/// The same inputs give the same index, whatever the store already had; the registry has all of it.
fn again_into_an_empty_store(project: &Project, builder: &Builder, reference: &str, digest: &str) {
    let mut command = full_build(project, builder, reference);
    command.args(["--progress", "json"]).env("POLYARCH_STORE", project.path("another-store"));
    let again = finish(command);
    again.check(0);
    assert!(again.out.contains(digest), "want {digest}, got {}", again.out);
    assert_eq!(again.blobs_sent(), 0, "{}", again.err);
}

fn full_project(builder: &Builder) -> Project {
    Project::on(builder, FULL)
        .file("ctx/.dockerignore", "# all logs but one\n**/*.log\n!files/deep/kept.log\nfiles/private\n")
        .file("ctx/files/kept.txt", "kept")
        .file("ctx/files/gone.log", "gone")
        .file("ctx/files/deep/kept.log", "kept")
        .file("ctx/files/private/key", "gone")
        .file("token", "of-the-token\n")
}

fn full_build(project: &Project, builder: &Builder, reference: &str) -> std::process::Command {
    let (token, metadata) =
        (format!("id=token,src={}", project.path("token").display()), project.path("metadata.json"));
    let mut command = project.build(builder, &["--platform", PLATFORMS, "-t", reference, "--push"]);
    command.args(["--secret", &token, "--secret", "id=word,env=WORD", "--metadata-file"]).arg(metadata);
    command.env("WORD", "of-the-word");
    command
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

#[track_caller]
fn assert_nothing_left(builder: &Builder, pid: u32, volumes: &[String]) {
    if let Some(docker) = &builder.docker {
        docker.assert_clean(pid, volumes);
    }
}

fn named_context(builder: &Builder) {
    let registry = TestRegistry::start();
    let project = Project::new("FROM scratch\nCOPY --from=extra /hello.txt /hello.txt\n").file("extra/hello.txt", "@");
    let context = format!("extra={}", project.path("extra").display());
    let reference = registry.reference("named/context:1");
    let args = ["--platform", "linux/amd64,linux/arm64", "--build-context", &context, "-t", &reference, "--push"];
    let mut command = project.build(builder, &args);
    command.args(["--progress", "json"]);
    let finished = finish(command);
    let published = Published::new(registry.addr(), "named/context");
    if builder.has_contexts {
        finished.check(0);
        let images = published.images("1");
        assert!(images.len() == 2 && images.values().all(|image| image.text("/hello.txt") == "@"), "{images:?}");
    } else {
        finished.check(3).says(&["--build-context extra cannot be done by", "needs BuildKit 0.10", "--allow-missing"]);
        assert!(finished.events().iter().all(|event| event["event"] != "platform-started"), "{}", finished.err);
        assert_eq!(published.manifest("1"), None);
    }
}

const ONE_FAILS: &str = "\
FROM base
ARG TARGETARCH
RUN echo @ > /name
RUN echo about to decide; if [ $TARGETARCH = arm64 ]; then echo there is no luck; exit 7; fi
";

fn one_platform_fails(builder: &Builder) {
    let registry = TestRegistry::start();
    let project = Project::on(builder, ONE_FAILS);
    let reference = registry.reference("one/fails:1");
    let args = ["--platform", "linux/amd64,linux/arm64", "-t", &reference, "--push"];
    let finished = finish(project.build(builder, &args));
    finished.check(4).says(&[
        "error: linux/arm64: ",
        "RUN echo about to decide",
        "exit code: 7",
        "| there is no luck",
        "the image for linux/amd64 is kept in the store as partial-",
    ]);
    let line = line_of(&project.path("ctx/Dockerfile"), "about to decide");
    let (place, excerpt) = (format!("Dockerfile:{line}\n"), format!("> {line:>3} | RUN echo about to decide"));
    finished.says(&["  exit code: 7\n", &place, &excerpt]);
    assert_nothing_left(builder, finished.pid, &[]);
    assert_eq!(Published::new(registry.addr(), "one/fails").manifest("1"), None, "no tag moved");
    let stored = project.stored();
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert_eq!(stored[0]["platforms"], serde_json::json!(["linux/amd64"]));
    project.assert_store_valid();
}

fn fail_fast(builder: &Builder) {
    let seconds = support::long_time();
    let text = format!(
        "FROM base\nARG TARGETARCH\nRUN echo @; if [ $TARGETARCH = amd64 ]; then exit 9; else exec sleep {seconds}; fi\n"
    );
    let project = Project::on(builder, &text);
    let args = ["--platform", "linux/amd64,linux/arm64", "--fail-fast"];
    let finished = Running::start(project.build(builder, &args)).wait(GRACE * 2);
    finished.check(4).says(&["error: linux/amd64: ", "exit code: 9", "linux/arm64  cancelled"]);
    until("the other platform's step ended", || !processes::runs(&format!("sleep {seconds}")));
    assert_nothing_left(builder, finished.pid, &[]);
}

fn ctrl_c(builder: &Builder) {
    let (registry, seconds) = (TestRegistry::start(), support::long_time());
    let project = Project::on(builder, &format!("FROM base\nRUN echo @; exec sleep {seconds}\n"));
    let step = format!("sleep {seconds}");
    let reference = registry.reference("ctrl/c:1");
    let args = ["--platform", "linux/amd64,linux/arm64", "-t", &reference, "--push"];
    let running = Running::start(project.build(builder, &args));
    until("the step runs", || processes::runs(&step));
    let (pid, docker) = (running.pid(), builder.docker.as_ref());
    let containers = docker.map(|docker| docker.containers_of(pid)).unwrap_or_default();
    assert_eq!(containers.len(), usize::from(builder.is_fresh));
    let volumes: Vec<String> =
        containers.iter().flat_map(|id| builder.docker.as_ref().unwrap().volumes_of(id)).collect();
    running.signal("-INT");
    running.wait(GRACE).check(130).says(&["Ctrl-C again"]);
    assert!(holds_within(GRACE, || !processes::runs(&step)), "the daemon still runs the step");
    assert_nothing_left(builder, pid, &volumes);
    assert_eq!(Published::new(registry.addr(), "ctrl/c").manifest("1"), None);
    project.assert_store_valid();
}
