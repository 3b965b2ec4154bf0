//! Every rule on its defect, on everything healthy around it, and on the defects of the others.

#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in test functions; these are their helpers")]

mod asked;
mod attested;
mod bases;
mod binaries;
mod blobs;
mod consistent;
mod corpus;
mod drift;
mod faults;
mod format;
mod hygiene;
mod inventory;
mod layers;
mod listed;
mod mirrors;
mod platforms;
mod policy;
mod presence;
mod profiles;
mod published;
mod real;
mod report;
mod repository;
mod requests;
mod resume;
mod shared;
mod signed;
mod specimens;
mod variants;

use std::sync::Arc;

use polyarch_registry::audit::{Auditor, Expectations, Finding, ImageReport, Job, Policy, Scope};
use polyarch_registry::client::{Config, Registry};
use polyarch_registry::verify::{ContentSource, StoreSource};
use polyarch_testkit::Specimen;
use polyarch_testkit::specimen::Built;

/// Audits a specimen with everything that costs more than manifests and configurations turned off.
async fn audit(specimen: &Specimen) -> ImageReport {
    audit_with(&specimen.build().await, Expectations::default(), Scope::default()).await
}

/// Audits what was built.
async fn audit_with(built: &Built, wanted: Expectations, scope: Scope) -> ImageReport {
    audit_source(Arc::new(StoreSource(built.store.clone())), built, wanted, scope).await
}

/// Audits what was built, read from elsewhere.
async fn audit_source(
    source: Arc<dyn ContentSource>,
    built: &Built,
    wanted: Expectations,
    scope: Scope,
) -> ImageReport {
    run_source(source, built, Policy::of(wanted), scope).await
}

/// Audits what was built with a whole policy.
async fn run(built: &Built, policy: Policy, scope: Scope) -> ImageReport {
    run_source(Arc::new(StoreSource(built.store.clone())), built, policy, scope).await
}

async fn run_source(source: Arc<dyn ContentSource>, built: &Built, policy: Policy, scope: Scope) -> ImageReport {
    let auditor = Auditor::new(Registry::new(Config::default()), None, policy, scope);
    let roots = vec![(Some("1".to_owned()), built.root.clone())];
    let job = Job::Local { repository: "oci:specimen".to_owned(), source, roots };
    let mut report = auditor.run(vec![job], &|_| ()).await;
    report.images.pop().unwrap()
}

/// Rule, severity and platform of each finding, in the report's order.
fn brief(findings: &[Finding]) -> Vec<(&str, &str, &str)> {
    findings
        .iter()
        .map(|one| (one.rule.as_str(), one.severity.name(), one.platform.as_deref().unwrap_or("-")))
        .collect()
}

const BOTH: [&str; 2] = ["linux/amd64", "linux/arm64"];

#[tokio::test]
async fn nothing_is_found_in_what_is_healthy() {
    let healthy = [
        Specimen::healthy(&BOTH),
        Specimen::healthy(&BOTH).attested(),
        Specimen::healthy(&["linux/amd64", "linux/arm64", "linux/arm/v6", "linux/arm/v7", "linux/riscv64"]),
    ];
    for specimen in healthy {
        let report = audit(&specimen).await;
        assert_eq!((report.findings, report.unchecked), (vec![], vec![]));
    }
}
