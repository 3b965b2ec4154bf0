//! Attestations in an index.

use polyarch_registry::audit::{Expectations, Scope};
use polyarch_registry::oci::Digest;
use polyarch_registry::oci::index_builder::{REFERENCE_DIGEST, REFERENCE_TYPE};
use polyarch_testkit::Specimen;
use serde_json::{Value, json};

use crate::{BOTH, audit, audit_with, brief};

fn spoilt(edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Specimen {
    Specimen::healthy(&BOTH).attested().part(2, |part| part.entry(edit))
}

#[tokio::test]
async fn an_attestation_is_about_an_image_of_its_index() {
    let elsewhere = spoilt(|entry| entry["annotations"][REFERENCE_DIGEST] = json!(Digest::sha256("another")));
    let report = audit(&elsewhere).await;
    assert_eq!(brief(&report.findings), [("orphan-attestation", "error", "-")]);
    assert!(report.findings[0].message.ends_with("which is not in the index"), "{}", report.findings[0].message);
    for (value, want) in [(json!("sha256:x"), "is no digest"), (Value::Null, "does not say what it is about")] {
        let odd = spoilt(move |entry| {
            let annotations = entry["annotations"].as_object_mut().unwrap();
            annotations.remove(REFERENCE_DIGEST);
            if value.is_string() {
                annotations.insert(REFERENCE_DIGEST.to_owned(), value.clone());
            }
        });
        let report = audit(&odd).await;
        assert_eq!(brief(&report.findings), [("orphan-attestation", "error", "-")]);
        assert!(report.findings[0].message.contains(want), "{}", report.findings[0].message);
    }
}

#[tokio::test]
async fn leaving_a_platform_out_orphans_its_attestation() {
    let mut specimen = Specimen::healthy(&BOTH).attested();
    // The attestation of what is now gone.
    specimen.parts.remove(1);
    let specimen = specimen.index(|index| {
        let about = json!(Digest::sha256("arm64"));
        index["manifests"][2]["annotations"][REFERENCE_DIGEST] = about;
    });
    assert_eq!(brief(&audit(&specimen).await.findings), [("orphan-attestation", "error", "-")]);
}

#[tokio::test]
async fn an_entry_of_no_platform_should_say_what_it_is() {
    let unmarked = spoilt(|entry| {
        entry["annotations"].as_object_mut().unwrap().remove(REFERENCE_TYPE);
    });
    assert_eq!(brief(&audit(&unmarked).await.findings), [("unknown-platform", "info", "-")]);
}

#[tokio::test]
async fn attestations_are_a_finding_for_lambda_only() {
    let lambda = Expectations { profiles: vec!["lambda".to_owned()], ..Expectations::default() };
    let of =
        async |specimen: Specimen| audit_with(&specimen.build().await, lambda.clone(), Scope::default()).await.findings;
    let found: Vec<_> = of(Specimen::healthy(&BOTH).attested())
        .await
        .into_iter()
        .filter(|one| one.rule == "attestation-entries")
        .collect();
    assert_eq!(brief(&found), [("attestation-entries", "error", "-")]);
    assert_eq!(found[0].message, "2 entries are attestations, which AWS Lambda refuses");
    assert!(of(Specimen::healthy(&BOTH)).await.iter().all(|one| one.rule != "attestation-entries"));
    assert_eq!(audit(&Specimen::healthy(&BOTH).attested()).await.findings, []);
}
