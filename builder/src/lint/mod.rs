//! Mistakes that only show on some platforms, found before anything runs.
//!
//! Owns: the rules, each in a file of its own under `rules`, and what silences them. Pure: a Dockerfile and its plan for every
//! platform in, findings out. Never: a rule about style; BuildKit has its own.

mod config;
mod finding;
mod rules;
mod scan;
#[cfg(test)]
mod tests;

pub use config::{CheckConfig, RULE_ALL};
pub use finding::{Finding, Severity};

use crate::dockerfile::Dockerfile;
use crate::plan::{Plan, PlanInput};

/// One rule.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Stable name, as `# check=skip=` has it.
    pub id: &'static str,
    /// How bad what it finds is.
    pub severity: Severity,
    /// What it finds, in one line.
    pub summary: &'static str,
    check: fn(&Subject<'_>, &mut finding::Findings),
}

/// What rules look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) file: &'a Dockerfile,
    pub(crate) input: &'a PlanInput,
    pub(crate) plan: &'a Plan,
}

/// Returns every rule, by name.
pub fn rules() -> &'static [Rule] {
    &rules::ALL
}

/// Checks a Dockerfile and its plan for every platform. `skip` names rules besides those the file skips itself.
///
/// Findings come in the order of their places; one that several platforms have comes once.
pub fn check(file: &Dockerfile, input: &PlanInput, plan: &Plan, skip: &[String]) -> Vec<Finding> {
    let config = CheckConfig::of(file);
    let subject = Subject { file, input, plan };
    let mut all = Vec::new();
    for rule in rules::ALL.iter().filter(|rule| !config.skips(rule.id) && !is_skipped(skip, rule.id)) {
        let mut findings = finding::Findings::new(rule);
        (rule.check)(&subject, &mut findings);
        all.append(&mut findings.list);
    }
    all.sort_by(|a, b| (a.span, &a.rule).cmp(&(b.span, &b.rule)));
    all
}

/// Returns whether a list of names has a rule, in any case of letters, or `all`.
pub fn is_skipped(list: &[String], id: &str) -> bool {
    list.iter().any(|name| name.eq_ignore_ascii_case(id) || name.eq_ignore_ascii_case(RULE_ALL))
}
