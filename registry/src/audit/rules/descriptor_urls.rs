//! Content that is said to be elsewhere.

use crate::audit::compare::brief;
use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::media_type::is_nondistributable;

use super::words::{and_more, place};

use super::embedded_data::within;

pub(super) const RULE: Rule = Rule {
    id: "descriptor-urls",
    title: "a descriptor names other places its content may be fetched from",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Format,
    evidence: &["CVE-2020-15157", "opencontainers/image-spec descriptor.md"],
    explanation: "`urls` send a client to any server whoever wrote the manifest likes, within the client's own network too. \
        Their one use was Windows' foreign layers, which have a rule of their own. polyarch does not follow them.",
    fix: "publish the image again without `urls`",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for entry in facts.entries() {
        let parts = within(entry).into_iter().filter(|one| !is_nondistributable(&one.media_type));
        let mut elsewhere = parts.filter_map(|one| Some((&one.digest, one.urls.first()?)));
        let Some((digest, url)) = elsewhere.next() else { continue };
        let message = format!("{digest} may be fetched from {}", brief(url));
        findings.add(place(entry), and_more(message, elsewhere.count()));
    }
}
