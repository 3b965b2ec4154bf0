//! 64-bit machines that get a 32-bit image.

use std::collections::BTreeSet;

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::Platform;

use super::words::listed;

pub(super) const RULE: Rule = Rule {
    id: "fallback-to-32-bit",
    title: "64-bit clients get a 32-bit image, because there is none of their own",
    severity: Severity::Info,
    cost: Cost::Manifests,
    group: Group::Platforms,
    evidence: &["containerd/containerd#2414"],
    explanation: "containerd and Docker give an arm64 machine an arm image, and an amd64 machine a 386 image, if there is \
        nothing better, without a word. Many such processors no longer run 32-bit programs (Apple's, Ampere's), so what is \
        pulled does not start. Only reported if the image has other platforms too: an image of one 32-bit platform is meant \
        to be one.",
    fix: "publish the 64-bit platform too",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for (descriptor, index) in facts.indexes() {
        let platforms = listed(index);
        let systems: BTreeSet<&str> = platforms.iter().map(|platform| &*platform.os).collect();
        for os in systems {
            for (architecture, sibling) in [("arm64", "arm"), ("amd64", "386")] {
                let client = Platform::new(os, architecture, None);
                let has =
                    |architecture: &str| platforms.iter().any(|one| one.os == os && one.architecture == architecture);
                let is_meant = platforms.iter().all(|one| one.os == os && one.architecture == sibling);
                if has(architecture) || is_meant {
                    continue;
                }
                let best = platforms.iter().filter_map(|one| Some((client.preference(one)?, one))).min();
                if let Some((_, other)) = best {
                    let message = format!("clients of {client} get {other}");
                    findings.add(Place::digest(&descriptor.digest), message).key = client.to_string();
                }
            }
        }
    }
}
