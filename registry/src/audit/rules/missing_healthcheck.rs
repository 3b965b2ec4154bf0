//! Images without a health check.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "missing-healthcheck",
    title: "the image has no health check, which the policy requires",
    severity: Severity::Warning,
    cost: Cost::Configs,
    group: Group::Policy,
    evidence: &["CIS Docker Benchmark 4.6"],
    explanation: "A HEALTHCHECK tells Docker and Compose whether the service works; Kubernetes does not look at it. Asked only \
        where the policy says `require_healthcheck`. One that is switched off (HEALTHCHECK NONE) counts as none. Builders \
        that follow the OCI specification to the letter (buildah without --format docker) leave it out.",
    fix: "set HEALTHCHECK in the Dockerfile's last stage",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    if !wanted.require_healthcheck {
        return;
    }
    for image in facts.platforms() {
        let Some(config) = image.config else { continue };
        let test = config.run.healthcheck.as_ref().and_then(|check| check.get("Test")).and_then(|test| test.as_array());
        let kind = test.and_then(|test| test.first()).and_then(|kind| kind.as_str()).unwrap_or_default();
        match kind {
            "" => findings.add(image.place(), "no health check".to_owned()),
            "NONE" => findings.add(image.place(), "the health check is switched off".to_owned()),
            _ => continue,
        };
    }
}
