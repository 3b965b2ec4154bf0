//! A configuration that is none.

use crate::audit::compare::reason;
use crate::audit::facts::{ConfigFacts, ImageFacts};
use crate::audit::finding::{Findings, Severity};
use crate::audit::places::manifests;
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

use super::words::place;

pub(super) const RULE: Rule = Rule {
    id: "unreadable-config",
    title: "an image's configuration is not valid JSON of its type",
    severity: Severity::Error,
    cost: Cost::Configs,
    group: Group::Format,
    evidence: &["opencontainers/image-spec config.md"],
    explanation: "The configuration says which platform an image is for, which layers it has and what it runs. Without it no \
        client starts the image. It must be JSON with `architecture`, `os` and a `rootfs` of the type `layers`. A warning \
        if it is an attestation's, which nobody runs.",
    fix: "build and publish the platform again",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for (entry, manifest) in manifests(facts) {
        let ConfigFacts::Unusable(why) = &manifest.config else { continue };
        let severity = if entry.platform_image().is_some() { Severity::Error } else { Severity::Warning };
        findings.add_as(severity, place(entry), reason(why));
    }
}
