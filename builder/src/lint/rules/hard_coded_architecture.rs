//! An architecture written into a download or a package name of a stage that runs for every target.

use polyarch_registry::oci::Platform;

use crate::dockerfile::{Instruction, Keyword};
use crate::lint::finding::Findings;
use crate::lint::scan::{effective, find_word, texts};
use crate::lint::{Rule, Severity, Subject};

pub(super) const RULE: Rule = Rule {
    id: "HardCodedArchitecture",
    severity: Severity::Warning,
    summary: "a step that runs for every target names one architecture, so the others get its binaries",
    check,
};

/// How architectures are spelled in URLs and package names.
const SPELLINGS: [(&str, &str); 14] = [
    ("linux64", "amd64"),
    ("x86_64", "amd64"),
    ("x86-64", "amd64"),
    ("amd64", "amd64"),
    ("linux-x64", "amd64"),
    ("aarch64", "arm64"),
    ("arm64", "arm64"),
    ("armv7", "arm"),
    ("armv6", "arm"),
    ("armhf", "arm"),
    ("i386", "386"),
    ("ppc64le", "ppc64le"),
    ("s390x", "s390x"),
    ("riscv64", "riscv64"),
];

/// A step with one of these asks for the architecture itself.
const ASKS: [&str; 9] = [
    "TARGETARCH",
    "TARGETPLATFORM",
    "TARGETVARIANT",
    "uname",
    "print-architecture",
    "apk --print-arch",
    "case ",
    "dpkg --add-architecture",
    "$(arch)",
];

fn check(subject: &Subject<'_>, findings: &mut Findings) {
    for one in &subject.plan.platforms {
        // A stage on the build platform downloads for the machine it runs on.
        for plan in one.stages.iter().filter(|stage| stage.platform.same_as(&one.platform)) {
            let Some(stage) = subject.file.stages.get(plan.index) else { continue };
            for instruction in stage.instructions.iter().map(effective) {
                step(instruction, &one.platform, findings);
            }
        }
    }
}

fn step(instruction: &Instruction, target: &Platform, findings: &mut Findings) {
    let is_remote_add =
        instruction.keyword == Keyword::Add && instruction.words().iter().any(|word| word.contains("://"));
    if instruction.keyword != Keyword::Run && !is_remote_add {
        return;
    }
    if texts(instruction).any(|text| ASKS.iter().any(|ask| text.contains(ask))) {
        return;
    }
    for text in texts(instruction) {
        let found = SPELLINGS.iter().find(|(word, _)| find_word(text, word).is_some());
        if let Some((word, _)) = found.filter(|(_, arch)| *arch != target.architecture) {
            let message = format!("{word} is written into a step that runs for every target");
            let fix = "add `ARG TARGETARCH` and write $TARGETARCH, or choose by `case $TARGETARCH in`".to_owned();
            findings.add_for(instruction.point_at(word), message, fix, Some(target));
        }
    }
}
