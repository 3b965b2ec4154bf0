//! Platforms that are not of one build.

use std::time::Duration;

use polyarch_registry::audit::{Expectations, Scope};
use polyarch_testkit::Specimen;
use serde_json::json;

use crate::{BOTH, audit, audit_with, brief};

const THREE: [&str; 3] = ["linux/amd64", "linux/arm64", "linux/riscv64"];

/// The specimen with another value of a label on one platform.
fn labelled(specimen: Specimen, number: usize, name: &str, value: &'static str) -> Specimen {
    let key = format!("org.opencontainers.image.{name}");
    specimen.part(number, |part| part.config(move |config| config["config"]["Labels"][&key] = json!(value)))
}

fn created(specimen: Specimen, number: usize, time: &'static str) -> Specimen {
    specimen.part(number, |part| part.config(move |config| config["created"] = json!(time)))
}

#[tokio::test]
async fn a_platform_of_another_revision_is_stale() {
    let report = audit(&labelled(Specimen::healthy(&THREE), 0, "revision", "0d1e")).await;
    assert_eq!(brief(&report.findings), [("stale-platform", "error", "linux/amd64")]);
    let want = "revision 0d1e; linux/arm64 and linux/riscv64 are of 5f0e2d4c3b2a190807060504030201000f0e0d0c";
    assert_eq!((report.findings[0].message.as_str(), report.findings[0].key.as_str()), (want, "revision"));
}

#[tokio::test]
async fn of_two_the_older_one_is_stale() {
    let older = created(labelled(Specimen::healthy(&BOTH), 1, "revision", "0d1e"), 1, "2026-01-02T01:00:00Z");
    assert_eq!(brief(&audit(&older).await.findings), [("stale-platform", "error", "linux/arm64")]);
    let older = created(labelled(Specimen::healthy(&BOTH), 1, "revision", "0d1e"), 0, "2026-01-02T01:00:00Z");
    assert_eq!(brief(&audit(&older).await.findings), [("stale-platform", "error", "linux/amd64")]);
}

#[tokio::test]
async fn other_versions_and_sources_are_warnings() {
    for (name, value) in [("version", "1.3.9"), ("source", "https://git.example.com/team/fork")] {
        let report = audit(&labelled(Specimen::healthy(&THREE), 2, name, value)).await;
        assert_eq!(brief(&report.findings), [("stale-platform", "warning", "linux/riscv64")], "{name}");
    }
}

#[tokio::test]
async fn a_label_that_is_not_there_tells_nothing() {
    let none = Specimen::healthy(&BOTH).part(0, |part| part.config(|config| config["config"]["Labels"] = json!(null)));
    assert!(audit(&none).await.findings.iter().all(|one| one.rule != "stale-platform"));
    let own = Specimen::healthy(&BOTH).attested();
    assert_eq!(audit(&own).await.findings, []);
}

#[tokio::test]
async fn a_platform_that_is_days_older_is_told() {
    let report = audit(&created(Specimen::healthy(&THREE), 1, "2025-12-28T03:04:05Z")).await;
    assert_eq!(brief(&report.findings), [("created-apart", "warning", "linux/arm64")]);
    let message = &report.findings[0].message;
    assert!(message.starts_with("it was created 5 days before linux/"), "{message}");
    let hours = created(Specimen::healthy(&THREE), 1, "2026-01-01T05:00:00+01:00");
    assert_eq!(audit(&hours).await.findings, []);
    let strict = Expectations { created_spread: Duration::from_secs(3600), ..Expectations::default() };
    let report = audit_with(&hours.build().await, strict, Scope::default()).await;
    assert_eq!(brief(&report.findings), [("created-apart", "warning", "linux/arm64")]);
}

#[tokio::test]
async fn times_of_reproducible_builds_tell_nothing() {
    for time in ["1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "soon"] {
        assert_eq!(audit(&created(Specimen::healthy(&BOTH), 0, time)).await.findings, [], "{time}");
    }
}
