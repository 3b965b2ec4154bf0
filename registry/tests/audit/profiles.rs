//! What older clients make of an image.

use polyarch_registry::audit::{Expectations, Finding};
use polyarch_registry::oci::media_type;
use polyarch_testkit::Specimen;
use polyarch_testkit::specimen::Part;
use serde_json::{Value, json};

use crate::specimens::Case;
use crate::{BOTH, audit_with, brief};

const RULES: [&str; 3] = ["client-cannot-read", "client-picks-another", "client-picks-nothing"];

pub(crate) fn specimens() -> Vec<Case> {
    vec![
        ("client-cannot-read", typed(media_type::OCI_LAYER_ZSTD), wanted("docker-20.10", &[])),
        ("client-picks-another", Specimen::healthy(&["linux/arm/v7", "linux/arm64"]), wanted("docker-20.10", &[])),
        ("client-picks-nothing", Specimen::healthy(&["linux/386"]), wanted("docker-20.10", &[])),
    ]
}

fn wanted(profile: &str, required: &[&str]) -> Expectations {
    Expectations {
        profiles: vec![profile.to_owned()],
        required_platforms: required.iter().map(|platform| platform.parse().unwrap()).collect(),
        ..Expectations::default()
    }
}

/// Gives the last layer of arm64 another type.
fn typed(media_type: &'static str) -> Specimen {
    Specimen::healthy(&BOTH).part(1, |part| part.manifest(move |manifest| set_type(manifest, media_type)))
}

fn set_type(manifest: &mut Value, media_type: &str) {
    manifest["layers"][1]["mediaType"] = json!(media_type);
}

/// Changes the entry of a platform.
fn entry(platforms: &[&str], number: usize, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Specimen {
    Specimen::healthy(platforms).part(number, |part| part.entry(edit))
}

/// What the rules about clients find.
async fn findings(specimen: &Specimen, wanted: Expectations) -> Vec<Finding> {
    let report = audit_with(&specimen.build().await, wanted, Default::default()).await;
    report.findings.into_iter().filter(|finding| RULES.contains(&finding.rule.as_str())).collect()
}

/// Platform and message of each.
fn messages(findings: &[Finding]) -> Vec<(&str, &str)> {
    findings.iter().map(|one| (one.platform.as_deref().unwrap_or("-"), one.message.as_str())).collect()
}

#[tokio::test]
async fn nobody_is_asked_without_a_profile_and_everybody_reads_what_is_healthy() {
    let odd = typed(media_type::DOCKER_LAYER_ZSTD);
    assert_eq!(brief(&findings(&odd, Expectations::default()).await), []);
    for profile in ["quay", "docker-20.10", "containerd-1.6", "strict"] {
        for specimen in [Specimen::healthy(&BOTH), Specimen::healthy(&BOTH).attested()] {
            assert_eq!(brief(&findings(&specimen, wanted(profile, &BOTH)).await), [], "{profile}");
        }
        let many = Specimen::healthy(&["linux/386", "linux/amd64", "linux/arm64", "linux/s390x"]);
        assert_eq!(brief(&findings(&many, wanted(profile, &[])).await), [], "{profile}");
    }
    let lone = Specimen::healthy(&BOTH).lone();
    assert_eq!(brief(&findings(&lone, wanted("lambda", &[])).await), []);
}

/// Each row was seen on the client itself, pulling such an index.
#[tokio::test]
async fn clients_choose_as_they_were_seen_to() {
    let nothing = "finds nothing; a current client takes";
    let rows: [(&str, &[&str], &str, Option<String>); 12] = [
        ("docker-20.10", &["linux/386"], "linux/amd64", Some(format!("Docker 20.10 {nothing} linux/386"))),
        ("docker-20.10", &["linux/386", "linux/amd64"], "linux/amd64", None),
        ("docker-20.10", &["linux/amd64/v2", "linux/amd64"], "linux/amd64/v2", None),
        ("docker-20.10", &["linux/amd64/v2"], "linux/amd64/v3", Some(format!("Docker 20.10 {nothing} linux/amd64/v2"))),
        ("docker-20.10", &["linux/arm/v5", "linux/arm/v7"], "linux/arm/v6", None),
        (
            "docker-20.10",
            &["linux/arm/v7"],
            "linux/arm/v6",
            Some("Docker 20.10 takes linux/arm/v7; a current client finds nothing".to_owned()),
        ),
        (
            "docker-20.10",
            &["linux/arm/v8"],
            "linux/arm/v7",
            Some("Docker 20.10 takes linux/arm/v8; a current client finds nothing".to_owned()),
        ),
        ("docker-20.10", &["linux/arm/v7"], "linux/arm64", Some(format!("Docker 20.10 {nothing} linux/arm/v7"))),
        ("docker-20.10", &["linux/arm64"], "linux/arm64/v9", Some(format!("Docker 20.10 {nothing} linux/arm64"))),
        ("containerd-1.6", &["linux/386"], "linux/amd64", None),
        ("containerd-1.6", &["linux/arm64"], "linux/arm64/v9", Some(format!("containerd 1.6 {nothing} linux/arm64"))),
        (
            "containerd-1.6",
            &["linux/arm/v7", "linux/arm64"],
            "linux/arm64/v9",
            Some("containerd 1.6 takes linux/arm/v7; a current client takes linux/arm64".to_owned()),
        ),
    ];
    for (profile, platforms, machine, want) in rows {
        let found = findings(&Specimen::healthy(platforms), wanted(profile, &[machine])).await;
        let got = found.iter().find(|one| one.platform.as_deref() == Some(machine)).map(|one| one.message.clone());
        assert_eq!(got, want, "{profile} {platforms:?} {machine}");
    }
}

#[tokio::test]
async fn what_is_required_or_listed_weighs_more_than_a_usual_machine() {
    let found = findings(&Specimen::healthy(&["linux/386"]), wanted("docker-20.10", &[])).await;
    assert_eq!(brief(&found), [("client-picks-nothing", "warning", "linux/amd64")]);
    let found = findings(&Specimen::healthy(&["linux/386"]), wanted("docker-20.10", &["linux/amd64"])).await;
    assert_eq!(brief(&found), [("client-picks-nothing", "error", "linux/amd64")]);
    let pair = ["linux/arm/v7", "linux/arm64"];
    let found = findings(&Specimen::healthy(&pair), wanted("docker-20.10", &[])).await;
    assert_eq!(brief(&found), [("client-picks-another", "info", "linux/arm/v6")]);
    let found = findings(&Specimen::healthy(&pair), wanted("docker-20.10", &["linux/arm/v6"])).await;
    assert_eq!(brief(&found), [("client-picks-another", "warning", "linux/arm/v6")]);
}

#[tokio::test]
async fn an_entry_of_no_platform_is_the_last_resort_of_some() {
    let unnamed = |platforms: &[&str]| {
        entry(platforms, 0, |entry| {
            entry.as_object_mut().unwrap().remove("platform");
        })
    };
    let found = findings(&unnamed(&["linux/amd64"]), wanted("docker-20.10", &[])).await;
    let want = "Docker 20.10 finds nothing; a current client takes linux/amd64";
    assert_eq!(messages(&found), [("linux/amd64", want)]);
    assert_eq!(brief(&findings(&unnamed(&["linux/amd64"]), wanted("containerd-1.6", &[])).await), []);
    // What is named comes first, even if it fits less well than nothing would.
    let both = unnamed(&["linux/386", "linux/amd64"]);
    assert_eq!(brief(&findings(&both, wanted("containerd-1.6", &["linux/amd64"])).await), []);
}

#[tokio::test]
async fn layers_are_read_by_type_and_compression() {
    let cases: [(&str, &str, &[&str]); 6] = [
        (media_type::OCI_LAYER_ZSTD, "docker-20.10", &["Docker 20.10 does not read 1 of 2 layers"]),
        (media_type::OCI_LAYER_ZSTD, "strict", &["the strictest client does not read 1 of 2 layers"]),
        (media_type::OCI_LAYER_ZSTD, "containerd-1.6", &[]),
        (media_type::OCI_LAYER_ZSTD, "quay", &[]),
        (media_type::DOCKER_LAYER_ZSTD, "containerd-1.6", &["containerd 1.6 does not read 1 of 2 layers"]),
        (media_type::DOCKER_LAYER, "quay", &["Quay does not read 1 of 2 layers"]),
    ];
    for (kind, profile, want) in cases {
        let found = findings(&typed(kind), wanted(profile, &[])).await;
        let want: Vec<String> = want.iter().map(|message| format!("{message}: {kind}")).collect();
        assert_eq!(found.iter().map(|one| one.message.clone()).collect::<Vec<_>>(), want, "{kind} {profile}");
        assert!(found.iter().all(|one| one.platform.as_deref() == Some("linux/arm64")));
    }
}

#[tokio::test]
async fn only_what_a_client_would_pull_is_looked_at() {
    // Nobody chooses the second entry of a platform.
    let twice = entry(&["linux/amd64", "linux/amd64"], 1, |_| ())
        .part(1, |part| part.manifest(|manifest| set_type(manifest, media_type::OCI_LAYER_ZSTD)));
    assert_eq!(brief(&findings(&twice, wanted("docker-20.10", &[])).await), []);
}

#[tokio::test]
async fn lambda_takes_one_manifest_of_its_platforms() {
    let found = findings(&Specimen::healthy(&BOTH), wanted("lambda", &[])).await;
    assert_eq!(messages(&found), [("-", "AWS Lambda takes a single manifest, not an index")]);
    // Attestations beside one platform have a rule of their own.
    let attested = Specimen::healthy(&["linux/amd64"]).attested();
    assert_eq!(brief(&findings(&attested, wanted("lambda", &[])).await), []);
    let lone = |platform: &'static str, change: fn(Part) -> Part| Specimen::healthy(&[platform]).part(0, change).lone();
    let found = findings(&lone("linux/s390x", |part| part), wanted("lambda", &[])).await;
    assert_eq!(messages(&found), [("linux/s390x", "AWS Lambda runs linux/amd64 and linux/arm64, not linux/s390x")]);
    let large = |part: Part| part.manifest(|manifest| manifest["layers"][0]["size"] = json!(11_u64 << 30));
    let found = findings(&lone("linux/arm64", large), wanted("lambda", &[])).await;
    assert_eq!(found.len(), 1);
    assert!(
        found[0].message.starts_with("AWS Lambda takes 10.7 GB at most; there are 11.8 GB"),
        "{}",
        found[0].message
    );
}

#[tokio::test]
async fn docker_20_10_knows_neither_nested_indexes_nor_other_cases() {
    let nested = Specimen::healthy(&BOTH).part(1, |part| {
        part.manifest(|manifest| {
            *manifest = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []});
        })
    });
    let found = findings(&nested, wanted("docker-20.10", &["linux/arm64"])).await;
    assert_eq!(messages(&found), [("linux/arm64", "Docker 20.10 does not look into an index within the index")]);
    assert_eq!(brief(&findings(&nested, wanted("containerd-1.6", &["linux/arm64"])).await), []);

    let upper = entry(&BOTH, 1, |entry| entry["platform"]["os"] = json!("Linux"));
    let found = findings(&upper, wanted("docker-20.10", &[])).await;
    assert_eq!(messages(&found), [("Linux/arm64", "the daemon of Docker 20.10 ends on the operating system Linux")]);
}

#[tokio::test]
async fn docker_20_10_takes_125_layers() {
    let with = |count: usize| {
        Specimen::healthy(&["linux/amd64"]).part(0, |part| {
            part.manifest(move |manifest| {
                let layer = manifest["layers"][1].clone();
                manifest["layers"] = vec![layer; count].into();
            })
        })
    };
    assert_eq!(brief(&findings(&with(125), wanted("docker-20.10", &[])).await), []);
    let found = findings(&with(126), wanted("docker-20.10", &[])).await;
    assert_eq!(messages(&found), [("linux/amd64", "Docker 20.10 takes 125 layers at most; there are 126")]);
    assert_eq!(brief(&findings(&with(126), wanted("containerd-1.6", &[])).await), []);
}

#[tokio::test]
async fn a_flood_of_platforms_is_tried_only_so_far() {
    let entries: Vec<Value> = (0..1500)
        .map(|number| {
            let platform = json!({"os": "linux", "architecture": format!("made-up-{number}")});
            let digest = format!("sha256:{number:064x}");
            json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 2, "platform": platform})
        })
        .collect();
    let flood = Specimen::healthy(&BOTH).index(move |index| {
        index["manifests"].as_array_mut().unwrap().extend(entries.clone());
    });
    assert_eq!(brief(&findings(&flood, wanted("docker-20.10", &[])).await), []);
}
