//! Files that give whoever runs or writes them more than he has.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::layer::Oddity;
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::layers;

pub(super) const RULE: Rule = Rule {
    id: "privileged-files",
    title: "a layer has files that everybody may change, or that run with more rights than their user's",
    severity: Severity::Warning,
    cost: Cost::Layers,
    group: Group::Layers,
    evidence: &[],
    explanation: "Whoever gets into a container as a user looks for what makes him more: set-user-ID programs, capabilities, and \
        files that everybody may change. Every distribution has some of the former, so they are only mentioned. Directories \
        with the sticky bit, such as /tmp, are none.",
    fix: "take the rights away (`chmod a-s`, `chmod o-w`) in the step that makes the files, or run without new privileges",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for layer in layers::read(facts) {
        layer.oddities(
            findings,
            &[
                (Severity::Warning, Oddity::WorldWritable, "everybody may change"),
                (Severity::Info, Oddity::Setuid, "run as their owner"),
                (Severity::Info, Oddity::Setgid, "run as their group"),
                (Severity::Info, Oddity::Capability, "have capabilities"),
            ],
        );
    }
}
