//! `# check=skip=RULE,RULE;error=true`, as BuildKit spells it (`linter/linter.go`, `ParseLintOptions`).

use crate::dockerfile::Dockerfile;

/// Name that means every rule.
pub const RULE_ALL: &str = "all";

/// What a Dockerfile says about checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckConfig {
    /// Rules it skips.
    pub skip: Vec<String>,
    /// Findings fail the build.
    pub is_error: bool,
}

impl CheckConfig {
    /// Reads the directive; fields that mean nothing are left to BuildKit to refuse.
    pub fn of(file: &Dockerfile) -> Self {
        let mut config = Self::default();
        for field in file.directives.check.as_deref().unwrap_or("").split(';') {
            match field.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
                Some(("skip", list)) => config.skip.extend(list.split(',').map(|rule| rule.trim().to_owned())),
                Some(("error", value)) => config.is_error = value.eq_ignore_ascii_case("true") || value == "1",
                _ => {}
            }
        }
        config
    }

    /// Returns whether a rule is skipped.
    pub fn skips(&self, id: &str) -> bool {
        super::is_skipped(&self.skip, id)
    }
}
