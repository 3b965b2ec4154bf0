//! The tag that lists referrers says something else than what is there.

use std::collections::HashSet;

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::{vouched, words};
use crate::client::fallback_tag;
use crate::oci::{Descriptor, Digest};

pub(super) const RULE: Rule = Rule {
    id: "stale-referrers-tag",
    title: "the tag that lists what refers to a manifest is not up to date",
    severity: Severity::Warning,
    cost: Cost::Referrers,
    group: Group::Signed,
    evidence: &[
        "google/go-containerregistry#2205",
        "google/go-containerregistry#2209",
        "regclient/regclient#427",
        "sigstore/sigstore-js#1183",
        "aws/containers-roadmap#2783",
    ],
    explanation: "Where a registry has no referrers API, clients keep the list in a tag `sha256-<digest>`. Two that write at \
        once lose entries; cleanup removes what is listed; and once the registry gets the API, what only the tag lists is \
        not seen by clients that ask the API. Entries that are not there, and entries that the API does not know, are \
        warnings; that the tag lacks what the API lists is worth knowing, for old clients read only the tag.",
    fix: "attach what is missing again with a client that asks the API, and remove from the tag what is gone",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for (digest, found) in vouched::subjects(facts) {
        let Some(tagged) = &found.by_tag else { continue };
        let tag = fallback_tag(digest);
        let gone: Vec<&Digest> =
            found.missing.iter().filter(|gone| tagged.iter().any(|entry| entry.digest == **gone)).collect();
        if let Some(first) = gone.first() {
            let message = format!(
                "{tag} lists {}, {first} first",
                those(gone.len(), if gone.len() == 1 { "is not there" } else { "are not there" })
            );
            findings.add(Place::digest(digest), message).key = "gone".to_owned();
        }
        let Some(api) = &found.by_api else { continue };
        let unseen = missing_in(tagged, api, &found.missing);
        if let Some(first) = unseen.first() {
            let what = those(unseen.len(), "the referrers API does not list");
            let signed = if unseen.iter().any(|entry| vouched::of_listed(found, entry).signature) {
                ", a signature among them"
            } else {
                ""
            };
            let message = format!("{tag} lists {what}, {} first{signed}", first.digest);
            findings.add(Place::digest(digest), message).key = "unseen".to_owned();
        }
        let lacking = missing_in(api, tagged, &found.missing);
        if let Some(first) = lacking.first() {
            let what = those(lacking.len(), "the referrers API lists");
            let message = format!("{tag} lacks {what}, {} first", first.digest);
            findings.add_as(Severity::Info, Place::digest(digest), message).key = "lacking".to_owned();
        }
    }
}

fn missing_in<'a>(list: &'a [Descriptor], other: &[Descriptor], gone: &[Digest]) -> Vec<&'a Descriptor> {
    let known: HashSet<&Digest> = other.iter().map(|entry| &entry.digest).chain(gone).collect();
    list.iter().filter(|entry| !known.contains(&entry.digest)).collect()
}

fn those(count: usize, what: &str) -> String {
    format!("{} that {what}", words::plural(count, "referrer"))
}
