//! Which platforms an image has: those it needs, those it may have, each once.

use polyarch_registry::audit::{Expectations, ImageReport, Scope};
use polyarch_testkit::Specimen;
use polyarch_testkit::specimen::{Lost, Part};
use serde_json::json;

use crate::{BOTH, audit, audit_with, brief};

fn platforms(names: &[&str]) -> Vec<polyarch_registry::oci::Platform> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

async fn wanting(specimen: &Specimen, wanted: Expectations) -> ImageReport {
    audit_with(&specimen.build().await, wanted, Scope::default()).await
}

fn requiring(names: &[&str]) -> Expectations {
    Expectations { required_platforms: platforms(names), ..Expectations::default() }
}

#[tokio::test]
async fn a_required_platform_may_not_be_missing() {
    let report = wanting(&Specimen::healthy(&BOTH), requiring(&["linux/amd64", "linux/s390x", "linux/arm/v7"])).await;
    let error = |platform| ("missing-platform", "error", platform);
    assert_eq!(brief(&report.findings), [error("linux/arm/v7"), error("linux/s390x")]);
    assert_eq!(report.findings[0].message, "it is required; the image has linux/amd64, linux/arm64");
    let same =
        wanting(&Specimen::healthy(&["linux/arm64/v8", "linux/arm"]).attested(), requiring(&["linux/arm64"])).await;
    assert_eq!(same.findings, []);
}

#[tokio::test]
async fn a_platform_that_is_listed_but_gone_is_told_once() {
    let specimen = Specimen::healthy(&BOTH).part(1, |part| part.lose(Lost::Manifest));
    let report = wanting(&specimen, requiring(&BOTH)).await;
    assert_eq!(brief(&report.findings), [("dangling-child", "error", "linux/arm64")]);
}

#[tokio::test]
async fn attestations_are_no_platforms() {
    let wanted = Expectations { allowed_platforms: platforms(&BOTH), ..Expectations::default() };
    assert_eq!(wanting(&Specimen::healthy(&BOTH).attested(), wanted.clone()).await.findings, []);
    let more = Specimen::healthy(&["linux/amd64", "linux/arm64", "linux/riscv64"]).attested();
    assert_eq!(brief(&wanting(&more, wanted).await.findings), [("unwanted-platform", "error", "linux/riscv64")]);
}

#[tokio::test]
async fn a_lone_image_is_a_finding_where_more_is_asked_for() {
    let lone = Specimen::healthy(&BOTH).lone();
    assert_eq!(audit(&lone).await.findings, []);
    assert_eq!(wanting(&lone, requiring(&["linux/amd64"])).await.findings, []);
    let index = Expectations { require_index: true, ..Expectations::default() };
    assert_eq!(brief(&wanting(&lone, index.clone()).await.findings), [("single-platform", "error", "linux/amd64")]);
    assert_eq!(wanting(&Specimen::healthy(&["linux/amd64"]), index).await.findings, []);
    let want = [("missing-platform", "error", "linux/arm64"), ("single-platform", "warning", "linux/amd64")];
    assert_eq!(brief(&wanting(&lone, requiring(&BOTH)).await.findings), want);
}

#[tokio::test]
async fn the_second_entry_of_a_platform_is_never_pulled() {
    let again = |platform: &'static str| {
        let mut specimen = Specimen::healthy(&["linux/amd64", "linux/arm64"]);
        specimen.parts.push(Part::healthy(platform).config(|config| config["author"] = json!("another")));
        specimen
    };
    for platform in ["linux/arm64", "linux/arm64/v8"] {
        let report = audit(&again("linux/arm64").part(2, |part| {
            part.entry(move |entry| entry["platform"]["variant"] = json!(platform.strip_prefix("linux/arm64/")))
        }))
        .await;
        assert_eq!(brief(&report.findings), [("duplicate-platform", "error", platform)]);
        assert_eq!(report.findings[0].digest.as_ref(), Some(&report.platforms[2].digest), "the one that is shadowed");
    }
    assert_eq!(audit(&again("linux/arm/v7")).await.findings, []);
}

#[tokio::test]
async fn the_same_image_twice_is_a_warning_and_a_zstd_twin_none() {
    let mut twice = Specimen::healthy(&BOTH);
    twice.parts.push(Part::healthy("linux/arm64"));
    assert_eq!(brief(&audit(&twice).await.findings), [("duplicate-platform", "warning", "linux/arm64")]);
    let twin = |entry: &mut serde_json::Value| {
        entry["annotations"]["io.github.containers.compression.zstd"] = json!("true");
    };
    let mut compressed = Specimen::healthy(&BOTH);
    compressed.parts.push(Part::healthy("linux/arm64").config(|config| config["author"] = json!("zstd")).entry(twin));
    assert_eq!(audit(&compressed).await.findings, []);
}
