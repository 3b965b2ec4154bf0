//! Whether the platforms are of one build.

use polyarch_registry::audit::Expectations;
use polyarch_testkit::Specimen;
use serde_json::{Value, json};

use crate::specimens::Case;
use crate::{BOTH, audit, audit_with, brief};

const THREE: [&str; 3] = ["linux/amd64", "linux/arm64", "linux/riscv64"];
const BASE: &str = "org.opencontainers.image.base.name";

pub(crate) fn specimens() -> Vec<Case> {
    let plain = |id, specimen| (id, specimen, Expectations::default());
    vec![
        plain("config-drift", run(&THREE, 1, |run| run["User"] = json!("0"))),
        plain("base-drift", based(&THREE, ["docker.io/library/alpine:3", "gcr.io/distroless/base", "alpine:3"])),
        plain("layer-count-drift", one_layer_less()),
        plain("size-disparity", sized(&[(0, 100), (1, 4454), (0, 50), (1, 765)])),
    ]
}

/// Changes how one platform runs.
fn run(platforms: &[&str], number: usize, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Specimen {
    Specimen::healthy(platforms).part(number, |part| part.config(move |config| edit(&mut config["config"])))
}

/// Names the base of each platform.
fn based(platforms: &[&str; 3], names: [&'static str; 3]) -> Specimen {
    let annotated = |specimen: Specimen, (number, name): (usize, &'static str)| {
        specimen.part(number, |part| part.manifest(move |manifest| manifest["annotations"] = json!({ BASE: name })))
    };
    // The second begins with another step too, and is still reported once.
    let other = Specimen::healthy(platforms)
        .part(1, |part| part.config(|config| config["history"][0]["created_by"] = json!("bazel build //base")));
    names.into_iter().enumerate().fold(other, annotated)
}

fn one_layer_less() -> Specimen {
    Specimen::healthy(&THREE).part(2, |mut part| {
        part.layers.truncate(1);
        part
    })
}

/// Gives the layers of `BOTH` sizes in MiB: (layer, size), those of the first platform and then of the second.
fn sized(sizes: &[(usize, u64)]) -> Specimen {
    let half = sizes.len() / 2;
    let set = |specimen: Specimen, number: usize, sizes: &[(usize, u64)]| {
        let sizes = sizes.to_vec();
        specimen.part(number, |part| {
            part.manifest(move |manifest| {
                for (layer, size) in &sizes {
                    manifest["layers"][*layer]["size"] = json!(size << 20);
                }
            })
        })
    };
    set(set(Specimen::healthy(&BOTH), 0, &sizes[..half]), 1, &sizes[half..])
}

#[tokio::test]
async fn every_part_of_how_a_platform_runs_is_compared() {
    type Edit = fn(&mut Value);
    let edits: [(&str, &str, Edit); 12] = [
        ("user", "error", |run| run["User"] = json!("root")),
        ("user", "warning", |run| run["User"] = json!("app")),
        ("user", "error", |run| run["User"] = json!("1001:1000")),
        ("entrypoint", "error", |run| run["Entrypoint"] = json!(["/bin/sh"])),
        ("entrypoint", "warning", |run| run["Entrypoint"] = json!(["/srv/hello", "--slow"])),
        ("cmd", "warning", |run| run["Cmd"] = json!(["serve"])),
        ("workdir", "warning", |run| run["WorkingDir"] = json!("/")),
        ("ports", "warning", |run| run["ExposedPorts"] = json!({"80/tcp": {}})),
        ("volumes", "warning", |run| run["Volumes"] = json!({"/data": {}})),
        ("stop signal", "warning", |run| run["StopSignal"] = json!("SIGQUIT")),
        ("health check", "warning", |run| run["Healthcheck"] = json!({"Test": ["NONE"]})),
        ("env PATH", "warning", |run| run["Env"][0] = json!("PATH=/bin")),
    ];
    for (key, severity, edit) in edits {
        let findings = audit(&run(&THREE, 2, edit)).await.findings;
        assert_eq!(brief(&findings), [("config-drift", severity, "linux/riscv64")], "{key}");
        assert_eq!(findings[0].key, key);
    }
}

#[tokio::test]
async fn what_is_the_architectures_own_is_no_drift() {
    let specimen = |word: &'static str, sum: &'static str| {
        move |run: &mut Value| {
            run["Entrypoint"] =
                json!([format!("/opt/app-linux-{word}"), "--jni", format!("/usr/lib/{word}-linux-gnu")]);
            run["Env"] = json!([
                "PATH=/bin",
                format!("JAVA_HOME=/usr/lib/jvm/java-21-openjdk-{word}"),
                format!("TARGETARCH={word}"),
                format!("APP_SHA256={}", &sum[..7]),
                format!("APP_SOURCE=https://example.com/app-{sum}.tar.gz"),
                format!("NV_LIB_VERSION={word}.1"),
            ]);
            run["StopSignal"] = if word == "amd64" { json!("15") } else { Value::Null };
            run["User"] = if word == "amd64" { json!("root") } else { json!("0:0") };
            run["WorkingDir"] = if word == "amd64" { json!("/srv/") } else { json!("/srv") };
        }
    };
    let change = |specimen: Specimen, number, edit: Box<dyn Fn(&mut Value) + Send + Sync>| {
        specimen.part(number, |part| part.config(move |config| edit(&mut config["config"])))
    };
    let healthy = Specimen::healthy(&["linux/amd64", "linux/arm64"]);
    let one = change(healthy, 0, Box::new(specimen("amd64", "0eae0dca665c7044bf242cb1fc92cb8e")));
    let both = change(one, 1, Box::new(specimen("aarch64", "9a3c2d5e9f1b0c7d8e6f5a4b3c2d1e0f")));
    assert_eq!(brief(&audit(&both).await.findings), []);
}

#[tokio::test]
async fn windows_is_not_compared_with_linux() {
    let specimen = Specimen::healthy(&["linux/amd64", "linux/arm64", "windows(10.0.20348.1)/amd64"]).part(2, |part| {
        part.layers(vec![polyarch_testkit::layer::Layer::new().file("hello.exe", "MZ")]).config(|config| {
            config["config"] = json!({"User": "ContainerUser", "Entrypoint": ["hello.exe"], "Env": ["PATH=C:\\"],
                "Labels": config["config"]["Labels"]});
            config["history"] = json!([{"created_by": "Apply image 10.0.20348.1"}]);
        })
    });
    assert_eq!(brief(&audit(&specimen).await.findings), []);
}

#[tokio::test]
async fn values_of_variables_that_may_be_secrets_are_not_repeated() {
    let specimen = run(&BOTH, 1, |run| run["Env"] = json!(["PATH=/usr/local/bin:/usr/bin:/bin", "API_TOKEN=hunter2"]))
        .part(0, |part| {
            part.config(|config| {
                config["config"]["Env"] = json!(["PATH=/usr/local/bin:/usr/bin:/bin", "API_TOKEN=hunter1"])
            })
        });
    let findings = audit(&specimen).await.findings;
    assert_eq!(brief(&findings), [("config-drift", "warning", "linux/arm64")]);
    assert_eq!(findings[0].message, "the variable API_TOKEN has another value on linux/amd64");
}

#[tokio::test]
async fn a_flood_of_differing_variables_is_counted_and_cut() {
    let specimen = run(&BOTH, 1, |run| {
        let own = (0..50).map(|number| format!("OWN{number:02}=1"));
        run["Env"] = own.chain(["PATH=/usr/local/bin:/usr/bin:/bin".to_owned()]).collect();
    });
    let findings = audit(&specimen).await.findings;
    assert_eq!(findings.len(), 21);
    assert!(findings.iter().any(|finding| finding.message == "30 more variables differ between platforms"));
}

#[tokio::test]
async fn a_base_is_told_by_name_digest_and_first_step() {
    let warning = [("base-drift", "warning", "linux/arm64")];
    let findings = audit(&based(&THREE, ["alpine:3", "gcr.io/distroless/base", "alpine:3"])).await.findings;
    assert_eq!(brief(&findings), warning);
    assert_eq!(findings[0].message, "the base is gcr.io/distroless/base, but alpine:3 on linux/amd64");

    let digests = |own: [&'static str; 3]| {
        own.into_iter().enumerate().fold(Specimen::healthy(&THREE), |specimen, (number, digest)| {
            let annotations = json!({ BASE: "alpine:3", "org.opencontainers.image.base.digest": digest });
            specimen.part(number, |part| part.manifest(move |manifest| manifest["annotations"] = annotations.clone()))
        })
    };
    let findings = audit(&digests(["sha256:aa", "sha256:bb", "sha256:aa"])).await.findings;
    assert_eq!((brief(&findings), findings[0].key.as_str()), (warning.to_vec(), "digest"));
    assert_eq!(brief(&audit(&digests(["sha256:aa", "sha256:bb", "sha256:cc"])).await.findings), []);

    let first = |number: usize, step: &'static str| {
        Specimen::healthy(&THREE)
            .part(number, |part| part.config(move |config| config["history"][0]["created_by"] = json!(step)))
    };
    let findings = audit(&first(1, "bazel build //base")).await.findings;
    assert_eq!((brief(&findings), findings[0].key.as_str()), (warning.to_vec(), "history"));
    let own = first(0, "ADD rootfs-x86_64.tar.gz /");
    let own = [1, 2].into_iter().fold(own, |specimen, number| {
        let step = ["", "ADD rootfs-aarch64.tar.gz /", "ADD rootfs-riscv64.tar.gz /"][number];
        specimen.part(number, |part| part.config(move |config| config["history"][0]["created_by"] = json!(step)))
    });
    assert_eq!(brief(&audit(&own).await.findings), []);
}

#[tokio::test]
async fn sizes_are_compared_from_a_size_that_tells() {
    type Row = (&'static [(usize, u64)], &'static [(&'static str, &'static str, &'static str)]);
    let cases: [Row; 5] = [
        (&[(0, 100), (1, 4454), (0, 50), (1, 765)], &[("size-disparity", "warning", "linux/arm64")]),
        (&[(0, 100), (1, 200), (0, 100), (1, 90)], &[]),
        // 1 MiB and 12 MiB say nothing.
        (&[(0, 1), (1, 11), (0, 1), (1, 0)], &[]),
        // The base hides that nothing is in the second layer.
        (&[(0, 500), (1, 300), (0, 500), (1, 20)], &[("size-disparity", "info", "linux/arm64")]),
        (&[(0, 500), (1, 300), (0, 500), (1, 40)], &[]),
    ];
    for (sizes, want) in cases {
        assert_eq!(brief(&audit(&sized(sizes)).await.findings), want, "{sizes:?}");
    }
    let wanted = Expectations { size_ratio: 1.5, ..Expectations::default() };
    let built = sized(&[(0, 100), (1, 200), (0, 100), (1, 90)]).build().await;
    let findings = audit_with(&built, wanted, Default::default()).await.findings;
    assert_eq!(brief(&findings), [("size-disparity", "warning", "linux/arm64")]);
    assert_eq!(findings[0].message, "190.0 MiB of layers, but 300.0 MiB on linux/amd64");
}

#[tokio::test]
async fn another_number_of_layers_is_worth_knowing() {
    let findings = audit(&one_layer_less()).await.findings;
    assert_eq!(brief(&findings), [("layer-count-drift", "info", "linux/riscv64")]);
    assert_eq!(findings[0].message, "1 layer, but 2 on linux/amd64");
}
