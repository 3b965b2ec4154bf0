//! Platforms written as not every client writes them.

use crate::audit::facts::{Entry, ImageFacts};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::Platform;

use super::words::place;

pub(super) const RULE: Rule = Rule {
    id: "platform-spelling",
    title: "an entry names its platform in a way not all clients understand",
    severity: Severity::Warning,
    cost: Cost::Manifests,
    group: Group::Platforms,
    evidence: &[
        "containers/image#898",
        "sylabs/singularity#2039",
        "sylabs/singularity#2040",
        "containerd/containerd#2414",
        "docker/buildx#1652",
    ],
    explanation: "Platforms are written as Go writes them: amd64, not x86_64; arm64, not aarch64. containerd and Docker know \
        these other names, clients that compare texts do not. 32-bit ARM without a variant means v7 to containerd and \
        anything to others, so that a Raspberry Pi of the first series takes a program it cannot run. A variant no \
        architecture has (amd64/v8) matches no client. Both arm64 and arm64/v8 are fine, and no finding.",
    fix: "write the entry as GOOS/GOARCH with the variant: linux/amd64, linux/arm64, linux/arm/v7",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for entry in facts.entries() {
        let Some(platform) = entry.descriptor.platform.as_ref().filter(|_| !is_none(entry)) else { continue };
        if let Some(message) = problem(platform) {
            findings.add(place(entry), message);
        }
    }
}

/// Whether the entry's platform is nobody's.
fn is_none(entry: &Entry) -> bool {
    let is_empty = entry.descriptor.platform.as_ref().is_none_or(|platform| platform.architecture.is_empty());
    entry.is_attestation() || is_empty || entry.descriptor.artifact_type.is_some()
}

fn problem(platform: &Platform) -> Option<String> {
    let usual = platform.normalize();
    let variant = platform.variant.as_deref().unwrap_or_default();
    if usual.os != platform.os || usual.architecture != platform.architecture {
        let usual = Platform { os_version: None, ..usual };
        return Some(format!("{platform} is usually written {usual}"));
    }
    if platform.architecture == "arm" && variant.is_empty() {
        return Some(
            "linux/arm names no variant: some clients take it for v7, others for any".replacen("linux", &usual.os, 1),
        );
    }
    let usual_variant = usual.variant.as_deref().unwrap_or_default();
    if !is_variant(&platform.architecture, usual_variant) {
        return Some(format!("{} has no variant {variant}", platform.architecture));
    }
    let is_implied = matches!((&*platform.architecture, variant), ("arm64", "v8") | ("amd64", "v1"));
    let is_usual = is_implied || variant == usual_variant;
    (!is_usual).then(|| {
        format!(
            "the variant {variant} is usually written {}",
            if usual_variant.is_empty() { "v8" } else { usual_variant }
        )
    })
}

/// Whether an architecture has a variant, normalised; of those not known here any.
fn is_variant(architecture: &str, variant: &str) -> bool {
    let numbers = |text: &str, first: u32, last: u32| {
        let (major, minor) =
            text.trim_start_matches('v').split_once('.').unwrap_or((text.trim_start_matches('v'), "0"));
        major.parse::<u32>().is_ok_and(|major| (first..=last).contains(&major)) && minor.parse::<u32>().is_ok()
    };
    match (architecture, variant) {
        (_, "") => true,
        ("amd64", variant) => matches!(variant, "v2" | "v3" | "v4"),
        ("arm", variant) => matches!(variant, "v5" | "v6" | "v7" | "v8"),
        ("arm64", variant) => variant.starts_with('v') && numbers(variant, 8, 9),
        ("386", _) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_spelled_oddly() {
        let at = |os: &str, architecture: &str, variant: &str| {
            let variant = Some(variant.to_owned()).filter(|variant| !variant.is_empty());
            problem(&Platform { os: os.into(), architecture: architecture.into(), variant, ..Platform::default() })
        };
        for (architecture, variant) in [
            ("amd64", ""),
            ("amd64", "v1"),
            ("amd64", "v3"),
            ("arm64", ""),
            ("arm64", "v8"),
            ("arm64", "v8.2"),
            ("arm64", "v9"),
            ("arm", "v5"),
            ("arm", "v8"),
            ("386", ""),
            ("riscv64", "rva22u64"),
            ("ppc64le", "power9"),
        ] {
            assert_eq!(at("linux", architecture, variant), None, "{architecture}/{variant}");
        }
        for (architecture, variant, want) in [
            ("x86_64", "", "linux/x86_64 is usually written linux/amd64"),
            ("aarch64", "", "linux/aarch64 is usually written linux/arm64"),
            ("ARM64", "", "linux/ARM64 is usually written linux/arm64"),
            ("armhf", "", "linux/armhf is usually written linux/arm/v7"),
            ("arm", "", "linux/arm names no variant: some clients take it for v7, others for any"),
            ("arm", "7", "the variant 7 is usually written v7"),
            ("arm64", "8", "the variant 8 is usually written v8"),
            ("amd64", "v8", "amd64 has no variant v8"),
            ("arm64", "v7", "arm64 has no variant v7"),
            ("386", "sse2", "linux/386 is usually written"),
        ] {
            let got = at("linux", architecture, variant);
            if architecture == "386" {
                // `normalize` keeps what it does not know.
                assert_eq!(got.as_deref(), Some("386 has no variant sse2"));
                continue;
            }
            assert_eq!(got.as_deref(), Some(want));
        }
        assert_eq!(at("macos", "arm64", "").as_deref(), Some("macos/arm64 is usually written darwin/arm64"));
    }
}
