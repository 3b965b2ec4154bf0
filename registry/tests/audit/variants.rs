//! Whether clients of every variant find what is theirs.

use polyarch_registry::audit::Expectations;
use polyarch_testkit::Specimen;
use serde_json::{Value, json};

use crate::specimens::Case;
use crate::{audit, brief};

pub(crate) fn specimens() -> Vec<Case> {
    let plain = |id, specimen| (id, specimen, Expectations::default());
    vec![
        // An image of arm/v7 alone is meant to be one.
        plain("platform-spelling", entry(&["linux/arm/v7"], 0, drop_variant)),
        plain("missing-baseline", Specimen::healthy(&["linux/amd64/v3", "linux/arm64"])),
        plain("fallback-to-32-bit", Specimen::healthy(&["linux/amd64", "linux/arm/v7"])),
    ]
}

fn entry(platforms: &[&str], number: usize, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Specimen {
    Specimen::healthy(platforms).part(number, |part| part.entry(move |entry| edit(&mut entry["platform"])))
}

fn drop_variant(platform: &mut Value) {
    platform.as_object_mut().unwrap().remove("variant");
}

#[tokio::test]
async fn names_only_some_clients_understand_are_told() {
    let spelled = |architecture: &'static str| {
        entry(&["linux/amd64", "linux/arm64"], 1, move |platform| platform["architecture"] = json!(architecture))
    };
    let found = audit(&spelled("aarch64")).await.findings;
    assert_eq!(brief(&found), [("platform-spelling", "warning", "linux/aarch64")]);
    assert_eq!(found[0].message, "linux/aarch64 is usually written linux/arm64");
    let found = audit(&entry(&["linux/arm/v7"], 0, drop_variant)).await.findings;
    assert_eq!(brief(&found), [("platform-spelling", "warning", "linux/arm")]);
    assert_eq!(found[0].message, "linux/arm names no variant: some clients take it for v7, others for any");
}

#[tokio::test]
async fn both_spellings_of_arm64_are_fine_and_so_is_v1() {
    for (platform, variant) in [("linux/arm64", "v8"), ("linux/amd64", "v1")] {
        let specimen = entry(&[platform], 0, move |platform| platform["variant"] = json!(variant));
        assert_eq!(brief(&audit(&specimen).await.findings), [], "{platform}/{variant}");
    }
}

#[tokio::test]
async fn newer_variants_need_the_baseline_beside_them() {
    let cases: [(&[&str], &str, &[&str]); 8] = [
        (
            &["linux/amd64/v3", "linux/arm64"],
            "missing-baseline",
            &["clients of linux/amd64 find nothing, only linux/amd64/v3"],
        ),
        (
            &["linux/amd64/v2", "linux/amd64/v3"],
            "missing-baseline",
            &["clients of linux/amd64 find nothing, only linux/amd64/v2 and linux/amd64/v3"],
        ),
        (
            &["linux/386", "linux/amd64/v2"],
            "missing-baseline",
            &["clients of linux/amd64 get linux/386, not linux/amd64/v2"],
        ),
        (&["linux/arm64/v9"], "missing-baseline", &["clients of linux/arm64 find nothing, only linux/arm64/v9"]),
        (&["linux/arm/v8"], "missing-baseline", &["clients of linux/arm/v7 find nothing, only linux/arm/v8"]),
        (&["linux/amd64", "linux/amd64/v3"], "", &[]),
        (&["linux/arm/v5", "linux/arm/v7", "linux/arm64", "linux/arm64/v9"], "", &[]),
        (&["linux/arm/v6"], "", &[]),
    ];
    for (platforms, rule, messages) in cases {
        let found = audit(&Specimen::healthy(platforms)).await.findings;
        let got: Vec<(&str, &str)> = found.iter().map(|one| (&*one.rule, &*one.message)).collect();
        assert_eq!(got, messages.iter().map(|message| (rule, *message)).collect::<Vec<_>>(), "{platforms:?}");
    }
}

#[tokio::test]
async fn a_32_bit_image_for_64_bit_machines_is_worth_knowing() {
    let found = audit(&Specimen::healthy(&["linux/amd64", "linux/arm/v6", "linux/arm/v7"])).await.findings;
    assert_eq!(brief(&found), [("fallback-to-32-bit", "info", "-")]);
    assert_eq!(found[0].message, "clients of linux/arm64 get linux/arm/v7");
    let found = audit(&Specimen::healthy(&["linux/386", "linux/arm64"])).await.findings;
    assert_eq!(found[0].message, "clients of linux/amd64 get linux/386");
    for meant in [&["linux/arm/v5", "linux/arm/v7"][..], &["linux/386"]] {
        assert_eq!(brief(&audit(&Specimen::healthy(meant)).await.findings), [], "{meant:?}");
    }
}
