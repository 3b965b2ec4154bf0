//! A tag is listed, but leads nowhere.

use crate::audit::finding::{Finding, Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "dangling-tag",
    title: "the registry lists a tag that it does not have",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Complete,
    evidence: &["distribution/distribution#3178", "distribution/distribution#2914"],
    explanation: "Removing a manifest, or collecting garbage while an image is pushed, can take away what a tag leads to and \
        leave the tag. It is listed, and every pull of it fails. A tag that somebody removed while the audit ran is no longer \
        listed when the registry is asked again, and is not reported.",
    fix: "push the image again, or remove the tag",
    // There are no facts of an image that is not there: whoever lists the tags finds out.
    check: Check::Image(|_, _, _| ()),
};

/// Returns the finding, as the policy wants it.
pub(in crate::audit) fn found(expected: &Expectations) -> Vec<Finding> {
    let mut findings = Findings::new(&RULE);
    findings.add(Place::image(), "the tag is listed, but there is nothing behind it");
    expected.apply(&mut findings.list);
    findings.list
}
