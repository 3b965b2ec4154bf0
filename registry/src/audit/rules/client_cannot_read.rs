//! Images that a client of the policy does not take.

use std::collections::HashSet;

use crate::audit::choose::{choose, machines};
use crate::audit::facts::{Entry, ImageFacts, IndexFacts, Node, PlatformImage};
use crate::audit::finding::{Findings, Place, Severity};
use crate::audit::policy::Expectations;
use crate::audit::profile::{Choice, Profile};
use crate::audit::rule::{Check, Cost, Group, Rule};

use super::words::{bytes, place, plural};

pub(super) const RULE: Rule = Rule {
    id: "client-cannot-read",
    title: "a client of the policy cannot read what it would pull",
    severity: Severity::Error,
    cost: Cost::Configs,
    group: Group::Format,
    evidence: &[
        "aws/aws-lambda-roadmap#82",
        "docker/buildx#1533",
        "imagegenius/docker-immich#721",
        "blakeblackshear/frigate#7308",
        "stalwartlabs/stalwart#1192",
        "aws/amazon-ecs-agent#4179",
        "containerd/containerd#9859",
        "docker/for-linux#414",
    ],
    explanation: "AWS Lambda takes no index. Docker before 23.0 has no zstd, no index within an index and no more than 125 \
        layers, and its daemon ends on an entry whose operating system is not written in lower case. containerd before 2.0 has \
        no zstd under Docker's media type, nor has Quay. For each profile that the policy names, what it would pull is looked \
        at; without a profile nothing is.",
    fix: "publish for the oldest client: gzip layers, OCI media types, a flat index; for Lambda, a tag of one platform",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    if !facts.is_image() {
        return;
    }
    for profile in wanted.profiles.iter().filter_map(|name| Profile::named(name)) {
        match facts.index() {
            Some(index) if profile.choice == Choice::NoIndex => no_index(profile, facts, index, findings),
            Some(index) => {
                for entry in pulled(profile, facts, wanted, index) {
                    child(profile, entry, findings);
                }
            }
            None => child(profile, &facts.root, findings),
        }
    }
}

/// Lambda and attestations beside a single platform have a rule of their own, with a fix of its own.
fn no_index(profile: &Profile, facts: &ImageFacts, index: &IndexFacts, findings: &mut Findings) {
    let platforms = index.children.iter().filter(|entry| !entry.is_attestation()).count();
    if platforms == 1 && index.children.len() > 1 {
        return;
    }
    let message = format!("{} takes a single manifest, not an index", profile.client);
    profile.name.clone_into(&mut findings.add(Place::digest(&facts.name.digest), message).key);
}

/// What a client takes from an index on any machine, each once.
fn pulled<'a>(
    profile: &Profile,
    facts: &'a ImageFacts,
    wanted: &Expectations,
    index: &'a IndexFacts,
) -> Vec<&'a Entry> {
    if profile.choice == Choice::All {
        return facts.entries().into_iter().filter(|entry| entry.platform_image().is_some()).collect();
    }
    let mut seen = HashSet::new();
    let chosen = machines(facts, wanted).into_iter().filter_map(|machine| choose(profile, index, &machine.platform));
    chosen.filter(|entry| seen.insert(&entry.descriptor.digest)).collect()
}

fn child(profile: &Profile, entry: &Entry, findings: &mut Findings) {
    let mut add = |what: &str, message: String| {
        findings.add(place(entry), message).key = format!("{} {what}", profile.name);
    };
    let client = profile.client;
    // Seen on 20.10.24: "invalid memory address or nil pointer dereference" where it looks up the layers of that system.
    let os = entry.descriptor.platform.as_ref().map(|platform| platform.os.as_str()).unwrap_or_default();
    if profile.choice == Choice::Docker20 && os != os.to_ascii_lowercase() {
        add("os", format!("the daemon of {client} ends on the operating system {os}"));
    }
    if matches!(entry.node, Node::Index(_)) {
        add("nested", format!("{client} does not look into an index within the index"));
    }
    if let Some(image) = entry.platform_image() {
        self::image(profile, &image, &mut add);
    }
}

fn image(profile: &Profile, image: &PlatformImage<'_>, add: &mut dyn FnMut(&str, String)) {
    let client = profile.client;
    let layers = &image.manifest.view.layers;
    let mut unread: Vec<&str> =
        layers.iter().map(|layer| &*layer.media_type).filter(|kind| !profile.reads(kind)).collect();
    let count = unread.len();
    unread.dedup();
    if let Some(kind) = unread.first() {
        add("layers", format!("{client} does not read {count} of {}: {kind}", plural(layers.len(), "layer")));
    }
    if profile.max_layers.is_some_and(|most| layers.len() > most) {
        let most = profile.max_layers.unwrap_or_default();
        add("layer count", format!("{client} takes {most} layers at most; there are {}", layers.len()));
    }
    if profile.max_bytes.is_some_and(|most| image.size() > most) {
        let most = profile.max_bytes.unwrap_or_default();
        add("size", format!("{client} takes {} at most; there are {}", bytes(most), bytes(image.size())));
    }
    let own = image.platform().normalize();
    if !profile.platforms.is_empty() && !profile.platforms.contains(&own.to_string().as_str()) {
        add("platform", format!("{client} runs {}, not {own}", profile.platforms.join(" and ")));
    }
}
