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
        not seen by clients that ask the API. Entries that are not there or about something else, and entries that the \
        API does not know, are warnings; that the tag lacks what the API lists is worth knowing, for old clients read only the tag.",
    fix: "attach what is missing again with a client that asks the API, and remove from the tag what is gone",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for (digest, found) in vouched::subjects(facts) {
        let Some(tagged) = &found.by_tag else { continue };
        let tag = fallback_tag(digest);
        let mut add = |severity, key: &str, message| {
            findings.add_as(severity, Place::digest(digest), message).key = key.to_owned();
        };
        for (key, list, one, many) in [
            ("gone", &found.missing, "is not there", "are not there"),
            ("foreign", &found.foreign, "is not about it", "are not about it"),
        ] {
            let listed: Vec<&Digest> =
                list.iter().filter(|digest| tagged.iter().any(|entry| entry.digest == **digest)).collect();
            if let Some(first) = listed.first() {
                let what = those(listed.len(), if listed.len() == 1 { one } else { many });
                add(Severity::Warning, key, format!("{tag} lists {what}, {first} first"));
            }
        }
        let Some(api) = &found.by_api else { continue };
        let unseen = missing_in(found.real(&found.by_tag), api);
        if let Some(first) = unseen.first() {
            let is_signed = unseen.iter().any(|entry| vouched::of_listed(found, entry).signature);
            let signed = if is_signed { ", a signature among them" } else { "" };
            let what = those(unseen.len(), "the referrers API does not list");
            add(Severity::Warning, "unseen", format!("{tag} lists {what}, {} first{signed}", first.digest));
        }
        let lacking = missing_in(found.real(&found.by_api), tagged);
        if let Some(first) = lacking.first() {
            let what = those(lacking.len(), "the referrers API lists");
            add(Severity::Info, "lacking", format!("{tag} lacks {what}, {} first", first.digest));
        }
    }
}

fn missing_in<'a>(list: impl Iterator<Item = &'a Descriptor>, other: &[Descriptor]) -> Vec<&'a Descriptor> {
    let known: HashSet<&Digest> = other.iter().map(|entry| &entry.digest).collect();
    list.filter(|entry| !known.contains(&entry.digest)).collect()
}

fn those(count: usize, what: &str) -> String {
    format!("{} that {what}", words::plural(count, "referrer"))
}
