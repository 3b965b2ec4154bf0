//! Build contexts to real daemons and exported directories back.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failing helper is a failing test, and skips are told")]

mod bed;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use bed::{Build, amd64, connect, unique, var};
use polyarch_builder::buildkit::session::FileSend;
use polyarch_builder::buildkit::{Export, Session, SessionServices};

const DOCKERFILE: &str = "FROM scratch\nCOPY . /\n";

/// Fills a build's context with everything that can go wrong on the way.
fn fill(build: &Build) {
    let root = build.dir.path();
    let write = |path: &str, content: &[u8]| {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), content).unwrap();
    };
    let random: Vec<u8> = unique().bytes().cycle().take(3 << 20).collect();
    write("big", &random);
    write("unique", unique().as_bytes());
    write("zero", b"");
    write("a/b/c/deep", b"deep");
    write("a-b", b"sorts after a/b");
    write("a b.txt", b"space");
    write("ünï/文件", b"unicode");
    write("secret.env", b"ignored");
    write("node_modules/x/y", b"ignored");
    write("node_modules/keep/z", b"kept");
    write("bin/tool", b"#!/bin/sh\n");
    for at in 0..300 {
        write(&format!("many/{at}"), at.to_string().as_bytes());
    }
    fs::create_dir_all(root.join("empty/inner")).unwrap();
    symlink("a/b", root.join("link")).unwrap();
    symlink("/nowhere", root.join("dangling")).unwrap();
    fs::set_permissions(root.join("bin/tool"), fs::Permissions::from_mode(0o4755)).unwrap();
    // Part of the content where the file system has attributes; buildx sends it too.
    let _ = rustix::fs::lsetxattr(root.join("a-b"), "user.polyarch", b"1", rustix::fs::XattrFlags::empty());
    write(".dockerignore", b"# comment\n*.env\nnode_modules/*\n!node_modules/keep\nDockerfile\n.dockerignore\n");
}

/// Path, mode, target and content of everything below a directory that the ignore file leaves.
fn listing(root: &Path) -> Vec<(String, u32, String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut work = vec![root.to_owned()];
    while let Some(dir) = work.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            let ignored = ["Dockerfile", ".dockerignore", "secret.env", "node_modules/x"].contains(&name.as_str());
            let meta = path.symlink_metadata().unwrap();
            if ignored {
                continue;
            }
            let (mut target, mut content) = (String::new(), Vec::new());
            if meta.is_symlink() {
                target = fs::read_link(&path).unwrap().to_str().unwrap().to_owned();
            } else if meta.is_dir() {
                work.push(path);
            } else {
                content = fs::read(&path).unwrap();
            }
            found.push((name, meta.mode(), target, content));
        }
    }
    found.sort();
    found
}

async fn round_trip(daemon: &str) {
    let Some(worker) = connect(daemon).await else { return };
    let build = Build::new(worker, DOCKERFILE);
    fill(&build);
    let dest = tempfile::tempdir().unwrap();
    let services = SessionServices { files: FileSend::Directory(dest.path().into()), ..build.services() };
    let session = Session::open(&build.worker, services, "e2e-filesync").await.unwrap();
    build.solve(&session, &amd64(), Export::LocalDir).await.unwrap();
    session.close().await;
    let (sent, received) = (listing(build.dir.path()), listing(dest.path()));
    let names = |rows: &[(String, u32, String, Vec<u8>)]| rows.iter().map(|row| row.0.clone()).collect::<Vec<_>>();
    assert_eq!(names(&received), names(&sent));
    for (got, want) in received.iter().zip(&sent) {
        assert!(got == want, "{}: mode {:o}, want {:o}", got.0, got.1, want.1);
    }
}

#[tokio::test]
async fn a_context_survives_docker_28() {
    round_trip("BED_DOCKER28").await;
}

#[tokio::test]
async fn a_context_survives_docker_20() {
    round_trip("BED_DOCKER20").await;
}

#[tokio::test]
async fn a_context_survives_buildkitd() {
    round_trip("BED_BUILDKIT").await;
}

/// The daemon must see exactly what buildx would have sent: then buildx finds the COPY cached.
#[tokio::test]
async fn buildx_finds_the_same_content() {
    let (Some(worker), Some(buildx)) = (connect("BED_DOCKER28").await, var("BED_BUILDX")) else { return };
    let build = Build::new(worker, DOCKERFILE);
    fill(&build);
    let dest = tempfile::tempdir().unwrap();
    let services = SessionServices { files: FileSend::Directory(dest.path().into()), ..build.services() };
    let session = Session::open(&build.worker, services, "e2e-filesync").await.unwrap();
    build.solve(&session, &amd64(), Export::LocalDir).await.unwrap();
    session.close().await;
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(buildx)
        .args(["build", "--progress=plain", "--platform=linux/amd64", "--output=type=cacheonly"])
        .arg(build.dir.path())
        .env("DOCKER_HOST", var("BED_DOCKER28").unwrap())
        .env("DOCKER_CONFIG", home.path())
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(log.contains("CACHED"), "{log}");
}
