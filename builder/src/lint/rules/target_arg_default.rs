//! `ARG TARGETARCH=amd64`: a default replaces the automatic value.

use crate::dockerfile::Keyword;
use crate::lint::finding::Findings;
use crate::lint::scan::effective;
use crate::lint::{Rule, Severity, Subject};

pub(super) const RULE: Rule = Rule {
    id: "TargetArgDefault",
    severity: Severity::Error,
    summary: "a default of an automatic argument always wins, so every platform is built for that value",
    check,
};

/// Automatic arguments that differ by platform or machine.
pub(super) const AUTOMATIC: [&str; 10] = [
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETOSVERSION",
    "TARGETARCH",
    "TARGETVARIANT",
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDOSVERSION",
    "BUILDARCH",
    "BUILDVARIANT",
];

fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let escape = subject.file.directives.escape();
    for arg in &subject.file.global_args {
        if let Some(default) = arg.value.as_deref().filter(|_| AUTOMATIC.contains(&arg.name.as_str())) {
            let message = format!("ARG {}={default} before the first FROM replaces the automatic value", arg.name);
            findings.add(arg.span, message, format!("write `ARG {}`", arg.name));
        }
    }
    for instruction in subject.file.stages.iter().flat_map(|stage| &stage.instructions).map(effective) {
        if instruction.keyword != Keyword::Arg {
            continue;
        }
        for arg in crate::dockerfile::Assignment::of_arg(instruction, escape).unwrap_or_default() {
            if let Some(default) = arg.value.as_deref().filter(|_| AUTOMATIC.contains(&arg.name.as_str())) {
                let message = format!(
                    "in a stage the default of ARG {}={default} always wins over the automatic value",
                    arg.name
                );
                findings.add(instruction.point_at(&arg.name), message, format!("write `ARG {}`", arg.name));
            }
        }
    }
}
