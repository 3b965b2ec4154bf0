//! For every rule whose facts are manifests and configurations: an image it fires on, and nothing else does.

use std::collections::BTreeSet;

use polyarch_registry::audit::{Cost, Expectations, rules};
use polyarch_testkit::Specimen;

use crate::audit_with;

/// A rule, an image with its defect and no other, and what is expected of the image.
pub(crate) type Case = (&'static str, Specimen, Expectations);

/// A function for each file of tests.
#[rustfmt::skip]
const TABLES: &[fn() -> Vec<Case>] = &[
    crate::asked::specimens,
    crate::consistent::specimens,
    crate::format::specimens,
    crate::hygiene::specimens,
    crate::profiles::specimens,
    crate::variants::specimens,
];

/// Rules whose specimens are elsewhere: those of rules that need more than a store, or that are tried in their own files only.
#[rustfmt::skip]
const ELSEWHERE: &[&str] = &[
    "attestation-entries",
    "created-apart",
    "dangling-child",
    "dangling-tag",
    "digest-mismatch",
    "duplicate-platform",
    "expired-waiver",
    "missing-platform",
    "moved-tag",
    "orphan-attestation",
    "overwritten-tag",
    "platform-mismatch",
    "shared-base",
    "single-platform",
    "size-mismatch",
    "stale-platform",
    "unknown-platform",
    "unwanted-platform",
];

fn cases() -> Vec<Case> {
    TABLES.iter().flat_map(|table| table()).collect()
}

#[tokio::test]
async fn every_rule_fires_on_its_specimen_and_no_other_does() {
    for (id, specimen, wanted) in cases() {
        let report = audit_with(&specimen.build().await, wanted, Default::default()).await;
        let fired: BTreeSet<&str> = report.findings.iter().map(|finding| finding.rule.as_str()).collect();
        assert_eq!(fired.into_iter().collect::<Vec<_>>(), [id], "{:#?}", report.findings);
    }
}

#[test]
fn every_rule_has_a_specimen() {
    let have: BTreeSet<&str> = cases().iter().map(|(id, ..)| *id).chain(ELSEWHERE.iter().copied()).collect();
    let cheap = rules().iter().filter(|rule| rule.cost <= Cost::Configs);
    let without: Vec<&str> = cheap.map(|rule| rule.id).filter(|id| !have.contains(id)).collect();
    assert_eq!(without, Vec::<&str>::new(), "rules without a specimen");
    let known: BTreeSet<&str> = rules().iter().map(|rule| rule.id).collect();
    assert_eq!(have.difference(&known).collect::<Vec<_>>(), Vec::<&&str>::new(), "specimens of no rule");
}
