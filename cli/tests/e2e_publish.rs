//! Publishing to Debian's docker-registry, open, behind a password and behind TLS, and reading back with skopeo.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod support;

use std::process::Command;
use std::time::Duration;

use base64::Engine;
use polyarch_registry::oci::Digest;
use polyarch_testkit::proxy::Act;
use polyarch_testkit::{Bed, Proxy, TestRegistry, require};
use support::project::{Finished, finish};
use support::published::{skopeo_architecture, skopeo_inspect};
use support::{Builder, Cell, Project, Published, Running, until};

const PLATFORMS: &str = "linux/amd64,linux/arm64";

/// Files only: what is published matters here, not how it is built.
fn project() -> Project {
    Project::new("FROM scratch\nARG TARGETARCH\nCOPY same /same\nCOPY $TARGETARCH /own\n")
        .file("ctx/same", support::unique())
        .file("ctx/amd64", support::unique())
        .file("ctx/arm64", support::unique())
}

fn push(project: &Project, builder: &Builder, tags: &[&str]) -> Command {
    let mut command = project.build(builder, &["--platform", PLATFORMS, "--push", "--progress", "json"]);
    command.args(tags.iter().flat_map(|tag| ["-t", tag]));
    command
}

/// Asserts that skopeo finds the index that the command told of.
#[track_caller]
fn assert_readable(finished: &Finished, reference: &str, args: &[&str]) {
    let raw = skopeo_inspect(reference, &[&["--raw"], args].concat());
    let digest = Digest::sha256(&raw).to_string();
    assert!(finished.out.contains(&digest), "{digest} not in {}", finished.out);
    for architecture in ["amd64", "arm64"] {
        assert_eq!(skopeo_architecture(reference, architecture, args), architecture);
    }
}

#[test]
fn open_registry_and_embedded_one_at_once() {
    let Some(builder) = Builder::of(Cell::Docker28) else { return };
    let (debian, embedded, project) = (require!("BED_REGISTRY"), TestRegistry::start(), project());
    let tags =
        [format!("{debian}/{}:1", project.name), format!("{debian}/{}:2", project.name), embedded.reference("a:1")];
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    let first = finish(push(&project, &builder, &tags));
    first.check(0);
    tags.iter().for_each(|tag| assert_readable(&first, tag, &["--tls-verify=false"]));
    assert_eq!(Published::new(embedded.addr(), "a").images("1").len(), 2);
    let again = finish(push(&project, &builder, &tags));
    assert_eq!(again.check(0).blobs_sent(), 0, "{}", again.err);
    assert_readable(&again, tags[0], &["--tls-verify=false"]);
}

/// Writes Docker's `config.json` with a password for a registry.
fn log_in(project: Project, registry: &str, user: &str, password: &str) -> Project {
    let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    project.file("docker/config.json", serde_json::json!({"auths": {registry: {"auth": auth}}}).to_string())
}

#[test]
fn passwords_of_docker_s_configuration() {
    let Some(builder) = Builder::of(Cell::Docker28) else { return };
    let registry = require!("BED_REGISTRY_AUTH");
    let (user, password) = (require!("BED_REGISTRY_USER"), require!("BED_REGISTRY_PASSWORD"));
    let project = log_in(project(), &registry, &user, &password);
    let tag = format!("{registry}/{}:1", project.name);
    let mut command = push(&project, &builder, &[&tag]);
    command.env("DOCKER_CONFIG", project.path("docker"));
    let finished = finish(command);
    finished.check(0);
    let creds = format!("--creds={user}:{password}");
    assert_readable(&finished, &tag, &["--tls-verify=false", &creds]);
    assert!(!finished.err.contains(&password) && !finished.out.contains(&password));
}

#[test]
fn a_wrong_password_costs_neither_the_build_nor_the_other_registry() {
    let Some(builder) = Builder::of(Cell::Docker28) else { return };
    let (registry, embedded) = (require!("BED_REGISTRY_AUTH"), TestRegistry::start());
    let user = require!("BED_REGISTRY_USER");
    let project = log_in(project(), &registry, &user, "not-the-password");
    let (locked, open) = (format!("{registry}/{}:1", project.name), embedded.reference("b:1"));
    for config in ["docker", "home"] {
        let mut command = push(&project, &builder, &[&locked, &open]);
        command.env("DOCKER_CONFIG", project.path(config));
        let finished = finish(command);
        finished.check(6).says(&["401", &format!("hint: log in: polyarch login {registry}")]);
        assert!(!finished.err.contains("not-the-password"));
        assert_readable(&finished, &open, &["--tls-verify=false"]);
    }
    project.assert_store_valid();
    let creds = format!("--creds={user}:{}", Bed::get("BED_REGISTRY_PASSWORD").unwrap());
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["inspect", "--raw", "--tls-verify=false", &creds]).arg(format!("docker://{locked}"));
    assert!(!skopeo.output().unwrap().status.success(), "no tag moved");
}

#[test]
fn a_private_authority() {
    let Some(builder) = Builder::of(Cell::Docker28) else { return };
    let (registry, ca) = (require!("BED_REGISTRY_TLS"), require!("BED_REGISTRY_CA"));
    let project = project();
    let tag = format!("{registry}/{}:1", project.name);
    let untrusted = finish(push(&project, &builder, &[&tag]));
    untrusted.check(6).says(&["certificate", &format!("--registry-ca {registry}=FILE")]);
    let mut command = push(&project, &builder, &[&tag]);
    command.args(["--registry-ca", &format!("{registry}={ca}")]);
    let finished = finish(command);
    finished.check(0);
    let certs = project.path("certs");
    std::fs::create_dir(&certs).unwrap();
    std::fs::copy(ca, certs.join("ca.crt")).unwrap();
    assert_readable(&finished, &tag, &[&format!("--cert-dir={}", certs.display())]);
}

#[test]
fn ctrl_c_while_a_registry_is_slow_moves_no_tag() {
    let Some(builder) = Builder::of(Cell::Docker28) else { return };
    let registry = TestRegistry::start();
    for what in ["/blobs/uploads/", "/manifests/"] {
        let hang = move |seen: &polyarch_testkit::proxy::Seen| match seen.method != "HEAD" && seen.path.contains(what) {
            true => Act::Hang,
            false => Act::Pass,
        };
        let (proxy, project) = (Proxy::start(registry.addr(), hang), project());
        let running = Running::start(push(&project, &builder, &[&proxy.reference("slow:1")]));
        until("the registry is slow", || proxy.seen().iter().any(|seen| hang(seen) == Act::Hang));
        running.signal("-INT");
        running.wait(Duration::from_secs(15)).check(130);
        assert_eq!(Published::new(registry.addr(), "slow").manifest("1"), None, "{what}");
        project.assert_store_valid();
    }
}
