//! Whether the platforms are what they are listed as.

use polyarch_testkit::Specimen;
use serde_json::json;

use crate::{BOTH, audit, brief};

#[tokio::test]
async fn an_entry_may_not_name_another_platform_than_the_configuration() {
    let wrong = Specimen::healthy(&BOTH).part(1, |part| part.config(|config| config["architecture"] = json!("amd64")));
    assert_eq!(brief(&audit(&wrong).await.findings), [("platform-mismatch", "error", "linux/arm64")]);
    let variant =
        Specimen::healthy(&["linux/arm/v6"]).part(0, |part| part.config(|config| config["variant"] = json!("v7")));
    assert_eq!(brief(&audit(&variant).await.findings), [("platform-mismatch", "warning", "linux/arm/v6")]);
}

#[tokio::test]
async fn names_of_one_platform_are_no_mismatch() {
    let v8 = Specimen::healthy(&BOTH).part(1, |part| part.config(|config| config["variant"] = json!("v8")));
    assert_eq!(brief(&audit(&v8).await.findings), []);
}
