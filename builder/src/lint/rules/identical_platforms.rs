//! Two platforms whose results are the same files.

use crate::lint::finding::Findings;
use crate::lint::{Rule, Severity, Subject};

pub(super) const RULE: Rule = Rule {
    id: "IdenticalPlatforms",
    severity: Severity::Warning,
    summary: "two platforms come out identical although something was compiled: an argument about the target is not used",
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings) {
    for one in &subject.plan.platforms {
        let Some(target) = one.stages.last() else { continue };
        // Files that were only copied may well be the same for all.
        if one.stages.iter().all(|stage| stage.run_steps == 0) {
            continue;
        }
        let Some(other) = target.shared_with.first() else { continue };
        let variant = other.os == one.platform.os && other.architecture == one.platform.architecture;
        let argument = if variant { "TARGETVARIANT" } else { "TARGETARCH" };
        let message = format!("the results of several platforms are the same files, for nothing uses {argument}");
        let fix = match variant {
            true => {
                "use TARGETVARIANT (Go: `ARG TARGETVARIANT`, GOARM=${TARGETVARIANT#v}), or build one of them".to_owned()
            }
            false => "declare `ARG TARGETARCH` in the stage that compiles, and compile for it".to_owned(),
        };
        findings.add_for(target.span, message, fix, Some(&one.platform));
    }
}
