//! Layers that architectures share, rightly and wrongly.

use polyarch_testkit::specimen::Part;
use polyarch_testkit::{Layer, Specimen};
use serde_json::{Value, json};

use crate::{BOTH, audit, brief};

const ROOTFS: usize = 1_500_000;

/// Platforms with these layers each; the history names these steps.
fn layered(steps: &'static [&'static str], layers: impl Fn(usize) -> Vec<Layer>) -> Specimen {
    let mut specimen = Specimen::healthy(&BOTH);
    for number in 0..2 {
        let history = move |config: &mut Value| {
            config["history"] = steps.iter().map(|step| json!({"created_by": step})).collect();
        };
        specimen = specimen.part(number, |part: Part| part.layers(layers(number)).config(history));
    }
    specimen
}

fn own(number: usize) -> Layer {
    Layer::new().file("srv/hello", format!("{number}"))
}

const DEBIAN: &str = "# debian.sh --arch 'arm64' out/ 'bookworm' '@1728864000'";
const ALPINE: &str = "ADD alpine-minirootfs-3.20.3-x86_64.tar.gz / # buildkit";
const COPY: &str = "COPY hello /srv/ # buildkit";

#[tokio::test]
async fn a_shared_root_file_system_is_an_error() {
    for base in [DEBIAN, ALPINE] {
        let steps: &'static [&'static str] = if base == DEBIAN { &[DEBIAN, COPY] } else { &[ALPINE, COPY] };
        let report = audit(&layered(steps, |number| vec![Layer::noise(1, ROOTFS), own(number)])).await;
        assert_eq!(brief(&report.findings), [("shared-base", "error", "-")]);
        let found = &report.findings[0];
        assert!(found.message.starts_with("linux/amd64 and linux/arm64 share their base layer sha256:"), "{found:?}");
        assert_eq!(found.key, "linux/amd64 and linux/arm64");
        let made_for = if base == DEBIAN { ", which is made for arm64" } else { ", which is made for amd64" };
        assert!(found.message.ends_with(made_for), "{}", found.message);
    }
}

#[tokio::test]
async fn a_small_base_that_ran_commands_is_an_error_too() {
    const STEPS: &[&str] = &["ADD rootfs.tar.xz / # buildkit", "RUN /bin/sh -c adduser app # buildkit"];
    let layers = |number| vec![Layer::noise(1, 100_000), own(number)];
    assert_eq!(brief(&audit(&layered(STEPS, layers)).await.findings), [("shared-base", "error", "-")]);
    const QUIET: &[&str] = &["ADD rootfs.tar.xz / # buildkit", COPY];
    assert_eq!(brief(&audit(&layered(QUIET, layers)).await.findings), [("shared-base", "warning", "-")]);
}

#[tokio::test]
async fn an_image_that_is_shared_as_a_whole_starts_the_wrong_program() {
    const STEPS: &[&str] = &["COPY app /srv/hello # buildkit"];
    let layers = |_| vec![Layer::noise(1, 100_000)];
    assert_eq!(brief(&audit(&layered(STEPS, layers)).await.findings), [("shared-base", "error", "-")]);
    // Two of three.
    let three = Specimen::healthy(&["linux/amd64", "linux/arm64", "linux/riscv64"]);
    let certificates = || Layer::noise(2, 200_000);
    let history = |config: &mut Value| {
        config["history"] = json!([{"created_by": "COPY ca.crt /etc/ssl/ # buildkit"}, {"created_by": COPY}]);
    };
    let three = three
        .part(0, |part| part.layers(vec![certificates(), Layer::noise(1, 100_000)]).config(history))
        .part(1, |part| part.layers(vec![certificates(), Layer::noise(1, 100_000)]).config(history))
        .part(2, |part| part.layers(vec![certificates(), Layer::noise(3, 100_000)]).config(history));
    let report = audit(&three).await;
    assert_eq!(brief(&report.findings), [("shared-base", "error", "-")]);
    let message = &report.findings[0].message;
    assert!(message.starts_with("linux/amd64 and linux/arm64 share all their layers ("), "{message}");
}

#[tokio::test]
async fn what_starts_nothing_or_is_webassembly_may_be_shared() {
    let data = |config: &mut Value| {
        for key in ["Entrypoint", "Cmd"] {
            config["config"][key] = Value::Null;
        }
    };
    let same = Specimen::healthy(&BOTH)
        .part(0, |part| part.layers(vec![Layer::noise(1, ROOTFS)]).config(data))
        .part(1, |part| part.layers(vec![Layer::noise(1, ROOTFS)]).config(data));
    let mut same = same;
    for number in 0..2 {
        same = same.part(number, |part| part.config(|it| it["history"] = json!([{"created_by": "COPY . /data"}])));
    }
    assert_eq!(brief(&audit(&same).await.findings), [("shared-base", "info", "-")]);
    let wasm = Specimen::healthy(&["linux/amd64", "wasi/wasm"])
        .part(0, |part| part.layers(vec![Layer::noise(1, ROOTFS)]))
        .part(1, |part| part.layers(vec![Layer::noise(1, ROOTFS)]));
    assert!(audit(&wasm).await.findings.iter().all(|one| one.rule != "shared-base"));
}

#[tokio::test]
async fn certificates_and_time_zones_on_scratch_may_be_shared() {
    const STEPS: &[&str] = &[
        "COPY /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ # buildkit",
        "COPY /usr/share/zoneinfo /usr/share/zoneinfo # buildkit",
        COPY,
    ];
    let layers = |number| vec![Layer::noise(1, 200_000), Layer::noise(2, 400_000), own(number)];
    assert_eq!(brief(&audit(&layered(STEPS, layers)).await.findings), []);
    // The same where there is no history to tell.
    let bare = layered(&[], layers);
    assert!(audit(&bare).await.findings.iter().all(|one| one.rule != "shared-base"));
}

#[tokio::test]
async fn empty_layers_and_variants_share_nothing_that_matters() {
    const STEPS: &[&str] = &["RUN true # buildkit", COPY];
    let empty = layered(STEPS, |number| vec![Layer::new(), own(number)]);
    assert!(audit(&empty).await.findings.iter().all(|one| one.rule != "shared-base"));
    let mut variants = Specimen::healthy(&["linux/arm/v6", "linux/arm/v7"]);
    for number in 0..2 {
        variants = variants.part(number, |part| part.layers(vec![Layer::noise(1, ROOTFS), own(number)]));
    }
    assert!(audit(&variants).await.findings.iter().all(|one| one.rule != "shared-base"));
}

#[tokio::test]
async fn a_large_layer_above_the_base_is_mentioned() {
    const STEPS: &[&str] = &[DEBIAN, COPY];
    let large = layered(STEPS, |number| vec![Layer::noise(number as u64 + 7, ROOTFS), Layer::noise(1, 100_000)]);
    assert_eq!(brief(&audit(&large).await.findings), [("shared-base", "info", "-")]);
    let small = layered(STEPS, |number| vec![Layer::noise(number as u64 + 7, ROOTFS), Layer::noise(1, 10_000)]);
    assert_eq!(brief(&audit(&small).await.findings), []);
}
