//! A mirror that is not what its source is.

use crate::audit::facts::{Difference, RepositoryFacts};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::words;

pub(super) const RULE: Rule = Rule {
    id: "mirror-differs",
    title: "a tag of the mirror is missing, or is not what it is at the source",
    severity: Severity::Error,
    cost: Cost::Elsewhere,
    group: Group::Complete,
    evidence: &[
        "openshift/oc-mirror#1338",
        "openshift/oc-mirror#1467",
        "goharbor/harbor#15310",
        "goharbor/harbor#20920",
        "goharbor/harbor#21818",
        "containers/skopeo#1994",
    ],
    explanation: "With `--mirror-of REPO` the audited repository is compared with REPO, by digests alone. A tag that the \
        mirror lacks, one that leads elsewhere, and one whose index lacks platforms of the source are errors: clients of \
        the mirror run something else, or nothing. With `--referrers`, signatures and SBOMs of the source that the mirror \
        lacks are warnings, for the image is there but does not verify. Tags that only the mirror has are no finding; an \
        index that names a child the mirror does not have is told by dangling-child.",
    fix: "copy the tag again, byte for byte and with all platforms (`polyarch copy`)",
    check: Check::Repository(check),
};

fn check(facts: &RepositoryFacts, _: &Expectations, findings: &mut Findings) {
    let Some(mirror) = &facts.mirror else { return };
    let source = &mirror.source;
    for (tag, difference) in &mirror.different {
        let (severity, digest, message) = match difference {
            Difference::Missing { there } => {
                (Severity::Error, there, format!("tag {tag} is missing; at {source} it leads to {there}"))
            }
            Difference::Other { here, there } => {
                (Severity::Error, here, format!("tag {tag} leads to {here}, at {source} to {there}"))
            }
            Difference::Lacking { here, platforms, .. } => {
                (Severity::Error, here, format!("tag {tag} lacks {}, which {source} has", platforms.join(", ")))
            }
            Difference::Referrers { of, lost } => {
                let count = words::plural(lost.len(), "referrer");
                let first = lost.first().unwrap_or(of);
                (Severity::Warning, of, format!("tag {tag} lacks {count} that {source} has, {first} first"))
            }
            Difference::Rewrapped { .. } => continue,
        };
        findings.add_as(severity, Place::digest(digest), message).key = tag.clone();
    }
}
