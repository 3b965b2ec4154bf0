//! Platforms that were built at different times.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::times;

pub(super) const RULE: Rule = Rule {
    id: "created-apart",
    title: "a platform was created long before the others",
    severity: Severity::Warning,
    cost: Cost::Configs,
    group: Group::Drift,
    evidence: &["DerOetzi/solaredge2mqtt#436", "docker/cli#954", "estesp/manifest-tool#141"],
    explanation: "Platforms of one build are created within hours. One that is older by more than the policy's \
        `created-spread` (a day, if it says nothing) was most likely not built this time: its tag was taken as it was. \
        Reproducible builds set the time to the commit's or to zero: equal times and times before 1980 tell nothing.",
    fix: "build the platform again, and put the index together by digests, not by tags",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    let images = facts.platforms();
    let times: Vec<_> = images.iter().filter_map(|image| Some((image, times::created(image)?))).collect();
    let Some((newest, last)) = times.iter().max_by_key(|(_, time)| *time) else { return };
    for (image, time) in &times {
        let apart = *last - *time;
        if apart > wanted.created_spread {
            let message = format!("it was created {} before {}", times::span(apart), newest.platform());
            findings.add(image.place(), message);
        }
    }
}
