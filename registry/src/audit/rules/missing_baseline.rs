//! An architecture of which only the newer machines are served.

use std::collections::BTreeSet;

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::Platform;

use super::words::listed;

pub(super) const RULE: Rule = Rule {
    id: "missing-baseline",
    title: "an architecture is there for newer machines only: most clients find nothing",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Platforms,
    evidence: &["docker/buildx#1652", "containers/image#898"],
    explanation: "A client takes its own variant or an older one. An index with amd64/v3 and no plain amd64 has nothing for a \
        client that says amd64, as almost all do whatever their processor; neither has arm64/v9 for arm64, or arm/v8 for \
        arm/v7. An index without an architecture at all is no finding, nor is arm/v7 without v6 or v5.",
    fix: "publish the plain architecture beside the newer variant",
    check: Check::Image(check),
};

/// What nearly every machine of an architecture calls itself.
const BASELINES: [(&str, Option<&str>); 3] = [("amd64", None), ("arm64", None), ("arm", Some("v7"))];

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for (descriptor, index) in facts.indexes() {
        let platforms = listed(index);
        let systems: BTreeSet<&str> = platforms.iter().map(|platform| &*platform.os).collect();
        for os in systems {
            for (architecture, variant) in BASELINES {
                let baseline = Platform::new(os, architecture, variant);
                let own: Vec<&Platform> =
                    platforms.iter().filter(|one| one.os == os && one.architecture == architecture).collect();
                // Windows' versions are another matter.
                let serves = |one: &&Platform| baseline.runs(&Platform { os_version: None, ..(*one).clone() });
                if own.is_empty() || own.iter().any(serves) {
                    continue;
                }
                let names: Vec<String> = own.iter().map(ToString::to_string).collect();
                let message = match platforms.iter().filter_map(|one| Some((baseline.preference(one)?, one))).min() {
                    Some((_, other)) => format!("clients of {baseline} get {other}, not {}", names.join(" or ")),
                    None => format!("clients of {baseline} find nothing, only {}", names.join(" and ")),
                };
                findings.add(Place::digest(&descriptor.digest), message).key = baseline.to_string();
            }
        }
    }
}
