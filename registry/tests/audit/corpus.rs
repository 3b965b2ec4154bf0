//! Real programs: Debian's root file systems of four architectures, as they are and mixed up.
//!
//! Needs `BED_ROOTS`, which testdata/bed/up makes; without it the tests say that they are skipped.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::path::Path;

use polyarch_registry::audit::{Expectations, Scope};
use polyarch_registry::oci::Digest;
use polyarch_registry::store::BlobStoreExt as _;
use polyarch_testkit::layer::Layer;
use polyarch_testkit::specimen::Built;
use polyarch_testkit::{Specimen, require};
use serde_json::{Value, json};

use crate::audit_with;

const BINARIES: Scope = Scope { blobs: false, referrers: false, binaries: true, layers: false };
const DEEP: Scope = Scope { blobs: false, referrers: false, binaries: true, layers: true };

/// Platforms, what Debian calls their architecture, and its name for it in paths.
const PLATFORMS: [(&str, &str); 4] =
    [("linux/amd64", "amd64"), ("linux/arm64", "arm64"), ("linux/arm/v7", "armhf"), ("linux/riscv64", "riscv64")];

/// A layer as bytes.
#[derive(Clone)]
struct Blob {
    bytes: Vec<u8>,
    diff_id: Digest,
}

fn root(dir: &str, architecture: &str) -> Blob {
    let tar = std::fs::read(Path::new(dir).join(format!("debian-{architecture}.tar"))).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&tar).unwrap();
    Blob { bytes: encoder.finish().unwrap(), diff_id: Digest::sha256(&tar) }
}

fn layer(layer: Layer) -> Blob {
    let built = layer.build();
    Blob { bytes: built.blob.to_vec(), diff_id: built.diff_id }
}

/// A file out of a root file system.
fn file(dir: &str, architecture: &str, ends: &str) -> (String, Vec<u8>) {
    let mut archive =
        tar::Archive::new(std::fs::File::open(Path::new(dir).join(format!("debian-{architecture}.tar"))).unwrap());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().trim_start_matches("./").to_owned();
        if path.ends_with(ends) && entry.header().entry_type().is_file() {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            return (path, bytes);
        }
    }
    panic!("there is no {ends} in {architecture}");
}

async fn image(platforms: &[(&str, Vec<Blob>)], command: Value) -> Built {
    let names: Vec<&str> = platforms.iter().map(|(name, _)| *name).collect();
    let mut specimen = Specimen::healthy(&names);
    for (number, (_, blobs)) in platforms.iter().enumerate() {
        let ids: Vec<Digest> = blobs.iter().map(|blob| blob.diff_id.clone()).collect();
        let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
        let entry =
            |blob: &Blob| json!({"mediaType": kind, "digest": Digest::sha256(&blob.bytes), "size": blob.bytes.len()});
        let layers: Vec<Value> = blobs.iter().map(entry).collect();
        let command = command.clone();
        specimen = specimen.part(number, |part| {
            part.manifest(move |manifest| manifest["layers"] = json!(layers)).config(move |config| {
                config["rootfs"]["diff_ids"] = json!(ids);
                config["history"] = json!(vec![json!({"created_by": "COPY . /"}); ids.len()]);
                config["config"]["Entrypoint"] = Value::Null;
                config["config"]["Cmd"] = command.clone();
            })
        });
    }
    let built = specimen.build().await;
    for blob in platforms.iter().flat_map(|(_, blobs)| blobs) {
        built.store.put_bytes(blob.bytes.clone()).await.unwrap();
    }
    built
}

/// Severity, platform and message of what is said about programs.
async fn said(built: &Built, scope: Scope) -> Vec<(String, String, String)> {
    let report = audit_with(built, Expectations::default(), scope).await;
    assert_eq!(report.unchecked, []);
    let about = report.findings.into_iter().filter(|one| one.rule == "wrong-architecture-binary");
    about.map(|one| (one.severity.name().to_owned(), one.platform.unwrap(), one.message)).collect()
}

fn roots(dir: &str) -> HashMap<&'static str, Blob> {
    PLATFORMS.iter().map(|(_, name)| (*name, root(dir, name))).collect()
}

#[tokio::test]
async fn images_of_four_architectures_are_right_whatever_they_start() {
    let roots = roots(&require!("BED_ROOTS"));
    let script = layer(Layer::new().dir("srv").executable("srv/run", "#!/usr/bin/env bash\ntrue\n"));
    let platforms = PLATFORMS.map(|(platform, name)| (platform, vec![roots[name].clone(), script.clone()]));
    for command in
        [json!(["bash"]), json!(["/bin/sh", "-c", "exec sleep 1"]), json!(["/srv/run"]), json!(["/bin/bash"])]
    {
        assert_eq!(said(&image(&platforms, command.clone()).await, BINARIES).await, [], "{command}");
    }
    assert_eq!(said(&image(&platforms, json!(["bash"])).await, DEEP).await, []);
}

#[tokio::test]
async fn a_root_of_another_architecture_is_found_by_its_programs_and_by_all_of_them() {
    let roots = roots(&require!("BED_ROOTS"));
    let of = |names: [&str; 4]| {
        let mut number = 0;
        PLATFORMS.map(|(platform, _)| {
            number += 1;
            (platform, vec![roots[names[number - 1]].clone(), layer(Layer::new().dir("etc").file("etc/p", platform))])
        })
    };
    let wrong = image(&of(["amd64", "arm64", "armhf", "arm64"]), json!(["bash"])).await;
    let found = said(&wrong, BINARIES).await;
    let want = [
        "/usr/bin/bash, which the image starts, is for AArch64 64-bit ELF",
        "/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1, which loads the image's program, is for AArch64 64-bit ELF",
    ];
    assert_eq!(found.iter().map(|one| one.2.as_str()).collect::<Vec<_>>(), want);
    assert!(
        found.iter().all(|(severity, platform, _)| severity == "error" && platform == "linux/riscv64"),
        "{found:?}"
    );
    let warning = said(&wrong, DEEP).await.into_iter().find(|one| one.0 == "warning").unwrap();
    assert!(warning.2.contains("programs or libraries not running there: /usr/bin/"), "{warning:?}");
    // 64-bit Arm runs the 32-bit one's programs.
    let legal = image(&of(["amd64", "armhf", "armhf", "riscv64"]), json!(["bash"])).await;
    assert_eq!(said(&legal, BINARIES).await, []);
}

#[tokio::test]
async fn one_program_or_loader_of_another_architecture_is_found() {
    let dir = require!("BED_ROOTS");
    let arm64 = root(&dir, "arm64");
    let (path, bytes) = file(&dir, "amd64", "usr/bin/dash");
    let app = layer(Layer::new().dir("srv").executable("srv/app", bytes.clone()));
    let found = said(&image(&[("linux/arm64", vec![arm64.clone(), app])], json!(["/srv/app"])).await, BINARIES).await;
    let severities: Vec<&str> = found.iter().map(|one| one.0.as_str()).collect();
    assert_eq!((severities, path.as_str()), (vec!["error", "warning"], "usr/bin/dash"), "{found:?}");
    assert_eq!(found[0].2, "/srv/app, which the image starts, is for x86-64 64-bit ELF");
    assert_eq!(found[1].2, "/lib64/ld-linux-x86-64.so.2, which loads the image's program, is not in the image");

    let (loader, _) = file(&dir, "arm64", "ld-linux-aarch64.so.1");
    let replaced = layer(Layer::new().executable(&loader, bytes));
    let found = said(&image(&[("linux/arm64", vec![arm64, replaced])], json!(["bash"])).await, BINARIES).await;
    let message = format!("/{loader}, which loads the image's program, is for x86-64 64-bit ELF");
    assert_eq!(found, [("error".to_owned(), "linux/arm64".to_owned(), message)]);
}
