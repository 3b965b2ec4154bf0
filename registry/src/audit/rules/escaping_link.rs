//! Links that lead out of the image, in circles, or nowhere.

use std::collections::BTreeSet;

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::layer::stack::{Seen, Stack, Trust};
use crate::audit::layer::tree::Node;
use crate::audit::layer::{Noted, Oddity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::layers;

pub(super) const RULE: Rule = Rule {
    id: "escaping-link",
    title: "a layer has links that lead out of the image, in circles, or to files that are not there",
    severity: Severity::Error,
    cost: Cost::Layers,
    group: Group::Layers,
    evidence: &["google/go-containerregistry#2232", "google/go-containerregistry#2002", "GHSA-fxhp-mv3v-67qp"],
    explanation: "A hard link to a file that is in no layer below, or outside the image, cannot be unpacked. Relative symbolic \
        links that climb above the root are harmless in a container, where the root is its own parent, but lead tools \
        astray that unpack without care; so do circles. Absolute links, and links to what is mounted later, are no findings.",
    fix: "make the link point into the image, or put the file it links to into the same layer",
    check: Check::Image(check),
};

/// Steps through layers that are spent on the links of one layer or image: enough for any distribution, and no more for a
/// layer that is made to be slow.
const MOST_STEPS: usize = 4_000_000;
/// Steps one hard link is reckoned at.
const STEPS: usize = 8;

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    let mut dangling = BTreeSet::new();
    for layer in layers::read(facts) {
        layer.oddities(
            findings,
            &[
                (Severity::Error, Oddity::HardlinkOut, "hard links out of the image"),
                (Severity::Warning, Oddity::SymlinkOut, "symbolic links above the root"),
            ],
        );
        let Some(trees) = layer.uses.first().and_then(|(image, _)| layers::trees(facts, image)) else { continue };
        let number = layer.uses[0].1;
        let below = Stack::new(&trees[..=number], Trust::SoFar);
        dangling.clear();
        let links = layer.facts.tree.nodes().filter_map(|(path, node)| match node {
            Node::Hardlink(target) => Some((path, target)),
            _ => None,
        });
        for (path, target) in links.take(MOST_STEPS / STEPS / (number + 1)) {
            if below.resolve(target) == Seen::Missing {
                dangling.insert(path);
            }
        }
        if let Some(noted) = noted(&dangling) {
            let message = format!("hard links to files that are not there: {}", noted.list());
            layer.found(findings, Severity::Error, "dangling", message);
        }
    }
    for image in facts.platforms() {
        let Some(trees) = layers::trees(facts, &image) else { continue };
        let stack = Stack::new(&trees, Trust::SoFar);
        let links = trees.iter().flatten().flat_map(|tree| tree.nodes());
        let links = links.filter(|(_, node)| matches!(node, Node::Symlink(_))).map(|(path, _)| path);
        let (mut circles, mut steps) = (BTreeSet::new(), 0);
        for path in links {
            let (is_circle, taken) = stack.is_circle(path);
            if is_circle {
                circles.insert(path);
            }
            steps += taken * trees.len();
            if steps > MOST_STEPS {
                break;
            }
        }
        if let Some(noted) = noted(&circles) {
            let message = format!("symbolic links in circles: {}", noted.list());
            findings.add_as(Severity::Warning, image.place(), message).key = "circles".to_owned();
        }
    }
}

fn noted(paths: &BTreeSet<&[u8]>) -> Option<Noted> {
    let mut noted = Noted::default();
    paths.iter().for_each(|path| noted.add(path));
    (noted.count > 0).then_some(noted)
}
