//! Platforms that were built from different sources.

use indexmap::IndexMap;

use crate::audit::facts::{ImageFacts, PlatformImage};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::{times, words};

pub(super) const RULE: Rule = Rule {
    id: "stale-platform",
    title: "a platform is of another revision or version than the others",
    severity: Severity::Error,
    cost: Cost::Configs,
    group: Group::Drift,
    evidence: &[
        "DerOetzi/solaredge2mqtt#433",
        "docker/cli#954",
        "moby/moby#39767",
        "blinklabs-io/docker-cardano-node#354",
        "estesp/manifest-tool#64",
    ],
    explanation: "An index that is put together from tags of single platforms takes what those tags lead to at that \
        moment: if one job failed or was late, that is the release before. `docker manifest` keeps such lists on disk and \
        pushes them again. The labels org.opencontainers.image.revision, version and source tell: another revision is an \
        error, another version or source a warning. A platform without the label says nothing. Labels that come from a \
        base, because the image sets none of its own, tell of the base.",
    fix: "build all platforms from one revision, and put the index together by digests, not by tags",
    check: Check::Image(check),
};

/// Labels that must be equal, and how bad it is if they are not.
const LABELS: [(&str, &str, Severity); 3] = [
    ("revision", "org.opencontainers.image.revision", Severity::Error),
    ("version", "org.opencontainers.image.version", Severity::Warning),
    ("source", "org.opencontainers.image.source", Severity::Warning),
];

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    let images = facts.platforms();
    for (name, key, severity) in LABELS {
        let mut groups: IndexMap<&str, Vec<&PlatformImage<'_>>> = IndexMap::new();
        for image in &images {
            if let Some(value) = image.annotation(key).filter(|value| !value.is_empty()) {
                groups.entry(value).or_default().push(image);
            }
        }
        let Some((good, others)) = groups.iter().max_by(|a, b| standing(a.1).cmp(&standing(b.1))) else { continue };
        for (value, stale) in groups.iter().filter(|(value, _)| *value != good) {
            for image in stale {
                let message = format!("{name} {}; {} {} {}", cut(value), words::names(others), be(others), cut(good));
                findings.add_as(severity, image.place(), message).key = name.to_owned();
            }
        }
    }
}

/// Most platforms, or else the newest, are taken for what was meant.
fn standing(images: &[&PlatformImage<'_>]) -> (usize, Option<time::OffsetDateTime>) {
    (images.len(), images.iter().filter_map(|image| times::created(image)).max())
}

fn be(images: &[&PlatformImage<'_>]) -> &'static str {
    if images.len() == 1 { "is of" } else { "are of" }
}

/// Values are anybody's text, and a revision is known by its beginning.
fn cut(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
