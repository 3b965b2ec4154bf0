//! What is missing, and what only could not be asked.

use polyarch_testkit::Specimen;
use polyarch_testkit::specimen::Lost;

use crate::{BOTH, audit, brief};

#[tokio::test]
async fn every_missing_child_is_listed_with_its_platform() {
    let specimen = Specimen::healthy(&["linux/amd64", "linux/arm64", "linux/riscv64"])
        .part(0, |part| part.lose(Lost::Manifest))
        .part(2, |part| part.lose(Lost::Manifest));
    let report = audit(&specimen).await;
    let error = |platform| ("dangling-child", "error", platform);
    assert_eq!(brief(&report.findings), [error("linux/amd64"), error("linux/riscv64")]);
    assert_eq!(report.unchecked, []);
}

#[tokio::test]
async fn a_missing_attestation_breaks_no_platform() {
    let report = audit(&Specimen::healthy(&BOTH).attested().part(3, |part| part.lose(Lost::Manifest))).await;
    assert_eq!(brief(&report.findings), [("dangling-child", "warning", "-")]);
}
