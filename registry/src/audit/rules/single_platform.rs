//! A tag leads to one platform's image where an index is asked for.

use crate::audit::facts::{ImageFacts, Node};
use crate::audit::finding::{Findings, Severity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};

pub(super) const RULE: Rule = Rule {
    id: "single-platform",
    title: "the tag leads to one platform's image, where the policy asks for more",
    severity: Severity::Error,
    cost: Cost::Manifests,
    group: Group::Platforms,
    evidence: &[
        "midnightntwrk/midnight-indexer#1384",
        "czlonkowski/n8n-mcp#328",
        "OwlCaribou/swurApp#19",
        "alseambusher/crontab-ui#273",
        "coollabsio/coolify#6758",
    ],
    explanation: "Jobs of several platforms that push to one tag leave the platform of the last one; pulling, tagging and \
        pushing an image with docker drops all platforms but one. Clients of the others then get a program they cannot run, \
        without `no matching manifest`, because nothing is there to match. An image of one platform is no finding of \
        itself: it is one where the policy requires an index or several platforms. Whether it stands out among the other \
        tags of its repository is asked by overwritten-tag.",
    fix: "push an index of all platforms, and let one job alone move the tag",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, wanted: &Expectations, findings: &mut Findings) {
    let Node::Image(_) = &facts.root.node else { return };
    let Some(image) = facts.root.platform_image() else { return };
    if wanted.require_index {
        findings.add(image.place(), "it is a single manifest, not an index as the policy requires");
    } else if wanted.required_platforms.len() > 1 {
        let count = wanted.required_platforms.len();
        let message = format!("it is a single manifest, while the policy requires {count} platforms");
        findings.add_as(Severity::Warning, image.place(), message);
    }
}
