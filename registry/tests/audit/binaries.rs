//! Whether the programs in an image are for its platform.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::future::{BoxFuture, FutureExt as _};
use polyarch_registry::audit::{Expectations, Finding, ImageReport, Scope};
use polyarch_registry::oci::media_type::LayerCompression;
use polyarch_registry::oci::{Descriptor, RawManifest};
use polyarch_registry::store::{BlobReader, MemoryStore};
use polyarch_registry::verify::{ContentSource, SourceError, StoreSource};
use polyarch_testkit::Specimen;
use polyarch_testkit::layer::{Layer, noise};
use polyarch_testkit::program::{dynamic_elf, elf, mach_o, pe, wasm};
use polyarch_testkit::specimen::Lost;
use serde_json::json;

use crate::{BOTH, audit_source, audit_with, brief};

const BINARIES: Scope = Scope { blobs: false, referrers: false, binaries: true, layers: false };
const DEEP: Scope = Scope { blobs: false, referrers: false, binaries: true, layers: true };

async fn audit(specimen: &Specimen, scope: Scope) -> ImageReport {
    audit_with(&specimen.build().await, Expectations::default(), scope).await
}

/// The findings about programs only: made-up programs in made-up layers may well share or lack other things.
async fn found(specimen: &Specimen, scope: Scope) -> Vec<(String, String, String)> {
    let report = audit(specimen, scope).await;
    assert_eq!(report.unchecked, []);
    let about = |finding: &&Finding| finding.rule == "wrong-architecture-binary";
    let brief = |one: &Finding| (one.severity.name().to_owned(), one.platform.clone().unwrap(), one.message.clone());
    report.findings.iter().filter(about).map(brief).collect()
}

fn expect(severity: &str, platform: &str, message: &str) -> (String, String, String) {
    (severity.to_owned(), platform.to_owned(), message.to_owned())
}

fn debian(architecture: &str, triplet: &str, loader: &str) -> Layer {
    Layer::new()
        .dir("usr/bin")
        .symlink("bin", "usr/bin")
        .symlink("lib", "usr/lib")
        .dir("usr/lib")
        .dir(&format!("usr/lib/{triplet}"))
        .executable(&format!("usr/lib/{triplet}/{loader}"), elf(architecture))
        .symlink(&format!("usr/lib/{loader}"), &format!("{triplet}/{loader}"))
        .executable("usr/bin/dash", dynamic_elf(architecture, &format!("/lib/{loader}")))
        .symlink("usr/bin/sh", "dash")
}

fn amd64() -> Layer {
    debian("amd64", "x86_64-linux-gnu", "ld-linux-x86-64.so.2")
}

fn arm64() -> Layer {
    debian("arm64", "aarch64-linux-gnu", "ld-linux-aarch64.so.1")
}

/// An image whose platforms have these layers, and start this.
fn image(
    platforms: &[(&str, Vec<Layer>)],
    entrypoint: &'static [&'static str],
    cmd: &'static [&'static str],
) -> Specimen {
    let names: Vec<&str> = platforms.iter().map(|(name, _)| *name).collect();
    let mut specimen = Specimen::healthy(&names);
    for (number, (_, layers)) in platforms.iter().enumerate() {
        specimen = specimen.part(number, |part| {
            part.layers(layers.clone()).config(move |config| {
                config["config"]["Entrypoint"] = json!(entrypoint);
                config["config"]["Cmd"] = json!(cmd);
            })
        });
    }
    specimen
}

fn app(bytes: Vec<u8>) -> Layer {
    Layer::new().dir("srv").executable("srv/app", bytes)
}

#[tokio::test]
async fn a_program_of_the_other_machine_is_an_error_on_its_platform_alone() {
    let wrong = image(
        &[("linux/amd64", vec![amd64(), app(elf("amd64"))]), ("linux/arm64", vec![arm64(), app(elf("amd64"))])],
        &["/srv/app"],
        &[],
    );
    let want = [expect("error", "linux/arm64", "/srv/app, which the image starts, is for x86-64 64-bit ELF")];
    assert_eq!(found(&wrong, BINARIES).await, want);
    assert_eq!(found(&wrong, DEEP).await, want);
    let off = audit(&wrong, Scope::default()).await;
    assert!(off.findings.iter().all(|one| one.rule != "wrong-architecture-binary"), "{:?}", off.findings);
}

#[tokio::test]
async fn one_of_four_is_wrong() {
    let of = |program: &str| {
        vec![Layer::new().dir("bin").executable("bin/app", elf(program)).compressed(LayerCompression::Zstd)]
    };
    let platforms = [
        ("linux/amd64", of("amd64")),
        ("linux/arm64", of("arm64")),
        ("linux/arm/v7", of("riscv64")),
        ("linux/riscv64", of("riscv64")),
    ];
    let report = audit(&image(&platforms, &["app"], &[]), BINARIES).await;
    let about: Vec<_> =
        brief(&report.findings).into_iter().filter(|one| one.0 == "wrong-architecture-binary").collect();
    assert_eq!(about, [("wrong-architecture-binary", "error", "linux/arm/v7")]);
}

#[tokio::test]
async fn a_loader_or_an_interpreter_of_the_other_machine_is_an_error() {
    let loader = Layer::new().executable("usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1", elf("amd64"));
    let dynamic = || app(dynamic_elf("arm64", "/lib/ld-linux-aarch64.so.1"));
    let wrong = image(&[("linux/arm64", vec![arm64(), loader, dynamic()])], &["/srv/app"], &[]);
    let path = "/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1";
    let message = format!("{path}, which loads the image's program, is for x86-64 64-bit ELF");
    assert_eq!(found(&wrong, BINARIES).await, [expect("error", "linux/arm64", &message)]);

    let missing = image(&[("linux/arm64", vec![dynamic()])], &["/srv/app"], &[]);
    let message = "/lib/ld-linux-aarch64.so.1, which loads the image's program, is not in the image";
    assert_eq!(found(&missing, BINARIES).await, [expect("warning", "linux/arm64", message)]);

    let script = || app(b"#!/bin/sh\nexec \"$@\"\n".to_vec());
    let wrong = image(&[("linux/arm64", vec![amd64(), script()])], &["/srv/app"], &["sh"]);
    let messages: Vec<String> = found(&wrong, BINARIES).await.into_iter().map(|one| one.2).collect();
    let want = [
        "/usr/bin/dash, which runs the image's script, is for x86-64 64-bit ELF",
        "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2, which loads the image's program, is for x86-64 64-bit ELF",
    ];
    assert_eq!(messages, want);
}

#[tokio::test]
async fn what_a_shell_is_given_to_start_is_looked_at() {
    let layers = vec![arm64(), Layer::new().dir("usr/local/bin").executable("usr/local/bin/app", elf("386"))];
    let wrong = image(&[("linux/arm64", layers)], &[], &["/bin/sh", "-c", "exec app --serve \"$PORT\""]);
    let message = "/usr/local/bin/app, which the image's command starts, is for i386 32-bit ELF";
    assert_eq!(found(&wrong, BINARIES).await, [expect("error", "linux/arm64", message)]);
}

#[tokio::test]
async fn healthy_images_of_every_kind_have_no_finding() {
    let script = b"#!/usr/bin/env -S sh -e\n".to_vec();
    let env = Layer::new().symlink("usr/bin/env", "busybox").executable("usr/bin/busybox", elf("arm64"));
    let data = Layer::new().dir("data").file("data/ca.pem", "x");
    let healthy = [
        ("static", image(&[("linux/arm64", vec![app(elf("arm64"))])], &["/srv/app"], &[])),
        ("32-bit arm in arm64", image(&[("linux/arm64", vec![app(elf("arm"))])], &["/srv/app"], &[])),
        ("i386 in amd64", image(&[("linux/amd64", vec![app(elf("386"))])], &["/srv/app"], &[])),
        ("dynamic", image(&[("linux/arm64", vec![arm64()])], &["sh"], &[])),
        ("script", image(&[("linux/arm64", vec![arm64(), env, app(script)])], &["/srv/app"], &[])),
        ("scratch without command", image(&[("linux/arm64", vec![data.clone()])], &[], &[])),
        ("noarch, command not there", image(&[("linux/arm64", vec![data.clone()])], &["/none"], &[])),
        ("data as command", image(&[("linux/arm64", vec![data])], &["/data/ca.pem"], &[])),
        ("script without interpreter", image(&[("linux/arm64", vec![app(b"#!/none\n".to_vec())])], &["/srv/app"], &[])),
        (
            "windows",
            image(
                &[("windows/amd64", vec![Layer::new().file("Files/app/App.exe", pe(0x8664))])],
                &["C:\\app\\app.exe"],
                &[],
            ),
        ),
        ("wasm", image(&[("wasi/wasm", vec![app(wasm())])], &["/srv/app"], &[])),
        ("wasm for a runtime", image(&[("linux/amd64", vec![app(wasm())])], &["/srv/app"], &[])),
        ("macos", image(&[("darwin/arm64", vec![app(mach_o(&[0x0100_000c]))])], &["/srv/app"], &[])),
        ("relative to the working directory", image(&[("linux/arm64", vec![app(elf("arm64"))])], &["./app"], &[])),
    ];
    for (name, specimen) in healthy {
        for scope in [BINARIES, DEEP] {
            assert_eq!(found(&specimen, scope).await, [], "{name}");
        }
    }
    let wrong = image(
        &[("windows/amd64", vec![Layer::new().file("Files/app/App.exe", pe(0xaa64))])],
        &["C:\\app\\app.exe"],
        &[],
    );
    let message = "/Files/app/App.exe, which the image starts, is for AArch64 Windows";
    assert_eq!(found(&wrong, BINARIES).await, [expect("error", "windows/amd64", message)]);
}

#[tokio::test]
async fn the_last_layer_with_the_program_counts_and_the_last_entry_in_it() {
    let wrong = app(elf("amd64"));
    let right = app(elf("arm64"));
    let replaced = image(&[("linux/arm64", vec![wrong.clone(), right.clone()])], &["/srv/app"], &[]);
    assert_eq!(found(&replaced, BINARIES).await, []);
    let deleted =
        image(&[("linux/arm64", vec![wrong.clone(), Layer::new().file("srv/.wh.app", "")])], &["/srv/app"], &[]);
    assert_eq!(found(&deleted, BINARIES).await, []);
    let opaque =
        image(&[("linux/arm64", vec![wrong.clone(), Layer::new().file("srv/.wh..wh..opq", "")])], &["/srv/app"], &[]);
    assert_eq!(found(&opaque, BINARIES).await, []);
    let worse = image(&[("linux/arm64", vec![right, wrong])], &["/srv/app"], &[]);
    assert_eq!(found(&worse, BINARIES).await.len(), 1);
    let twice = app(elf("amd64")).file("srv/noise", noise(5, 1 << 20)).executable("srv/app", elf("arm64"));
    assert_eq!(found(&image(&[("linux/arm64", vec![twice])], &["/srv/app"], &[]), BINARIES).await, []);
}

#[tokio::test]
async fn programs_besides_what_is_started_are_looked_at_in_deep_audits() {
    let tools = Layer::new()
        .dir("usr/bin")
        .executable("usr/bin/tool", elf("amd64"))
        .executable("usr/bin/qemu-x86_64-static", elf("amd64"))
        .executable("usr/bin/old", elf("arm"));
    let specimen = image(&[("linux/arm64", vec![tools, app(elf("arm64"))])], &["/srv/app"], &[]);
    assert_eq!(found(&specimen, BINARIES).await, []);
    let warning = "1 program or library not running there: /usr/bin/tool (x86-64 64-bit ELF)";
    let info = "1 program or library of other machines, where that is usual: \
        /usr/bin/qemu-x86_64-static (x86-64 64-bit ELF)";
    let want = [expect("warning", "linux/arm64", warning), expect("info", "linux/arm64", info)];
    assert_eq!(found(&specimen, DEEP).await, want);
}

#[tokio::test]
async fn a_layer_that_is_not_there_or_not_readable_could_not_be_checked() {
    let lost = image(&[("linux/arm64", vec![app(elf("amd64"))])], &["/srv/app"], &[])
        .part(0, |part| part.lose(Lost::Layer(0)));
    let report = audit(&lost, BINARIES).await;
    let unchecked: Vec<_> = report.unchecked.iter().map(|one| (one.what.as_str(), one.reason.as_str())).collect();
    assert_eq!((unchecked, report.findings.len()), (vec![("layer", "it is not there")], 0));
}

struct Counted(StoreSource<MemoryStore>, AtomicU64);

impl ContentSource for Counted {
    fn manifest<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<RawManifest, SourceError>> {
        self.0.manifest(descriptor)
    }

    fn stat<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<Option<u64>, SourceError>> {
        self.0.stat(descriptor)
    }

    fn blob<'a>(&'a self, descriptor: &'a Descriptor) -> BoxFuture<'a, Result<BlobReader, SourceError>> {
        if descriptor.media_type.contains("layer") {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
        self.0.blob(descriptor).boxed()
    }
}

#[tokio::test]
async fn only_the_layers_that_are_needed_are_read_and_each_once() {
    let base = |program: &str| Layer::new().dir("etc").file("etc/arch", program.to_owned());
    let parts = [
        ("linux/amd64", vec![base("amd64"), app(elf("amd64"))]),
        ("linux/arm64", vec![base("arm64"), app(elf("arm64"))]),
        ("linux/arm/v7", vec![base("arm"), app(elf("amd64"))]),
    ];
    for (scope, want) in [(BINARIES, 2), (DEEP, 5)] {
        let specimen = image(&parts, &["/srv/app"], &[]);
        let built = specimen.build().await;
        let source = Arc::new(Counted(StoreSource(built.store.clone()), AtomicU64::new(0)));
        audit_source(source.clone(), &built, Expectations::default(), scope).await;
        assert_eq!(source.1.load(Ordering::Relaxed), want, "{scope:?}");
    }
}

#[tokio::test]
async fn a_healthy_specimen_stays_free_of_findings() {
    let specimen = Specimen::healthy(&BOTH).attested();
    for scope in [BINARIES, DEEP] {
        let report = audit(&specimen, scope).await;
        assert_eq!((report.findings, report.unchecked), (vec![], vec![]));
    }
}

#[tokio::test]
async fn the_programs_in_shared_layers_tell_whether_sharing_does_harm() {
    let own = |architecture: &str| app(elf(architecture));
    let share = |base: Layer| {
        let layers = |architecture: &str| vec![base.clone(), own(architecture)];
        image(&[("linux/amd64", layers("amd64")), ("linux/arm64", layers("arm64"))], &["/srv/app"], &[])
            .part(0, |part| part.config(|config| config["history"] = json!([{"created_by": "ADD rootfs.tar /"}, {}])))
            .part(1, |part| part.config(|config| config["history"] = json!([{"created_by": "ADD rootfs.tar /"}, {}])))
    };
    let data = Layer::new().dir("usr/share").file("usr/share/zoneinfo", noise(9, 2 << 20));
    let programs = data.clone().dir("bin").executable("bin/sh", elf("amd64"));
    let shared = async |base: &Layer, scope| {
        let report = audit(&share(base.clone()), scope).await;
        let about = report.findings.iter().filter(|one| one.rule == "shared-base");
        about.map(|one| one.severity.name()).collect::<Vec<_>>()
    };
    let manifests = Scope::default();
    assert_eq!((shared(&data, manifests).await, shared(&data, BINARIES).await), (vec!["error"], vec![]), "no programs");
    assert_eq!(shared(&programs, BINARIES).await, ["error"]);
    let firmware = data.clone().dir("usr/lib/firmware").executable("usr/lib/firmware/dsp.elf", elf("riscv64"));
    assert!(shared(&firmware, BINARIES).await.is_empty());
    let legal = data.clone().dir("bin").executable("bin/qemu", elf("arm"));
    assert_eq!(shared(&legal, BINARIES).await, ["error"], "arm does not run on amd64");
}
