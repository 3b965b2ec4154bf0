//! Other people's clients against the embedded registry: skopeo and Docker, both ways.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a failing helper is a failing test")]

use std::path::Path;
use std::process::Command;

use polyarch_registry::oci::{Manifest, RawManifest, media_type};
use polyarch_testkit::bed::run;
use polyarch_testkit::images::Format;
use polyarch_testkit::{Image, Index, Layer, TestRegistry, require, require_tool};

const PLATFORMS: [&str; 3] = ["linux/amd64", "linux/arm64", "linux/arm/v7"];

fn skopeo(args: &[&str]) -> Command {
    let mut command = Command::new("skopeo");
    command.args(["--insecure-policy"]).args(args);
    command
}

/// Reads the only manifest an OCI layout on disk names.
fn layout_root(dir: &Path) -> RawManifest {
    let root = std::fs::read(dir.join("index.json")).unwrap();
    let Manifest::Index(root) = Manifest::parse(media_type::OCI_INDEX, &root).unwrap() else { unreachable!() };
    let [entry] = &root.manifests[..] else { panic!("{root:?}") };
    let path = dir.join("blobs").join(entry.digest.algorithm().as_str()).join(entry.digest.encoded());
    RawManifest::new(entry.media_type.clone(), std::fs::read(path).unwrap())
}

#[tokio::test]
async fn skopeo_pushes_and_pulls_an_index() {
    require_tool!("skopeo");
    let registry = TestRegistry::start();
    let (from, to) = (registry.scratch().join("from"), registry.scratch().join("to"));
    let big = Image::new("linux/riscv64").layer(Layer::noise(1, 20_000_000));
    let index = Index::small(&PLATFORMS).image(big).write_layout(&from, "v1").await;

    let source = format!("oci:{}:v1", from.display());
    let remote = format!("docker://{}", registry.reference("team/app:v1"));
    run(&mut skopeo(&["copy", "--all", "--preserve-digests", "--dest-tls-verify=false", &source, &remote]));
    assert_eq!(registry.http().get("/v2/team/app/manifests/v1").await.body, *index.bytes());

    // A second copy finds every blob in place; a copy next door mounts them.
    let next_door = format!("docker://{}", registry.reference("team/copy:v1"));
    run(&mut skopeo(&[
        "copy",
        "--all",
        "--preserve-digests",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        &remote,
        &next_door,
    ]));
    let target = format!("oci:{}:v1", to.display());
    run(&mut skopeo(&["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &next_door, &target]));
    assert_eq!(layout_root(&to), index);

    let raw = run(&mut skopeo(&["inspect", "--raw", "--tls-verify=false", &remote]));
    assert_eq!(raw.as_bytes(), index.bytes());
    let tags = run(&mut skopeo(&["list-tags", "--tls-verify=false", &remote.replace(":v1", "")]));
    assert!(tags.contains("\"v1\""), "{tags}");
}

#[tokio::test]
async fn skopeo_pushes_and_deletes_docker_manifests() {
    require_tool!("skopeo");
    let registry = TestRegistry::start();
    // Not `small`: skopeo 1.9 knows no zstd among Docker's layer types.
    let list = PLATFORMS.map(|platform| Image::new(platform).layer(Layer::new().file("platform", platform)));
    let list = list.into_iter().fold(Index::new(), Index::image);
    let list = registry.http().push_index("src", "v1", &list.format(Format::Docker)).await;
    let (source, target) = (registry.reference("src:v1"), registry.reference("dst:v1"));
    let (source, target) = (format!("docker://{source}"), format!("docker://{target}"));
    run(&mut skopeo(&[
        "copy",
        "--all",
        "--preserve-digests",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        &source,
        &target,
    ]));
    let copied = registry.http().get("/v2/dst/manifests/v1").await;
    assert_eq!((copied.header("content-type"), &copied.body), (media_type::DOCKER_LIST, list.bytes()));
    run(&mut skopeo(&["delete", "--tls-verify=false", &target]));
    assert_eq!(registry.http().get("/v2/dst/manifests/v1").await.status(), 404);
}

/// An image in a daemon, removed when dropped.
struct Pulled {
    host: String,
    names: Vec<String>,
}

impl Pulled {
    fn docker(&self, args: &[&str]) -> String {
        run(Command::new("docker").arg("--host").arg(&self.host).args(args))
    }
}

impl Drop for Pulled {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("docker").args(["--host", &self.host, "rmi", "--force", name]).output();
        }
    }
}

/// Pull, tag, push to another repository, pull again: the configuration must be the one that was pushed.
async fn docker_round_trip(host: String) {
    let registry = TestRegistry::start();
    let image = Image::new("linux/amd64").layer(Layer::noise(1, 3_000_000)).layer(Layer::new().file("hello", "hi"));
    let index = Index::new().image(image.clone()).image(Image::small("linux/arm64"));
    registry.http().push_index("from", "v1", &index).await;
    let (from, to) = (registry.reference("from:v1"), registry.reference("to/here:v2"));
    let docker = Pulled { host, names: vec![from.clone(), to.clone()] };

    docker.docker(&["pull", "--quiet", "--platform", "linux/amd64", &from]);
    docker.docker(&["tag", &from, &to]);
    docker.docker(&["push", "--quiet", &to]);
    docker.docker(&["rmi", "--force", &from, &to]);
    docker.docker(&["pull", "--quiet", "--platform", "linux/amd64", &to]);

    let pushed = registry.http().get("/v2/to/here/manifests/v2").await;
    let manifest = Manifest::parse(pushed.header("content-type"), &pushed.body).unwrap();
    let Manifest::Image(manifest) = manifest else { panic!("{manifest:?}") };
    let config = registry.http().get(&format!("/v2/to/here/blobs/{}", manifest.config.digest)).await;
    assert_eq!(config.body, image.build().blobs[0]);
}

#[tokio::test]
async fn docker_20_pushes_and_pulls() {
    docker_round_trip(require!("BED_DOCKER20")).await;
}

#[tokio::test]
async fn docker_28_pushes_and_pulls() {
    docker_round_trip(require!("BED_DOCKER28")).await;
}

fn crane(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

#[tokio::test]
async fn crane_copies_validates_lists_and_deletes() {
    let crane_bin = require!("BED_CRANE");
    let registry = TestRegistry::start();
    let (from, to) = (registry.scratch().join("from"), registry.scratch().join("to"));
    let big = Image::new("linux/riscv64").layer(Layer::noise(1, 8_000_000));
    // Not `small`: crane validates no zstd.
    let plain = PLATFORMS.map(|platform| Image::new(platform).layer(Layer::new().file("platform", platform)));
    let index = plain.into_iter().fold(Index::new().image(big), Index::image).write_layout(&from, "v1").await;
    let (one, two) = (registry.reference("team/app:v1"), registry.reference("next/door:v2"));
    run(&mut crane(&crane_bin, &["push", "--index", &from.display().to_string(), &one]));
    // crane wraps a layout's root in no further index: what it pushes is what was written.
    let pushed = registry.http().get("/v2/team/app/manifests/v1").await;
    let Manifest::Index(root) = Manifest::parse(media_type::OCI_INDEX, &pushed.body).unwrap() else { unreachable!() };
    let by_digest = format!("{}@{}", registry.reference("team/app"), index.digest());
    assert!(root.manifests.iter().any(|entry| entry.digest == *index.digest()) || pushed.body == *index.bytes());
    run(&mut crane(&crane_bin, &["copy", &by_digest, &two]));
    assert_eq!(registry.http().get("/v2/next/door/manifests/v2").await.body, *index.bytes());
    run(&mut crane(&crane_bin, &["validate", "--remote", &two]));
    assert_eq!(run(&mut crane(&crane_bin, &["digest", &two])).trim(), index.digest().to_string());
    run(&mut crane(&crane_bin, &["pull", "--format=oci", &two, &to.display().to_string()]));
    assert_eq!(layout_root(&to).digest(), index.digest());
    run(&mut crane(&crane_bin, &["tag", &two, "v3"]));
    assert_eq!(run(&mut crane(&crane_bin, &["ls", &registry.reference("next/door")])), "v2\nv3\n");
    let catalog = run(&mut crane(&crane_bin, &["catalog", &registry.addr().to_string()]));
    assert_eq!(catalog, "next/door\nteam/app\n");
    run(&mut crane(&crane_bin, &["delete", &format!("{}@{}", registry.reference("next/door"), index.digest())]));
    assert_eq!(registry.http().head("/v2/next/door/manifests/v3").await.status(), 404);
}

#[tokio::test]
async fn oras_pushes_attaches_discovers_and_copies() {
    let oras = require!("BED_ORAS");
    let registry = TestRegistry::start();
    std::fs::write(registry.scratch().join("hello.txt"), "hello").unwrap();
    let (one, two) = (registry.reference("art/one:v1"), registry.reference("art/two:v1"));
    let plain = |args: &[&str]| {
        let mut command = Command::new(&oras);
        command.args(args).current_dir(registry.scratch());
        run(&mut command)
    };
    plain(&["push", "--plain-http", "--artifact-type", "example/thing", &one, "hello.txt:text/plain"]);
    plain(&["attach", "--plain-http", "--artifact-type", "example/sbom", &one, "hello.txt:text/plain"]);
    let tree = plain(&["discover", "--plain-http", "--format", "json", &one]);
    assert!(tree.contains("example/sbom"), "{tree}");
    plain(&["cp", "--from-plain-http", "--to-plain-http", "--recursive", &one, &two]);
    assert!(plain(&["discover", "--plain-http", "--format", "json", &two]).contains("example/sbom"));
    std::fs::remove_file(registry.scratch().join("hello.txt")).unwrap();
    plain(&["pull", "--plain-http", &two]);
    assert_eq!(std::fs::read_to_string(registry.scratch().join("hello.txt")).unwrap(), "hello");
    let repositories = plain(&["repo", "ls", "--plain-http", &registry.addr().to_string()]);
    assert_eq!(repositories, "art/one\nart/two\n");
    plain(&["manifest", "delete", "--plain-http", "--force", &two]);
    assert_eq!(registry.http().head("/v2/art/two/manifests/v1").await.status(), 404);
}

#[tokio::test]
async fn buildah_pushes_and_pulls() {
    // No package of the test bed: tried where it is installed anyway.
    if Command::new("buildah").arg("--version").output().is_err() {
        eprintln!("skipped: buildah is not installed");
        return;
    }
    let registry = TestRegistry::start();
    let image = Image::small("linux/amd64").build();
    registry.http().push_image("from", "v1", &image).await;
    let root = registry.scratch().join("containers").display().to_string();
    let storage = ["--root", &root, "--runroot", &root, "--storage-driver", "vfs"];
    let buildah = |args: &[&str]| run(Command::new("buildah").args(storage).args(args));
    buildah(&["pull", "--tls-verify=false", &registry.reference("from:v1")]);
    buildah(&["push", "--tls-verify=false", &registry.reference("from:v1"), &registry.reference("to:v1")]);
    assert_eq!(registry.http().head("/v2/to/manifests/v1").await.status(), 200);
}

/// `ada` with password `secret`.
const USERS: &str = "ada:$2y$04$EGxkvoJY4LXHv/rQwT03ku/T3gSdR5kkZmlAOZlEMSHuzoZXbFFTy\n";

#[tokio::test]
async fn users_log_in_with_other_peoples_clients() {
    require_tool!("skopeo");
    let crane_bin = require!("BED_CRANE");
    let oras = require!("BED_ORAS");
    let home = tempfile::tempdir().unwrap();
    let users = home.path().join("htpasswd");
    std::fs::write(&users, USERS).unwrap();
    let users = polyarch_registry::server::Users::read(&users).unwrap();
    let registry = TestRegistry::start_with(|config| config.options.users = Some(users));
    let host = registry.addr().to_string();
    let layout = registry.scratch().join("layout");
    Index::new().image(Image::new("linux/amd64").layer(Layer::noise(1, 1000))).write_layout(&layout, "v1").await;
    let at_home = |mut command: Command| run(command.env("HOME", home.path()).env("DOCKER_CONFIG", home.path()));
    at_home(crane(&crane_bin, &["auth", "login", "-u", "ada", "-p", "secret", &host]));
    at_home(crane(&crane_bin, &["push", "--index", &layout.display().to_string(), &registry.reference("app:v1")]));
    at_home(crane(&crane_bin, &["validate", "--remote", &registry.reference("app:v1")]));
    at_home(crane(&oras, &["repo", "tags", "--plain-http", &registry.reference("app")]));
    let source = format!("docker://{}", registry.reference("app:v1"));
    let raw = at_home(skopeo(&["inspect", "--raw", "--tls-verify=false", "--creds", "ada:secret", &source]));
    assert!(raw.contains("manifests"), "{raw}");
    let wrong = skopeo(&["inspect", "--raw", "--tls-verify=false", "--creds", "ada:wrong", &source]).output().unwrap();
    assert!(!wrong.status.success());
}
