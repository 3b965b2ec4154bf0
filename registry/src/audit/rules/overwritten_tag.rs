//! A tag of one platform among those of several.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use crate::audit::facts::{RepositoryFacts, TagFacts};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::times;

pub(super) const RULE: Rule = Rule {
    id: "overwritten-tag",
    title: "a tag has one platform, while tags like it before have several",
    severity: Severity::Warning,
    cost: Cost::Configs,
    group: Group::Platforms,
    evidence: &[
        "midnightntwrk/midnight-indexer#1389",
        "akitaonrails/ai-memory#427",
        "czlonkowski/n8n-mcp#328",
        "OwlCaribou/swurApp#19",
        "IBM/core-dump-handler#88",
    ],
    explanation: "When jobs of several platforms push to one tag, the last one wins; a release that was pulled, tagged and \
        pushed again with docker has one platform left. Such a tag stands out: it leads to a single manifest, though tags of \
        its kind were indexes before, and most still are. Tags are of a kind if they differ in their numbers only, so that \
        `1.4-cuda` is not compared with `1.4`; tags that name an architecture or a system are meant to have one platform. \
        Asked where all tags of a repository are audited.",
    fix: "push an index of all platforms to the tag, and let one job alone move it",
    check: Check::Repository(check),
};

/// Words in tags that are meant for one platform.
const NAMES: [&str; 24] = [
    "386",
    "amd64",
    "x86",
    "x64",
    "arm",
    "armv5",
    "armv6",
    "armv7",
    "armhf",
    "armel",
    "arm64",
    "arm64v8",
    "arm32v5",
    "arm32v6",
    "arm32v7",
    "aarch64",
    "i386",
    "ppc64le",
    "s390x",
    "riscv64",
    "mips64le",
    "loong64",
    "windows",
    "nanoserver",
];

fn check(facts: &RepositoryFacts, _: &Expectations, findings: &mut Findings) {
    // Without the whole list, what is missing in it may be the rule and not the exception.
    if facts.tags.is_empty() || facts.truncated {
        return;
    }
    let mut kinds: BTreeMap<String, Vec<(&TagFacts, OffsetDateTime)>> = BTreeMap::new();
    for image in facts.images.iter().filter(|image| !names_platform(&image.tag)) {
        if let Some(created) = image.created.as_deref().and_then(times::parse) {
            kinds.entry(kind(&image.tag)).or_default().push((image, created));
        }
    }
    for images in kinds.values() {
        let is_multi = |image: &TagFacts| image.is_index && image.platforms > 1;
        let Some(first) = images.iter().filter(|(image, _)| is_multi(image)).map(|(_, time)| *time).min() else {
            continue;
        };
        let since: Vec<&TagFacts> = images.iter().filter(|(_, time)| *time >= first).map(|(image, _)| *image).collect();
        let multi = since.iter().filter(|image| is_multi(image)).count();
        let lone: Vec<&&TagFacts> = since.iter().filter(|image| !image.is_index).collect();
        for image in lone.iter().filter(|_| multi > lone.len()) {
            let message = format!("tag {} leads to one platform, {multi} tags like it to several", image.tag);
            findings.add(Place::digest(&image.digest), message).key = image.tag.clone();
        }
    }
}

/// Returns the tag without its numbers; releases, whatever they are called, are of one kind.
fn kind(tag: &str) -> String {
    let lower = tag.to_ascii_lowercase();
    let words: Vec<&str> = lower
        .split(['.', '-', '_', '+'])
        .map(|word| {
            word.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(word)
        })
        .filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit()) && !is_commit(word))
        .collect();
    match words.join("-").as_str() {
        "latest" | "stable" => String::new(),
        other => other.to_owned(),
    }
}

fn is_commit(word: &str) -> bool {
    word.len() >= 7 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn names_platform(tag: &str) -> bool {
    let lower = tag.to_ascii_lowercase();
    lower.contains("x86_64") || lower.split(['.', '-', '_', '+']).any(|word| NAMES.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_of_a_kind_by_their_words() {
        for (tag, want) in [
            ("1.4.0", ""),
            ("v1.4", ""),
            ("latest", ""),
            ("1.4-cuda12", "cuda12"),
            ("1.4-alpine", "alpine"),
            ("sha-0d1e2f3", "sha"),
            ("main", "main"),
            ("vim-9", "vim"),
        ] {
            assert_eq!(kind(tag), want, "{tag}");
        }
        assert!(["1.4-amd64", "arm64v8-1.4", "1.4_x86_64", "1-windows-ltsc2022"].iter().all(|tag| names_platform(tag)));
        assert!(!["1.4", "charm", "latest"].iter().any(|tag| names_platform(tag)));
    }
}
