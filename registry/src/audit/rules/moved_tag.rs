//! Tags that moved.

use crate::audit::facts::{RepositoryFacts, Since};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "moved-tag",
    title: "a tag leads elsewhere than it did",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Drift,
    evidence: &["nfrastack/db-backup#575"],
    explanation: "Between two reads of a mutable tag somebody may have pushed: what was checked is then not what is \
        pulled. With `--recheck-tags` each tag is asked for again at the end of the audit, and one that has moved meanwhile is a \
        warning, for its findings are about what it was. With `--unmoved-since` an earlier report says where tags have to \
        lead, and another digest, or a tag that is gone, is an error.",
    fix: "audit the tag again; pin digests where a tag must not move",
    check: Check::Repository(check),
};

fn check(facts: &RepositoryFacts, _: &Expectations, findings: &mut Findings) {
    for moved in &facts.moved {
        let (severity, when) = match moved.since {
            Since::Audit => (Severity::Warning, "when it was read"),
            Since::Report => (Severity::Error, "in the earlier report"),
        };
        let now = match &moved.to {
            Some(to) => format!("leads to {to} now"),
            None => "is gone".to_owned(),
        };
        let message = format!("tag {} {now}, and led to {} {when}", moved.tag, moved.from);
        findings.add_as(severity, Place::digest(moved.to.as_ref().unwrap_or(&moved.from)), message).key =
            moved.tag.clone();
    }
}
