//! What an audit says.
//!
//! Owns: severities, findings, and what could not be checked. Pure.

use serde::{Deserialize, Serialize};

use super::rule::Rule;
use crate::oci::{Digest, Platform};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Wrong for some clients, or likely to become wrong.
    Warning,
    /// Broken, or wrong for somebody now.
    Error,
}

impl Severity {
    /// Every severity, mildest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Error];

    /// Returns its name, as it is written everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What in an image a finding is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// The platform; none if it is about the whole image.
    pub platform: Option<Platform>,
    /// Digest of the manifest or blob.
    pub digest: Option<Digest>,
}

impl Place {
    /// The image as a whole.
    pub fn image() -> Self {
        Self::default()
    }

    /// One platform's image.
    pub fn platform(platform: &Platform, digest: &Digest) -> Self {
        Self { platform: Some(platform.clone()), digest: Some(digest.clone()) }
    }

    /// A manifest or blob of no platform.
    pub fn digest(digest: &Digest) -> Self {
        Self { platform: None, digest: Some(digest.clone()) }
    }
}

/// One thing that is wrong. Texts hold what a registry said, and are not escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Id of the rule.
    pub rule: String,
    /// How bad it is, after the policy had its say.
    pub severity: Severity,
    /// The platform it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The manifest or blob it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What is wrong here.
    pub message: String,
    /// What to do about it here.
    pub fix: String,
    /// What tells findings of one rule in one platform apart, from one audit to the next: never a digest, which every build
    /// changes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// The reason of the waiver that silences it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<String>,
    /// Whether an earlier audit found it too; see [`super::baseline`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub known: bool,
}

impl Finding {
    /// Returns whether it counts: nobody waived it, and it is new.
    pub fn is_open(&self) -> bool {
        self.waived.is_none() && !self.known
    }
}

/// Something that could not be asked, which says nothing about the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unchecked {
    /// What was to be read: "manifest", "configuration", "layer", "referrers", "tags".
    pub what: String,
    /// Which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Why not.
    pub reason: String,
}

/// Most findings of one rule in one image: an index of two thousand entries is somebody's joke.
const MOST: usize = 100;

/// Longest text of a finding that comes from a registry, in bytes.
const TEXT: usize = 2048;

/// Returns a text of at most [`TEXT`] bytes.
pub(super) fn cut(mut text: String) -> String {
    if text.len() > TEXT {
        text.truncate(text.floor_char_boundary(TEXT));
        text.push('…');
    }
    text
}

/// Findings of one rule being made.
pub struct Findings {
    pub(super) rule: &'static Rule,
    pub(super) list: Vec<Finding>,
}

impl Findings {
    pub(super) fn new(rule: &'static Rule) -> Self {
        Self { rule, list: Vec::new() }
    }

    /// Returns what was found; of more than a reader reads or a report should hold, the first and how many more there are.
    pub(super) fn bounded(mut self) -> Vec<Finding> {
        let more = self.list.len().saturating_sub(MOST);
        if more > 0 {
            let worst = self.list.iter().map(|finding| finding.severity).max().unwrap_or(self.rule.severity);
            self.list.truncate(MOST);
            self.add_as(worst, Place::image(), format!("the same {more} times more in this image")).key =
                "more".to_owned();
        }
        self.list
    }

    /// Adds a finding of the rule's own severity.
    pub(crate) fn add(&mut self, place: Place, message: impl Into<String>) -> &mut Finding {
        self.add_as(self.rule.severity, place, message)
    }

    /// Adds a finding of another severity. What is returned takes another `fix` or a `key`.
    pub(crate) fn add_as(&mut self, severity: Severity, place: Place, message: impl Into<String>) -> &mut Finding {
        self.list.push(Finding {
            rule: self.rule.id.to_owned(),
            severity,
            platform: place.platform.map(|platform| cut(platform.to_string())),
            digest: place.digest,
            message: cut(message.into()),
            fix: self.rule.fix.to_owned(),
            key: String::new(),
            waived: None,
            known: false,
        });
        let last = self.list.len() - 1;
        &mut self.list[last]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_too_often_is_counted() {
        let Some(rule) = crate::audit::rule("dangling-child") else { panic!("there is no such rule") };
        let found = |count: usize| {
            let mut findings = Findings::new(rule);
            for number in 0..count {
                let severity = if number == MOST + 1 { Severity::Error } else { Severity::Info };
                findings.add_as(severity, Place::image(), "x");
            }
            findings.bounded()
        };
        assert_eq!(found(MOST).len(), MOST);
        let many = found(MOST + 7);
        assert_eq!(many.len(), MOST + 1);
        assert_eq!(
            (many[MOST].severity, many[MOST].message.as_str()),
            (Severity::Error, "the same 7 times more in this image")
        );
    }
}
