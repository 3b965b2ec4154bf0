//! `--platform` where it does nothing.

use crate::lint::finding::Findings;
use crate::lint::{Rule, Severity, Subject};
use crate::plan::Base;

pub(super) const RULE: Rule = Rule {
    id: "IgnoredPlatform",
    severity: Severity::Warning,
    summary: "FROM --platform of a stage or of scratch is ignored",
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings) {
    for one in &subject.plan.platforms {
        for plan in &one.stages {
            let Some(stage) = subject.file.stages.get(plan.index) else { continue };
            let Some(flag) = &stage.platform else { continue };
            let (what, fix) = match &plan.base {
                Base::Stage(name) => (
                    format!("stage {name:?} has its own platform"),
                    format!("set it where {name:?} begins, or remove it here"),
                ),
                Base::Scratch => ("scratch always has the target's platform".to_owned(), "remove it".to_owned()),
                Base::Image(_) | Base::Context(_) => continue,
            };
            findings.add(stage.from.point_at("--platform"), format!("--platform={flag} is ignored: {what}"), fix);
        }
    }
}
