//! `$TARGETARCH` in a stage that does not declare it: an empty string.

use std::collections::HashMap;

use super::target_arg_default::AUTOMATIC;
use crate::dockerfile::{Assignment, Instruction, Keyword};
use crate::lint::finding::Findings;
use crate::lint::scan::{effective, texts, uses_variable};
use crate::lint::{Rule, Severity, Subject};

pub(super) const RULE: Rule = Rule {
    id: "TargetArgUndeclared",
    severity: Severity::Error,
    summary: "an automatic argument is used in a stage that does not declare it, where it is empty",
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let escape = subject.file.directives.escape();
    let mut by_name: HashMap<&str, u16> = HashMap::new();
    for stage in &subject.file.stages {
        // What a stage declares, the stages upon it have.
        let mut declared = by_name.get(stage.base.as_str()).copied().unwrap_or_default();
        for instruction in stage.instructions.iter().map(effective) {
            for (at, name) in AUTOMATIC.iter().enumerate() {
                if declared & (1 << at) == 0 && uses(instruction, name) {
                    let message = format!("${name} is empty here: the stage has no `ARG {name}` before this line");
                    findings.add(instruction.point_at(name), message, format!("add `ARG {name}` above this line"));
                }
            }
            declared |= declares(instruction, escape);
        }
        if let Some(name) = &stage.name {
            by_name.insert(name, declared);
        }
    }
}

/// Bits of the arguments an instruction declares or sets.
fn declares(instruction: &Instruction, escape: char) -> u16 {
    let list = match instruction.keyword {
        Keyword::Arg => Assignment::of_arg(instruction, escape),
        Keyword::Env => Assignment::of_env(instruction, escape),
        _ => return 0,
    };
    let bits =
        list.unwrap_or_default().into_iter().filter_map(|one| AUTOMATIC.iter().position(|name| *name == one.name));
    bits.fold(0, |bits, at| bits | 1 << at)
}

fn uses(instruction: &Instruction, name: &str) -> bool {
    // The container's own shell sees these when it runs, not now.
    if matches!(instruction.keyword, Keyword::Cmd | Keyword::Entrypoint | Keyword::Healthcheck | Keyword::Shell) {
        return false;
    }
    let assignment = format!("{name}=");
    let is_shells = |text: &str| instruction.keyword == Keyword::Run && text.contains(&assignment);
    texts(instruction).any(|text| uses_variable(text, name) && !is_shells(text))
}
