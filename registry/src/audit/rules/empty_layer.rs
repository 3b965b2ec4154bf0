//! Layers with nothing in them.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::Digest;

use super::words::some_are;

pub(super) const RULE: Rule = Rule {
    id: "empty-layer",
    title: "layers are empty: each costs a request and a mount, for nothing",
    severity: Severity::Info,
    cost: Cost::Configs,
    group: Group::Format,
    evidence: &["docker/buildx#1910"],
    explanation: "BuildKit makes a layer of every RUN, COPY and WORKDIR, even if it changes nothing. An empty layer has some \
        hundred bytes; clients still ask for it, unpack it and mount it. Known by its diff_id, that of an empty tar, \
        whatever its compression.",
    fix: "leave out the steps that do nothing, or join them with others",
    check: Check::Image(check),
};

/// An archive without entries ends at once: two blocks of zeros.
const EMPTY_TAR: [u8; 1024] = [0; 1024];

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    let empty = Digest::sha256(EMPTY_TAR);
    for image in facts.platforms() {
        let Some(config) = image.config else { continue };
        let ids = &config.view.rootfs.diff_ids;
        let count = ids.iter().filter(|id| **id == empty).count();
        if count > 0 {
            findings.add(image.place(), format!("{} empty", some_are(count, ids.len())));
        }
    }
}
