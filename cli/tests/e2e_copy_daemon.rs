//! `polyarch copy` out of and into Docker's image stores.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod support;

use std::process::{Command, Stdio};

use polyarch_registry::oci::Digest;
use polyarch_testkit::{Image, Index, Layer, TestRegistry, require};
use support::project::finish;
use support::{Docker, Finished};

/// A registry with an image of two platforms that no daemon has seen, and a daemon.
struct Case {
    registry: TestRegistry,
    docker: Docker,
    name: String,
    dir: tempfile::TempDir,
}

impl Case {
    async fn new(host: String) -> Self {
        let (registry, name) = (TestRegistry::start(), support::unique());
        let noise = u64::from_str_radix(&name[3..], 16).unwrap();
        let image = |platform: &str, seed: u64| Image::new(platform).layer(Layer::noise(seed, 50_000));
        let index = Index::new().image(image("linux/amd64", noise)).image(image("linux/arm64", noise ^ 1));
        registry.http().push_index("app", "1", &index).await;
        Self { registry, docker: Docker { host }, name, dir: tempfile::tempdir().unwrap() }
    }

    fn copy(&self, args: &[&str]) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.arg("copy").args(args).env("DOCKER_HOST", &self.docker.host).env("HOME", self.dir.path());
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        finish(command)
    }

    fn own(&self) -> String {
        format!("docker-daemon:{}:1", self.name)
    }

    fn verified(&self, reference: &str) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.args(["verify", "--deep", reference]).env("HOME", self.dir.path()).stdin(Stdio::null());
        finish(command).check(0);
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        self.docker.run(&["image", "rm", "-f", &format!("{}:1", self.name), &self.registry.reference("app:1")]);
    }
}

/// `sha256:…` of an image's configuration in a classic store.
fn id(case: &Case) -> String {
    case.docker.run(&["image", "inspect", "-f", "{{.Id}}", &format!("{}:1", case.name)]).trim().to_owned()
}

async fn classic(host: String) {
    let case = Case::new(host).await;
    let source = case.registry.reference("app:1");
    let done = case.copy(&[&source, &case.own()]);
    done.check(0);
    assert!(done.out.contains("linux/amd64 of sha256:"), "{}", done.out);
    assert!(done.out.contains("blobs: 2 sent"), "one platform is all it can hold: {}", done.out);
    let id = id(&case);
    assert!(id.starts_with("sha256:"), "{id}");

    let done = case.copy(&[&case.own(), &case.registry.reference("back")]);
    done.check(0);
    assert!(done.out.starts_with("1: sha256:"), "the tag goes along: {}", done.out);
    assert!(done.out.contains(&format!("made around its configuration {id}")), "{}", done.out);
    case.verified(&case.registry.reference("back:1"));

    let file = case.dir.path().join("saved.tar");
    case.docker.run(&["save", "-o", &file.display().to_string(), &format!("{}:1", case.name)]);
    case.copy(&["docker-archive:saved.tar", "oci:out:1"]).check(0);
    let manifest = case.copy(&["-q", "oci:out:1", &case.registry.reference("saved:1")]);
    manifest.check(0);
    let manifest = case.registry.http().get(&format!("/v2/saved/manifests/{}", manifest.out.trim())).await;
    assert_eq!(manifest.json()["config"]["digest"], id.as_str(), "the configuration's bytes are kept");
}

#[tokio::test]
async fn the_classic_store_of_docker_20_both_ways() {
    classic(require!("BED_DOCKER20")).await;
}

#[tokio::test]
async fn the_classic_store_of_docker_28_both_ways() {
    classic(require!("BED_DOCKER28_CLASSIC")).await;
}

#[tokio::test]
async fn the_containerd_store_keeps_every_byte() {
    let case = Case::new(require!("BED_DOCKER28")).await;
    let source = case.registry.reference("app:1");
    let digest = Digest::sha256(&case.registry.http().get("/v2/app/manifests/1").await.body).to_string();
    case.copy(&[&source, &case.own()]).check(0);
    let done = case.copy(&[&case.own(), &case.registry.reference("back")]);
    done.check(0);
    assert!(done.out.starts_with(&format!("1: {digest} at both ends, 3 manifests\n")), "{}", done.out);
    case.verified(&case.registry.reference("back:1"));
}

#[tokio::test]
async fn an_image_that_the_daemon_has_in_part_is_taken_in_part() {
    let case = Case::new(require!("BED_DOCKER28")).await;
    let source = case.registry.reference("app:1");
    case.docker.run(&["pull", "-q", "--platform", "linux/arm64", &source]);
    let refused = case.copy(&[&format!("docker-daemon:{source}"), "oci:out"]);
    refused.check(8).says(&["docker save --platform"]);
    let file = case.dir.path().join("part.tar");
    case.docker.run(&["save", "--platform", "linux/arm64", "-o", &file.display().to_string(), &source]);
    case.copy(&["--platform", "linux/arm64", "docker-archive:part.tar", "oci:out:1"]).check(0);
    case.verified(&format!("oci:{}:1", case.dir.path().join("out").display()));
}

#[tokio::test]
async fn what_a_daemon_does_not_have_is_told() {
    let case = Case::new(require!("BED_DOCKER28")).await;
    let missing = case.copy(&[&case.own(), "oci:out"]);
    missing.check(8);
    assert!(missing.err.contains("does not have"), "{}", missing.err);
    let by_id = case.copy(&[&case.registry.reference("app:1"), "docker-daemon:0123456789ab"]);
    by_id.check(2);
    assert!(by_id.err.contains("under a name, not a digest"), "{}", by_id.err);
}
