//! Platforms of one image that start differently.

use std::collections::{BTreeMap, BTreeSet};

use crate::audit::compare::{brief, comparable, usual};
use crate::audit::facts::{ImageFacts, PlatformImage};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::neutral::neutral;
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::oci::{Platform, RunConfig};

pub(super) const RULE: Rule = Rule {
    id: "config-drift",
    title: "platforms of one image differ in how they run",
    severity: Severity::Warning,
    cost: Cost::Configs,
    group: Group::Drift,
    evidence: &["headroomlabs-ai/headroom#2673"],
    explanation: "An index made of separately built images can hold platforms of different Dockerfiles or different days: one \
        runs as root, another not; one has an entrypoint, another a command. Compared are environment, entrypoint, command, \
        user, ports, volumes, working directory, health check and stop signal of the platforms of one operating system; Linux \
        is never compared with Windows. Names of architectures (also within paths), checksums, and variables that hold \
        either are no difference. Another user or another program is an error, the rest a warning.",
    fix: "build all platforms from one Dockerfile in one build, and publish them together",
    check: Check::Image(check),
};

/// Variables whose value is an architecture, a checksum, or made per architecture by a vendor.
const OWN_NAMES: [&str; 12] = [
    "ARCH",
    "GOARCH",
    "GOARM",
    "GOAMD64",
    "GO386",
    "GOARM64",
    "TARGETARCH",
    "TARGETVARIANT",
    "TARGETPLATFORM",
    "NVARCH",
    "NVIDIA_REQUIRE_CUDA",
    "LD_PRELOAD",
];
const OWN_ENDINGS: [&str; 12] = [
    "_ARCH",
    "ARCHITECTURE",
    "_PLATFORM",
    "_VARIANT",
    "_SHA",
    "_SHA1",
    "_SHA256",
    "_SHA512",
    "_MD5",
    "_CHECKSUM",
    "_HASH",
    "SUM",
];
/// Variables that are compared, and of which differences are reported. An image has some ten.
const MOST_VARIABLES: usize = 1000;
const MOST_REPORTED: usize = 20;
/// CUDA's images name the versions of its libraries, which differ between architectures.
const OWN_BEGINNINGS: [&str; 2] = ["NV_", "CUDA_ARCH"];

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for group in comparable(facts) {
        let images: Vec<(PlatformImage<'_>, &RunConfig)> =
            group.into_iter().filter_map(|image| Some((image, &image.config?.run))).collect();
        if images.len() < 2 {
            continue;
        }
        for field in FIELDS {
            compare(&images, field, findings);
        }
        environment(&images, findings);
    }
}

/// One thing to compare.
struct Field {
    name: &'static str,
    /// What is compared: what only names the architecture is taken out.
    value: fn(&RunConfig) -> String,
    /// What is shown.
    shown: fn(&RunConfig) -> String,
    severity: fn(&RunConfig, &RunConfig) -> Severity,
}

const FIELDS: &[Field] = &[
    Field {
        name: "entrypoint",
        value: |run| list(&run.entrypoint),
        shown: |run| shown_list(&run.entrypoint),
        severity: |usual, own| {
            let program = |run: &RunConfig| run.entrypoint.first().map(|program| neutral(program));
            if program(usual) == program(own) { Severity::Warning } else { Severity::Error }
        },
    },
    Field { name: "cmd", value: |run| list(&run.cmd), shown: |run| shown_list(&run.cmd), severity: warning },
    Field {
        name: "user",
        value: user,
        shown: |run| shown(run.user.as_deref().unwrap_or_default()),
        // A number and a name may be the same user.
        severity: |usual, own| match is_number(&user(usual)) == is_number(&user(own)) || is_root(usual) || is_root(own)
        {
            true => Severity::Error,
            false => Severity::Warning,
        },
    },
    Field { name: "workdir", value: |run| neutral(workdir(run)), shown: |run| shown(workdir(run)), severity: warning },
    Field {
        name: "ports",
        value: |run| keys(&run.exposed_ports),
        shown: |run| shown(&keys(&run.exposed_ports)),
        severity: warning,
    },
    Field {
        name: "volumes",
        value: |run| keys(&run.volumes),
        shown: |run| shown(&keys(&run.volumes)),
        severity: warning,
    },
    Field {
        name: "stop signal",
        value: |run| signal(run).to_owned(),
        shown: |run| shown(signal(run)),
        severity: warning,
    },
    Field {
        name: "health check",
        value: |run| run.healthcheck.as_ref().map(|check| neutral(&check.to_string())).unwrap_or_default(),
        shown: |run| shown(&run.healthcheck.as_ref().map(ToString::to_string).unwrap_or_default()),
        severity: warning,
    },
];

fn compare(images: &[(PlatformImage<'_>, &RunConfig)], field: &Field, findings: &mut Findings) {
    let values: Vec<String> = images.iter().map(|(_, run)| (field.value)(run)).collect();
    let (like, usual) = &images[usual(&values)];
    let wanted = (field.value)(usual);
    for ((image, run), _) in images.iter().zip(&values).filter(|(_, value)| **value != wanted) {
        let (own, other) = ((field.shown)(run), (field.shown)(usual));
        let message = format!("{} is {own}, but {other} on {}", field.name, like.platform());
        field.name.clone_into(&mut findings.add_as((field.severity)(usual, run), image.place(), message).key);
    }
}

fn environment(images: &[(PlatformImage<'_>, &RunConfig)], findings: &mut Findings) {
    let variables: Vec<BTreeMap<&str, &str>> = images.iter().map(|(_, run)| variables(run)).collect();
    let names: BTreeSet<&str> = variables.iter().flat_map(BTreeMap::keys).copied().collect();
    let mut differing = 0;
    for name in names.into_iter().filter(|name| !is_own(name)).take(MOST_VARIABLES) {
        let values: Vec<Option<String>> =
            variables.iter().map(|all| all.get(name).map(|value| neutral(value))).collect();
        let like = usual(&values);
        if values.iter().all(|value| *value == values[like]) {
            continue;
        }
        differing += 1;
        if differing > MOST_REPORTED {
            continue;
        }
        for (number, _) in values.iter().enumerate().filter(|(_, value)| **value != values[like]) {
            let (own, other) = (variables[number].get(name), variables[like].get(name));
            let message = variable(name, own, other, &images[like].0.platform());
            findings.add(images[number].0.place(), message).key = format!("env {name}");
        }
    }
    if differing > MOST_REPORTED {
        let message = format!("{} more variables differ between platforms", differing - MOST_REPORTED);
        "env".clone_into(&mut findings.add(Place::image(), message).key);
    }
}

fn variable(name: &str, own: Option<&&str>, other: Option<&&str>, platform: &Platform) -> String {
    let shown_name = brief(name);
    match (own, other) {
        (Some(_), Some(_)) if is_secret(name) => format!("the variable {shown_name} has another value on {platform}"),
        (Some(own), Some(other)) => {
            format!("the variable {shown_name} is {}, but {} on {platform}", shown(own), shown(other))
        }
        (None, _) => format!("the variable {shown_name} is not set, but is on {platform}"),
        (Some(_), None) => format!("the variable {shown_name} is set, but is not on {platform}"),
    }
}

fn variables(run: &RunConfig) -> BTreeMap<&str, &str> {
    run.env.iter().map(|one| one.split_once('=').unwrap_or((one, ""))).collect()
}

/// Whether a variable may differ.
fn is_own(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    OWN_NAMES.contains(&name.as_str())
        || OWN_ENDINGS.iter().any(|ending| name.ends_with(ending))
        || OWN_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// Whether a value should not be repeated in a report that others read.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["SECRET", "TOKEN", "PASSW", "PWD", "KEY", "CREDENTIAL"].iter().any(|word| name.contains(word))
}

fn warning(_: &RunConfig, _: &RunConfig) -> Severity {
    Severity::Warning
}

/// Root under its one name; the group counts.
fn user(run: &RunConfig) -> String {
    match run.user.as_deref().unwrap_or_default().trim() {
        "" | "0" | "root" | "0:0" | "root:root" | "0:root" | "root:0" => "root".to_owned(),
        other => other.to_owned(),
    }
}

fn is_root(run: &RunConfig) -> bool {
    user(run) == "root"
}

fn is_number(user: &str) -> bool {
    user.starts_with(|c: char| c.is_ascii_digit())
}

fn workdir(run: &RunConfig) -> &str {
    match run.working_dir.as_deref().unwrap_or_default() {
        "" | "/" => "/",
        path => path.trim_end_matches('/'),
    }
}

/// SIGTERM is what no stop signal means, and 15.
fn signal(run: &RunConfig) -> &str {
    match run.stop_signal.as_deref().unwrap_or_default() {
        "" | "15" | "TERM" => "SIGTERM",
        other => other,
    }
}

fn keys(map: &BTreeMap<String, serde_json::Value>) -> String {
    map.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn list(words: &[String]) -> String {
    words.iter().map(|word| neutral(word)).collect::<Vec<_>>().join("\0")
}

fn shown_list(words: &[String]) -> String {
    match words {
        [] => "none".to_owned(),
        words => brief(&format!("{words:?}")),
    }
}

fn shown(text: &str) -> String {
    match text {
        "" => "none".to_owned(),
        text => format!("\"{}\"", brief(text)),
    }
}
