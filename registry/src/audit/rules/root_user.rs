//! Images that run as root.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::RunConfig;

pub(super) const RULE: Rule = Rule {
    id: "root-user",
    title: "the image runs as root, which the policy forbids",
    severity: Severity::Warning,
    cost: Cost::Configs,
    group: Group::Policy,
    evidence: &["docker/docker-bench-security#358", "sonatype/nexus-public#780"],
    explanation: "Without a USER in its Dockerfile, or with one that is root or 0, an image's process is root unless whoever \
        runs it says otherwise. On Windows, ContainerAdministrator is meant. Asked only where the policy says \
        `forbid_root`. A user name may still stand for user 0 in the image's passwd file; that is not looked at.",
    fix: "set USER to a number other than 0 in the Dockerfile's last stage",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    if !wanted.forbid_root {
        return;
    }
    for image in facts.platforms() {
        let Some(config) = image.config else { continue };
        let os = image.platform().normalize().os;
        if is_root(&config.run, &os) {
            let message = match config.run.user.as_deref().map_or("", str::trim) {
                "" => "no user is set, so it runs as root".to_owned(),
                user => format!("it runs as {user}"),
            };
            findings.add(image.place(), message);
        }
    }
}

/// Whether a configuration's user is the one who may do everything; on Windows no user is none of them.
fn is_root(run: &RunConfig, os: &str) -> bool {
    let user = run.user.as_deref().unwrap_or_default().trim();
    let name = user.split(':').next().unwrap_or_default();
    match os {
        "windows" => name.eq_ignore_ascii_case("ContainerAdministrator"),
        _ => matches!(name, "" | "root") || name.parse() == Ok(0_u32),
    }
}
