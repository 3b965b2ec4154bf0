//! Signatures that only some clients find.

use crate::audit::facts::{ImageFacts, ReferrerFacts};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::{vouched, words};
use crate::oci::Digest;

pub(super) const RULE: Rule = Rule {
    id: "hidden-signature",
    title: "signatures are there, and found in one way only",
    severity: Severity::Info,
    cost: Cost::Referrers,
    group: Group::Signed,
    evidence: &[
        "NVIDIA/cluster-readiness-engine#271",
        "artifact-keeper/artifact-keeper#3559",
        "OpenVoiceOS/ovos-docker#147",
        "sigstore/cosign#4564",
        "sigstore/cosign#4553",
        "fluxcd/flux-mirror#66",
    ],
    explanation: "A signature is found by the referrers API, by the tag `sha256-<digest>` that stands in for it, or by \
        cosign's tag `sha256-<digest>.sig`, and no client looks in all three places: notation and oras ask the first two, \
        cosign before version 3 the third. A mirror may copy one of them and not the others. Images then count as unsigned \
        for some, though somebody signed them. The report says in which way they were found. Signatures that the tag lists \
        and an existing API does not are told by stale-referrers-tag.",
    fix: "nothing, if all who verify look there; else sign with a client that writes what they read",
    check: Check::Image(check),
};

/// Where signatures were found, in words for one and for several.
const WAYS: [(&str, &str); 3] = [
    ("api", "by the referrers API"),
    ("tag", "by the tag that stands in for the referrers API"),
    ("cosign", "by cosign's tag (sha256-….sig)"),
];

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    let found: Vec<(&Digest, [bool; 3])> = vouched::subjects(facts)
        .into_iter()
        .filter(|(_, found)| !found.unchecked)
        .map(|(digest, found)| (digest, ways(found)))
        .filter(|(_, ways)| ways.iter().filter(|there| **there).count() == 1)
        .collect();
    for (number, (key, way)) in WAYS.into_iter().enumerate() {
        let of_way: Vec<&Digest> = found.iter().filter(|(_, ways)| ways[number]).map(|(digest, _)| *digest).collect();
        // The API is what all newer clients ask first.
        let Some(first) = of_way.first().filter(|_| key != "api") else { continue };
        let message = format!("signatures of {} are found only {way}", words::plural(of_way.len(), "manifest"));
        findings.add(Place::digest(first), message).key = key.to_owned();
    }
}

fn ways(found: &ReferrerFacts) -> [bool; 3] {
    let signs = |list| found.real(list).any(|entry| vouched::of_listed(found, entry).signature);
    let (api, tag) = (signs(&found.by_api), signs(&found.by_tag));
    // One that the tag has and an existing API has not is told elsewhere.
    let is_stale = tag && !api && found.by_api.is_some();
    [api, tag && !is_stale, !is_stale && found.cosign_tags.iter().any(|tag| tag.ends_with(".sig"))]
}
