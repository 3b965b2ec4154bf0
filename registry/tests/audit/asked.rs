//! What only a policy asks for.

use polyarch_registry::audit::{Expectations, Finding};
use polyarch_testkit::Specimen;
use serde_json::{Value, json};

use crate::specimens::Case;
use crate::{BOTH, audit_with, brief};

const BASE: &str = "org.opencontainers.image.base.name";

pub(crate) fn specimens() -> Vec<Case> {
    vec![
        ("required-annotation", Specimen::healthy(&BOTH), annotations()),
        ("required-label", Specimen::healthy(&BOTH), labels()),
        ("root-user", run(|run| run["User"] = Value::Null), forbid_root()),
        ("missing-healthcheck", Specimen::healthy(&BOTH), healthcheck()),
        ("base-not-allowed", based(Some("ghcr.io/other/base:1")), bases()),
    ]
}

fn annotations() -> Expectations {
    Expectations { required_annotations: vec!["org.opencontainers.image.title".to_owned()], ..Expectations::default() }
}

fn labels() -> Expectations {
    Expectations { required_labels: vec!["com.example.team".to_owned()], ..Expectations::default() }
}

fn forbid_root() -> Expectations {
    Expectations { forbid_root: true, ..Expectations::default() }
}

fn healthcheck() -> Expectations {
    Expectations { require_healthcheck: true, ..Expectations::default() }
}

fn bases() -> Expectations {
    let allowed = ["docker.io/library/*", "registry.example.com"].map(str::to_owned);
    Expectations { allowed_bases: allowed.to_vec(), ..Expectations::default() }
}

/// Changes how both platforms run.
fn run(edit: impl Fn(&mut Value) + Send + Sync + Copy + 'static) -> Specimen {
    let change = |part: polyarch_testkit::specimen::Part| part.config(move |config| edit(&mut config["config"]));
    Specimen::healthy(&BOTH).part(0, change).part(1, change)
}

/// Names the base of both platforms.
fn based(name: Option<&'static str>) -> Specimen {
    let change = |part: polyarch_testkit::specimen::Part| match name {
        Some(name) => part.manifest(move |manifest| manifest["annotations"] = json!({ BASE: name })),
        None => part,
    };
    Specimen::healthy(&BOTH).part(0, change).part(1, change)
}

async fn findings(specimen: &Specimen, wanted: Expectations) -> Vec<Finding> {
    audit_with(&specimen.build().await, wanted, Default::default()).await.findings
}

/// The same finding on both platforms.
fn twice(rule: &'static str, severity: &'static str) -> [(&'static str, &'static str, &'static str); 2] {
    [(rule, severity, "linux/amd64"), (rule, severity, "linux/arm64")]
}

#[tokio::test]
async fn annotations_are_those_of_the_root() {
    let with = |value: &'static str| {
        Specimen::healthy(&BOTH)
            .index(move |index| index["annotations"] = json!({"org.opencontainers.image.title": value}))
    };
    let found = findings(&Specimen::healthy(&BOTH), annotations()).await;
    assert_eq!(brief(&found), [("required-annotation", "warning", "-")]);
    assert_eq!(found[0].message, "no annotation org.opencontainers.image.title");
    assert_eq!(brief(&findings(&with(" "), annotations()).await), [("required-annotation", "warning", "-")]);
    assert_eq!(brief(&findings(&with("app"), annotations()).await), []);
    let lone = Specimen::healthy(&BOTH).lone().part(0, |part| {
        part.manifest(|manifest| manifest["annotations"] = json!({"org.opencontainers.image.title": "app"}))
    });
    let found = findings(&lone, annotations()).await;
    assert!(!found.iter().any(|finding| finding.rule == "required-annotation"), "{found:?}");
}

#[tokio::test]
async fn labels_are_those_of_every_platform_and_of_no_attestation() {
    let specimen = Specimen::healthy(&BOTH)
        .attested()
        .part(0, |part| part.config(|config| config["config"]["Labels"]["com.example.team"] = json!("blue")));
    assert_eq!(brief(&findings(&specimen, labels()).await), [("required-label", "warning", "linux/arm64")]);
}

#[tokio::test]
async fn root_has_many_names() {
    for user in [Value::Null, json!(""), json!("0"), json!("root"), json!("0:1000"), json!("root:root"), json!("00")] {
        let edit = user.clone();
        let spoil = |part: polyarch_testkit::specimen::Part, user: Value| {
            part.config(move |config| config["config"]["User"] = user.clone())
        };
        let specimen = Specimen::healthy(&BOTH);
        let specimen = specimen.part(0, |part| spoil(part, edit.clone())).part(1, |part| spoil(part, edit));
        assert_eq!(brief(&findings(&specimen, forbid_root()).await), twice("root-user", "warning"), "{user}");
        assert_eq!(brief(&findings(&specimen, Expectations::default()).await), []);
    }
    for user in ["1000", "app", "10:0", "ContainerAdministrator"] {
        let specimen = run(move |run| run["User"] = json!(user));
        assert_eq!(brief(&findings(&specimen, forbid_root()).await), [], "{user}");
    }
}

#[tokio::test]
async fn on_windows_the_administrator_is_root() {
    let windows = |user: &'static str| {
        Specimen::healthy(&["windows(10.0.20348.1)/amd64"])
            .part(0, |part| part.config(move |config| config["config"]["User"] = json!(user)))
    };
    let found = findings(&windows("ContainerAdministrator"), forbid_root()).await;
    assert_eq!(brief(&found), [("root-user", "warning", "windows(10.0.20348.1)/amd64")]);
    assert_eq!(brief(&findings(&windows(""), forbid_root()).await), []);
}

#[tokio::test]
async fn a_health_check_that_is_off_is_none() {
    let with = |test: fn() -> Value| run(move |run| run["Healthcheck"] = test());
    let found = findings(&with(|| json!({"Test": ["NONE"]})), healthcheck()).await;
    assert_eq!(brief(&found), twice("missing-healthcheck", "warning"));
    assert_eq!(found[0].message, "the health check is switched off");
    assert_eq!(brief(&findings(&with(|| json!({"Test": ["CMD", "/srv/hello", "ping"]})), healthcheck()).await), []);
}

#[tokio::test]
async fn bases_come_from_where_the_policy_allows() {
    let found = findings(&based(Some("ghcr.io/other/base:1")), bases()).await;
    assert_eq!(brief(&found), twice("base-not-allowed", "error"));
    assert_eq!(found[0].message, "it is built on ghcr.io/other/base:1");
    for allowed in ["alpine:3", "docker.io/library/debian", "registry.example.com/team/base"] {
        assert_eq!(brief(&findings(&based(Some(allowed)), bases()).await), [], "{allowed}");
    }
    assert_eq!(brief(&findings(&based(None), bases()).await), twice("base-not-allowed", "info"));
    let named_by_index = based(None).index(|index| index["annotations"] = json!({ BASE: "alpine:3" }));
    assert_eq!(brief(&findings(&named_by_index, bases()).await), []);
    assert_eq!(brief(&findings(&based(Some("ghcr.io/other/base:1")), Expectations::default()).await), []);
}
