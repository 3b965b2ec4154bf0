//! Platforms have different files.

use std::collections::BTreeSet;

use crate::audit::binary::names_any_machine;
use crate::audit::facts::{ImageFacts, PlatformImage};
use crate::audit::finding::{Findings, Severity};
use crate::audit::layer::Noted;
use crate::audit::layer::tree::{Node, Tree};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::layers;

pub(super) const RULE: Rule = Rule {
    id: "file-set-drift",
    title: "platforms have different files",
    severity: Severity::Info,
    cost: Cost::Layers,
    group: Group::Drift,
    evidence: &["headroomlabs-ai/headroom#2673", "attevon-llc/OpenTranscribe#680"],
    explanation: "A step that failed silently on one platform, a download that has no build for it, or a base that is another one \
        leaves its image without files the others have. Paths that name a machine, and loaders, differ rightly and are left \
        out; a few differences are usual and are not mentioned. Images of other operating systems are not compared.",
    fix: "compare the build logs of the two platforms; if the difference is meant, turn this rule off for the repository",
    check: Check::Image(check),
};

/// Paths of one image that are looked for in the layers above them.
const MOST_PATHS: usize = 3_000_000;
/// Different paths in a hundred that are usual between architectures.
const USUAL_PERCENT: usize = 2;

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    if facts.layers.is_none() {
        return;
    }
    let mut images = facts.platforms().into_iter();
    let Some(first) = images.next() else { return };
    let Some(own) = paths(facts, &first) else { return };
    for image in images.filter(|image| image.platform().os == first.platform().os) {
        let Some(other) = paths(facts, &image) else { continue };
        let usual = own.len().max(other.len()) * USUAL_PERCENT / 100;
        if own.symmetric_difference(&other).count() <= usual {
            continue;
        }
        let (here, there) = (image.platform(), first.platform());
        let only = |a: &BTreeSet<&[u8]>, b: &BTreeSet<&[u8]>| {
            let mut noted = Noted::default();
            a.difference(b).for_each(|path| noted.add(path));
            noted
        };
        let (more, less) = (only(&other, &own), only(&own, &other));
        let parts = [(more, here.to_string()), (less, there.to_string())];
        let parts = parts.iter().filter(|(noted, _)| noted.count > 0);
        let parts: Vec<String> = parts.map(|(noted, name)| format!("only in {name}: {}", noted.list())).collect();
        findings.add(image.place(), format!("other files than {there}: {}", parts.join("; "))).key = there.to_string();
    }
}

fn paths<'a>(facts: &'a ImageFacts, image: &PlatformImage<'_>) -> Option<BTreeSet<&'a [u8]>> {
    visible(&layers::trees(facts, image)?)
}

/// Returns the files of all layers together, without those whose path names a machine.
fn visible<'a>(trees: &[Option<&'a Tree>]) -> Option<BTreeSet<&'a [u8]>> {
    let (mut paths, mut looked) = (BTreeSet::new(), 0);
    for (number, tree) in trees.iter().enumerate() {
        let above: Vec<&Tree> = trees[number + 1..].iter().flatten().copied().collect();
        for (path, node) in tree.iter().flat_map(|tree| tree.nodes()) {
            let is_file = !matches!(node, Node::Dir { .. });
            if is_file && !names_any_machine(path) && !above.iter().any(|above| above.hides(path)) {
                paths.insert(path);
            }
        }
        looked += tree.map_or(0, Tree::len) * (above.len() + 1);
        if looked > MOST_PATHS {
            return None;
        }
    }
    Some(paths)
}
