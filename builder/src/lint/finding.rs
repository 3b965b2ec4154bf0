//! What a rule found.

use polyarch_registry::oci::Platform;
use serde::Serialize;

use super::Rule;
use crate::dockerfile::Span;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The result is wrong, or there is none.
    Error,
    /// The result may be wrong, or takes needlessly long.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What repairs it, in one line.
    pub fix: Option<String>,
    /// Where.
    pub span: Span,
    /// Platforms it shows on; empty if on all.
    pub platforms: Vec<Platform>,
    /// A page about the rule, where it is not one of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// The findings of one rule.
#[derive(Debug)]
pub(crate) struct Findings {
    rule: &'static str,
    severity: Severity,
    pub(super) list: Vec<Finding>,
}

/// Most findings of one rule.
const MOST: usize = 1000;

impl Findings {
    pub(super) fn new(rule: &Rule) -> Self {
        Self { rule: rule.id, severity: rule.severity, list: Vec::new() }
    }

    /// Adds a finding that shows on every platform.
    pub(crate) fn add(&mut self, span: Span, message: String, fix: String) {
        self.add_for(span, message, fix, None);
    }

    /// Adds a finding of one platform; the same words at the same place are one finding.
    pub(crate) fn add_for(&mut self, span: Span, message: String, fix: String, platform: Option<&Platform>) {
        let same = self.list.iter_mut().rev().take(64).find(|known| known.span == span && known.message == message);
        if let Some(known) = same {
            known.platforms.extend(platform.filter(|platform| !known.platforms.contains(platform)).cloned());
        } else if self.list.len() < MOST {
            let platforms = platform.into_iter().cloned().collect();
            let (rule, severity, fix) = (self.rule.to_owned(), self.severity, Some(fix));
            self.list.push(Finding { rule, severity, message, fix, span, platforms, url: None });
        }
    }
}
