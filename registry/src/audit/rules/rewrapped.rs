//! An image that was put into another index.

use crate::audit::facts::{Difference, RepositoryFacts};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "rewrapped-image",
    title: "a tag has the images of its source under another digest",
    severity: Severity::Error,
    cost: Cost::Elsewhere,
    group: Group::Signed,
    evidence: &["XBP-Europe/sagemath-mcp#131", "ahliweb/awcms#749", "MorganKryze/cairn#64"],
    explanation: "`docker buildx imagetools create` writes a new index even around a single manifest, and drops or adds \
        annotations. The platforms are the same, but the digest that the tag leads to is new: signatures and attestations \
        of the old one do not hold for it, and whoever pinned it does not find it. Asked with `--mirror-of REPO`.",
    fix: "copy the tag byte for byte (`polyarch copy`), or sign the new digest",
    check: Check::Repository(check),
};

fn check(facts: &RepositoryFacts, _: &Expectations, findings: &mut Findings) {
    let Some(mirror) = &facts.mirror else { return };
    for (tag, difference) in &mirror.different {
        let Difference::Rewrapped { here, there } = difference else { continue };
        let message = format!("tag {tag} has the images of {}, but leads to {here}, not {there}", mirror.source);
        findings.add(Place::digest(here), message).key = tag.clone();
    }
}
