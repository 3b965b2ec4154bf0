//! An image named by COPY or a mount in a stage of the build platform: it comes for the target.

use std::collections::HashSet;

use crate::lint::finding::Findings;
use crate::lint::scan::effective;
use crate::lint::{Rule, Severity, Subject};

pub(super) const RULE: Rule = Rule {
    id: "ForeignToolImage",
    severity: Severity::Warning,
    summary: "COPY --from=IMAGE and mounts take the target's platform, also in a stage that runs on the build platform",
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Findings) {
    let images: HashSet<&str> = subject.plan.images.iter().map(|image| image.name.as_str()).collect();
    for one in &subject.plan.platforms {
        let foreign = one.stages.iter().filter(|stage| stage.run_steps > 0 && !stage.platform.same_as(&one.platform));
        for plan in foreign {
            let Some(stage) = subject.file.stages.get(plan.index) else { continue };
            for instruction in stage.instructions.iter().map(effective) {
                for reference in instruction.references() {
                    if images.contains(reference.name.as_str()) {
                        let name = &reference.name;
                        let message =
                            format!("{name} comes for the target's platform, and this stage runs on {}", plan.platform);
                        let fix = format!("`FROM --platform=$BUILDPLATFORM {name} AS tools` above, then --from=tools");
                        findings.add_for(instruction.point_at(name), message, fix, Some(&one.platform));
                    }
                }
            }
        }
    }
}
