//! A waiver whose day is over.

use crate::audit::finding::Severity;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "expired-waiver",
    title: "the policy waives a finding until a day that is over",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Policy,
    evidence: &[],
    explanation: "A waiver of the policy says why a finding is accepted, and until when. After that day it silences nothing: the \
        finding counts again, and this one stands beside it. A waiver that is about no finding at all is told on stderr instead.",
    fix: "correct what was waived, or give the waiver another day and a reason that still holds",
    // Found where waivers are applied, after all rules.
    check: Check::Image(|_, _, _| ()),
};
