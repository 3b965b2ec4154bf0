//! A cache mount that several platforms fill with different things.

use crate::dockerfile::{Instruction, Keyword, Mount, MountError, MountKind};
use crate::lint::finding::Findings;
use crate::lint::scan::effective;
use crate::lint::{Rule, Severity, Subject};

pub(super) const RULE: Rule = Rule {
    id: "SharedCacheMount",
    severity: Severity::Warning,
    summary: "a cache mount has the same id for several platforms, which then find each other's files in it",
    check,
};

/// Caches whose entries are named by what they are for, or are the same for all.
const SAFE: [&str; 8] = ["go-build", "/go/pkg/mod", "/.npm", "/yarn", "pnpm", "ccache", "sccache", ".cargo/registry"];

fn check(subject: &Subject<'_>, findings: &mut Findings) {
    if subject.plan.platforms.len() < 2 {
        return;
    }
    for one in &subject.plan.platforms {
        for plan in one.stages.iter().filter(|stage| stage.run_steps > stage.shared_run_steps) {
            let Some(stage) = subject.file.stages.get(plan.index) else { continue };
            for instruction in stage.instructions.iter().map(effective) {
                for mount in caches(instruction) {
                    let message = format!("the cache {mount:?} is the same for every platform");
                    let fix = format!("add `ARG TARGETPLATFORM`, and id={mount}-$TARGETPLATFORM to the mount");
                    findings.add_for(instruction.point_at("--mount"), message, fix, Some(&one.platform));
                }
            }
        }
    }
}

/// Ids of the cache mounts that do not tell platforms apart.
fn caches(instruction: &Instruction) -> Vec<String> {
    if instruction.keyword != Keyword::Run {
        return Vec::new();
    }
    let mounts = instruction.flags.iter().filter(|flag| flag.name == "mount" && !flag.value.contains("$TARGET"));
    let mounts = mounts.filter(|flag| !flag.value.contains("${TARGET"));
    let parsed =
        mounts.filter_map(|flag| Mount::parse(&flag.value, &|value: &str| Ok::<_, MountError>(value.to_owned())).ok());
    let caches = parsed.filter(|mount| mount.kind == MountKind::Cache && mount.sharing.as_deref() != Some("private"));
    let ids = caches.filter_map(|mount| mount.id.or(mount.target));
    ids.filter(|id| !SAFE.iter().any(|safe| id.contains(safe))).collect()
}
