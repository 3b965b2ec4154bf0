//! An index says one platform, the image another.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "platform-mismatch",
    title: "the platform in the index differs from the one in the image's configuration",
    severity: Severity::Error,
    cost: Cost::Configs,
    group: Group::Platforms,
    evidence: &[
        "docker-library/official-images#16859",
        "kubernetes-sigs/descheduler#1886",
        "coredns/coredns#3669",
        "docker/buildx#295",
        "distribution/distribution#3528",
    ],
    explanation: "Clients choose a child by the platform its index names, and then run it as what its configuration says. \
        Registries do not compare the two. A variant that only one of them names (arm64 and arm64/v8) is no finding, for \
        clients take them for the same.",
    fix: "build the image for the platform it is listed under, or correct its entry in the index",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for image in facts.platforms() {
        let (Some(named), Some(own)) = (&image.descriptor.platform, image.config_platform()) else { continue };
        let (a, b) = (named.normalize(), own.normalize());
        if named.architecture.is_empty() || a.same_as(&b) {
            continue;
        }
        let message = format!("the index says {named}, the configuration {own}");
        match (&a.os, &a.architecture) == (&b.os, &b.architecture) {
            true => findings.add_as(Severity::Warning, image.place(), message),
            false => findings.add(image.place(), message),
        };
    }
}
