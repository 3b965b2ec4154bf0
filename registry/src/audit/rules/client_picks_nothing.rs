//! Clients of the policy that find nothing where others do.

use crate::audit::choose::{choose, machines};
use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::profile::{CURRENT, Choice, Profile};
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "client-picks-nothing",
    title: "a client of the policy finds nothing in the index where a current one does",
    severity: Severity::Error,
    cost: Cost::Configs,
    group: Group::Platforms,
    evidence: &["moby/moby#41507", "containerd/containerd#2414", "docker/buildx#1652"],
    explanation: "Older clients choose more narrowly: Docker 20.10 takes its very platform, no 386 on amd64, no 32-bit image on \
        arm64, no entry without a platform, and does not look into an index within the index. Each profile that the policy \
        names is tried for every platform that is required or listed: finding nothing there is an error. It is also tried for \
        the usual machines of these architectures, where it is a warning. Where a current client finds nothing either, \
        that is other rules' business.",
    fix: "list every platform in the index itself, with its name, for the machines that shall run it",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    let Some(index) = facts.index() else { return };
    for profile in wanted.profiles.iter().filter_map(|name| Profile::named(name)) {
        if matches!(profile.choice, Choice::All | Choice::NoIndex) {
            continue;
        }
        for machine in machines(facts, wanted) {
            let Some(other) = choose(&CURRENT, index, &machine.platform) else { continue };
            if choose(profile, index, &machine.platform).is_some() {
                continue;
            }
            let severity = if machine.is_meant { Severity::Error } else { Severity::Warning };
            let name = other.platform_image().map(|image| image.platform().to_string());
            let name = name.unwrap_or_else(|| other.descriptor.digest.to_string());
            let message = format!("{} finds nothing; {} takes {name}", profile.client, CURRENT.client);
            let place = Place { platform: Some(machine.platform), digest: None };
            profile.name.clone_into(&mut findings.add_as(severity, place, message).key);
        }
    }
}
