//! Architectures that have the same layers: one of them runs the other's programs.

use std::collections::{BTreeSet, HashMap};

use crate::audit::binary::{Sharing, sharing};
use crate::audit::facts::{ImageFacts, PlatformImage};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::steps::{Origin, Steps, runs_programs};
use crate::audit::rules::words;
use crate::oci::{Descriptor, Digest, Platform};

pub(super) const RULE: Rule = Rule {
    id: "shared-base",
    title: "platforms of different architecture have the same base layers",
    severity: Severity::Error,
    cost: Cost::Configs,
    group: Group::Binaries,
    evidence: &[
        "envoyproxy/ratelimit#1131",
        "GoogleCloudPlatform/cloud-sql-proxy#2651",
        "open-telemetry/opentelemetry-operator#5613",
        "kubernetes-sigs/headlamp#4157",
        "redhat-performance/cloud-governance#1027",
        "lightninglabs/loop#1211",
    ],
    explanation: "A base that is pinned to the digest of one platform, or a last stage with `FROM --platform=$BUILDPLATFORM`, \
        puts the same root file system into every platform: the shell, the C library and all tools are of one architecture, \
        and fail with `exec format error` on the others. Equal layers prove it without reading any. It is an error where \
        the shared layers are the whole image and something is started from them, or where they are a root file system: \
        commands were run in it, or it is larger than 1 MB and was not copied to a path. Layers that were copied (CA \
        certificates, time zones, web pages, class files), images that start nothing, WebAssembly and empty layers are \
        shared rightly; large ones after the base are mentioned only.",
    fix: "pin the digest of the base's index, not of one platform (`polyarch check` finds the line), and drop \
        --platform=$BUILDPLATFORM from the last stage",
    check: Check::Image(check),
};

/// Smallest root file systems, compressed, in bytes: musl BusyBox has 0.8 MB, Alpine 2.7, while CA certificates and time
/// zones together stay under it.
const ROOTFS_BYTES: u64 = 1_000_000;
/// Layers smaller than this hold no program worth mentioning: configuration files, scripts.
const NOTABLE_BYTES: u64 = 64 << 10;
/// An empty tar, compressed by whatever; one with a single entry has more.
const EMPTY_BYTES: u64 = 64;

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    let images: Vec<PlatformImage<'_>> = facts.platforms().into_iter().filter(is_native).collect();
    let whole = groups(&images, |image| content(image).iter().map(|layer| &layer.digest).collect());
    let based = groups(&images, |image| content(image).first().map(|layer| &layer.digest).into_iter().collect());
    for group in &whole {
        base(facts, group, findings);
    }
    for group in
        based.iter().filter(|group| !whole.iter().any(|other| other.len() == group.len() && same(other, group)))
    {
        base(facts, group, findings);
    }
    later(facts, &images, findings);
}

/// Returns the images that have something in common, where they are of several architectures; in the order of the index.
fn groups<'a, 'b>(
    images: &'b [PlatformImage<'a>],
    common: impl Fn(&PlatformImage<'a>) -> Vec<&'a Digest>,
) -> Vec<Vec<&'b PlatformImage<'a>>> {
    let mut groups: indexmap::IndexMap<Vec<&Digest>, Vec<&PlatformImage<'_>>> = indexmap::IndexMap::new();
    for image in images {
        groups.entry(common(image)).or_default().push(image);
    }
    groups.shift_remove(&Vec::new());
    groups.into_values().filter(|group| is_mixed(group)).collect()
}

fn same(a: &[&PlatformImage<'_>], b: &[&PlatformImage<'_>]) -> bool {
    a.iter().zip(b).all(|(a, b)| std::ptr::eq(*a, *b))
}

/// Whether it has programs of an architecture at all.
fn is_native(image: &PlatformImage<'_>) -> bool {
    let platform = image.platform();
    !platform.architecture.is_empty() && !platform.architecture.starts_with("wasm") && !platform.os.starts_with("was")
}

/// Variants of one architecture may share a base.
fn architecture(image: &PlatformImage<'_>) -> (String, String) {
    let platform = image.platform().normalize();
    (platform.os, platform.architecture)
}

fn is_mixed(group: &[&PlatformImage<'_>]) -> bool {
    group.iter().map(|image| architecture(image)).collect::<BTreeSet<_>>().len() > 1
}

/// Returns the layers that hold anything, base first.
fn content<'a>(image: &PlatformImage<'a>) -> Vec<&'a Descriptor> {
    image.manifest.view.layers.iter().filter(|layer| layer.size > EMPTY_BYTES).collect()
}

fn base(facts: &ImageFacts, group: &[&PlatformImage<'_>], findings: &mut Findings) {
    let shared = shared_base(group);
    let is_whole = group.iter().all(|image| content(image).len() == shared.len());
    let holds_programs = holds_programs(facts, group, &shared);
    let steps = Steps::of(group);
    let Some(severity) = severity(group, &shared, &steps, (is_whole, holds_programs)) else { return };
    let names = words::names(group);
    let size = words::bytes(total(&shared));
    let what = match (is_whole, shared.len()) {
        (true, _) => format!("all their layers ({size})"),
        (false, 1) => format!("their base layer {} ({size})", shared[0].digest),
        (false, count) => format!("their first {count} layers from {} on ({size})", shared[0].digest),
    };
    let place = Place::digest(&shared[0].digest);
    let made_for = steps.architecture(&shared[0].digest);
    let made_for = made_for.map(|name| format!(", which is made for {name}")).unwrap_or_default();
    let message = format!("{names} share {what}{made_for}");
    findings.add_as(severity, place, message).key = names;
}

fn total(layers: &[&Descriptor]) -> u64 {
    layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.size))
}

/// Returns the layers that all of them begin with.
fn shared_base<'a>(group: &[&PlatformImage<'a>]) -> Vec<&'a Descriptor> {
    let all: Vec<Vec<&Descriptor>> = group.iter().map(|image| content(image)).collect();
    let is_shared = |number: usize, layer: &Descriptor| {
        all.iter().all(|layers| layers.get(number).is_some_and(|other| other.digest == layer.digest))
    };
    let first = all.first().cloned().unwrap_or_default();
    first
        .into_iter()
        .enumerate()
        .take_while(|(number, layer)| is_shared(*number, layer))
        .map(|(_, layer)| layer)
        .collect()
}

/// Whether the layers hold programs that do not run on one of the platforms, where they were read: none proves that sharing
/// does no harm.
fn holds_programs(facts: &ImageFacts, group: &[&PlatformImage<'_>], layers: &[&Descriptor]) -> Option<bool> {
    let platforms: Vec<Platform> = group.iter().map(|image| image.platform()).collect();
    let layers: Vec<&Digest> = layers.iter().map(|layer| &layer.digest).collect();
    match sharing(facts.binaries.as_ref()?, &platforms, &layers) {
        Sharing::Harmful => Some(true),
        Sharing::Harmless => Some(false),
        Sharing::Unknown => None,
    }
}

/// How bad it is that a base is shared; none where it is right.
fn severity(
    group: &[&PlatformImage<'_>],
    shared: &[&Descriptor],
    steps: &Steps<'_>,
    (is_whole, holds_programs): (bool, Option<bool>),
) -> Option<Severity> {
    match holds_programs {
        Some(true) => return Some(Severity::Error),
        Some(false) => return None,
        None => {}
    }
    let is_large = total(shared) >= ROOTFS_BYTES;
    let starts = group.iter().any(|image| {
        image.config.is_some_and(|config| !config.run.entrypoint.is_empty() || !config.run.cmd.is_empty())
    });
    if is_whole {
        // A command is often only there because `docker create` wants one.
        let is_program = starts && total(shared) >= NOTABLE_BYTES;
        let is_copied = shared.iter().all(|layer| steps.origin(&layer.digest) == Origin::Copied);
        let has_entrypoint =
            group.iter().any(|image| image.config.is_some_and(|config| !config.run.entrypoint.is_empty()));
        return Some(match (is_program, is_copied) {
            // Certificates and pages are the same everywhere, and their command is there because something wants one.
            (true, true) if !has_entrypoint => Severity::Warning,
            (true, _) => Severity::Error,
            (false, _) => Severity::Info,
        });
    }
    if shared.iter().all(|layer| steps.origin(&layer.digest) == Origin::Copied) {
        return is_large.then_some(Severity::Info);
    }
    let is_known = steps.origin(&shared[0].digest) == Origin::RootFs;
    match (is_large, is_known) {
        (_, true) if group.iter().any(|image| runs_programs(image)) => Some(Severity::Error),
        (true, true) => Some(Severity::Error),
        // No history, or one without commands (Nix, Bazel): packages may be layers of their own, and without programs.
        (true, false) => Some(Severity::Warning),
        (false, true) => Some(Severity::Warning),
        (false, false) => None,
    }
}

/// Layers above the base that are large enough for programs.
fn later(facts: &ImageFacts, images: &[PlatformImage<'_>], findings: &mut Findings) {
    let bases = base_lengths(images);
    let mut users: indexmap::IndexMap<&Digest, (&Descriptor, Vec<&PlatformImage<'_>>)> = indexmap::IndexMap::new();
    for (image, base) in images.iter().zip(bases) {
        for layer in content(image).into_iter().skip(base).filter(|layer| layer.size >= NOTABLE_BYTES) {
            users.entry(&layer.digest).or_insert_with(|| (layer, Vec::new())).1.push(image);
        }
    }
    for (digest, (layer, group)) in users.into_iter().filter(|(_, (_, group))| is_mixed(group)) {
        let severity = match holds_programs(facts, &group, &[layer]) {
            Some(true) => Severity::Error,
            Some(false) => continue,
            None => Severity::Info,
        };
        let names = words::names(&group);
        let message = format!("{names} share a layer above their base, {digest} ({})", words::bytes(layer.size));
        let found = findings.add_as(severity, Place::digest(digest), message);
        found.key = format!("later {names}");
        found.fix =
            "nothing, if it holds files of no architecture; else build its programs for each platform".to_owned();
    }
}

/// Returns how many layers each image begins with that one of another architecture begins with, too: those the base check
/// has seen.
fn base_lengths(images: &[PlatformImage<'_>]) -> Vec<usize> {
    // A tree of beginnings: a node for each, under the one that is a layer shorter.
    let mut nodes: HashMap<(usize, &Digest), usize> = HashMap::new();
    let mut users: Vec<BTreeSet<(String, String)>> = vec![BTreeSet::new()];
    let mut paths = Vec::new();
    for image in images {
        let mut path = Vec::new();
        for layer in content(image) {
            let parent = path.last().copied().unwrap_or(0);
            let node = *nodes.entry((parent, &layer.digest)).or_insert(users.len());
            if node == users.len() {
                users.push(BTreeSet::new());
            }
            users[node].insert(architecture(image));
            path.push(node);
        }
        paths.push(path);
    }
    paths.iter().map(|path| path.iter().take_while(|node| users[**node].len() > 1).count()).collect()
}
