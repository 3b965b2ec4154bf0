//! Clients of the policy that take another child than current ones.

use crate::audit::choose::{choose, machines};
use crate::audit::facts::{Entry, ImageFacts};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::profile::{CURRENT, Choice, Profile};
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "client-picks-another",
    title: "a client of the policy takes another child of the index than a current one",
    severity: Severity::Warning,
    cost: Cost::Configs,
    group: Group::Platforms,
    evidence: &["moby/moby#41507", "containerd/containerd#2414"],
    explanation: "On 32-bit ARM, Docker 20.10 takes any variant if it finds none that fits, so that a Raspberry Pi of the first \
        series pulls a v7 program that it cannot run, where a current client says that there is nothing for it. containerd 1.6 \
        knows no older variants of 64-bit ARM and takes a 32-bit image instead. Tried for every platform that is required \
        or listed; for the usual machines besides, it is only worth knowing.",
    fix: "publish the platform the machine needs, so that no client has to choose",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    let Some(index) = facts.index() else { return };
    for profile in wanted.profiles.iter().filter_map(|name| Profile::named(name)) {
        if matches!(profile.choice, Choice::All | Choice::NoIndex) {
            continue;
        }
        for machine in machines(facts, wanted) {
            let Some(own) = choose(profile, index, &machine.platform) else { continue };
            let other = choose(&CURRENT, index, &machine.platform);
            if other.is_some_and(|other| std::ptr::eq(own, other)) || is_index(own) {
                continue;
            }
            let others = match other {
                Some(other) => format!("takes {}", name(other)),
                None => "finds nothing".to_owned(),
            };
            let severity = if machine.is_meant { Severity::Warning } else { Severity::Info };
            let message = format!("{} takes {}; {} {others}", profile.client, name(own), CURRENT.client);
            let place = Place { platform: Some(machine.platform), digest: None };
            profile.name.clone_into(&mut findings.add_as(severity, place, message).key);
        }
    }
}

/// An index it does not look into is what it cannot read.
fn is_index(entry: &Entry) -> bool {
    matches!(entry.node, crate::audit::facts::Node::Index(_))
}

fn name(entry: &Entry) -> String {
    let image = entry.platform_image().map(|image| image.platform());
    let platform = image.or_else(|| entry.descriptor.platform.clone());
    platform.map_or_else(|| entry.descriptor.digest.to_string(), |platform| platform.to_string())
}
