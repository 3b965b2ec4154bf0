//! A compiler under an emulator, where the stage could run on the build platform.

use crate::dockerfile::{Instruction, Keyword};
use crate::lint::finding::Findings;
use crate::lint::scan::{effective, find_word, texts};
use crate::lint::{Rule, Severity, Subject};
use crate::plan::{Change, Mode};

pub(super) const RULE: Rule = Rule {
    id: "EmulatedRun",
    severity: Severity::Warning,
    summary: "a heavy step runs under an emulator, five to ten times slower, where it could cross-compile",
    check,
};

/// Commands that keep a CPU busy.
const HEAVY: [&str; 26] = [
    "go build",
    "go install",
    "go test",
    "cargo build",
    "cargo install",
    "make",
    "cmake",
    "ninja",
    "gcc",
    "g++",
    "clang",
    "rustc",
    "npm ci",
    "npm install",
    "npm run",
    "yarn",
    "pnpm",
    "pip install",
    "mvn",
    "gradle",
    "gradlew",
    "dotnet",
    "bundle install",
    "composer install",
    "mix",
    "bazel",
];

fn check(subject: &Subject<'_>, findings: &mut Findings) {
    for one in &subject.plan.platforms {
        for plan in one.stages.iter().filter(|stage| stage.mode == Mode::Emulated) {
            let Some(Change::BuildPlatform { line, edit }) = plan.change.first() else { continue };
            let Some(stage) = subject.file.stages.get(plan.index) else { continue };
            for instruction in stage.instructions.iter().map(effective) {
                if let Some(command) = heavy(instruction) {
                    let message = format!("`{command}` runs under an emulator");
                    let fix = format!("line {line}: `{edit}`, and compile for $TARGETARCH");
                    findings.add_for(instruction.point_at(command), message, fix, Some(&one.platform));
                }
            }
        }
    }
}

fn heavy(instruction: &Instruction) -> Option<&'static str> {
    if instruction.keyword != Keyword::Run {
        return None;
    }
    HEAVY.into_iter().find(|command| texts(instruction).any(|text| find_word(text, command).is_some()))
}
