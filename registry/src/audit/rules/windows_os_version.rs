//! Windows images that do not say for which Windows.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "windows-os-version",
    title: "a Windows image does not say for which version of Windows it is",
    severity: Severity::Warning,
    cost: Cost::Configs,
    group: Group::Platforms,
    evidence: &["kubernetes-sigs/azuredisk-csi-driver#519", "estesp/manifest-tool#27", "jdx/mise#11144"],
    explanation: "A Windows host runs process-isolated containers of its own version only, and clients choose a child by \
        `os.version`. An entry without one matches every host and is taken by those on which it does not start. The version \
        belongs into the index and into the configuration; manifests joined by hand often have it in one of them. Versions \
        that differ are a mismatch of platforms.",
    fix: "set os.version of the entry from the configuration: `docker manifest annotate --os-version`, or build with BuildKit",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for image in facts.platforms().into_iter().filter(|image| image.platform().normalize().os == "windows") {
        let own = image.config_platform();
        let version = own.as_ref().and_then(|own| own.os_version.as_deref());
        let named = image.descriptor.platform.as_ref();
        if named.is_some_and(|named| named.os_version.as_deref().unwrap_or_default().is_empty()) {
            let message = match version {
                Some(version) => format!("the index names no os.version; the configuration says {version}"),
                None => "neither the index nor the configuration names an os.version".to_owned(),
            };
            findings.add(image.place(), message);
        } else if own.is_some() && version.is_none() {
            findings.add(image.place(), "the configuration names no os.version".to_owned());
        }
    }
}
