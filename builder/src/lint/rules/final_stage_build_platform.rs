//! The result is built on a base of another platform than it is for.

use crate::lint::finding::Findings;
use crate::lint::{Rule, Severity, Subject};
use crate::plan::Base;

pub(super) const RULE: Rule = Rule {
    id: "FinalStageBuildPlatform",
    severity: Severity::Error,
    summary: "the target's base image is of another platform than the result, so the result holds the wrong binaries",
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings) {
    for one in &subject.plan.platforms {
        let Some(root) = one.root() else { continue };
        let Some(stage) = subject.file.stages.get(root.index) else { continue };
        let (Base::Image(_), Some(flag)) = (&root.base, &stage.platform) else { continue };
        let differs = !root.platform.same_as(&one.platform);
        // On the builder's own platform it comes out right, and on every other one it does not.
        let is_builders = flag.contains("BUILDPLATFORM") || flag.contains("BUILDARCH");
        if differs || is_builders {
            let message = format!(
                "FROM --platform={flag} is under the target stage, so the result has that platform's files under \
                 every target's label"
            );
            let fix =
                format!("write `FROM {}` here, and COPY --from a stage that builds with --platform={flag}", stage.base);
            let platform = differs.then_some(&one.platform);
            findings.add_for(stage.from.point_at("--platform"), message, fix, platform);
        }
    }
}
