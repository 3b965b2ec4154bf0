//! Entries of which tools make different files.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::layer::{Ended, Oddity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::layers;
use crate::verify::tar_walk::SIZES_DISAGREE;

pub(super) const RULE: Rule = Rule {
    id: "ambiguous-tar-entries",
    title: "a layer's archive has entries of which tools make different files",
    severity: Severity::Warning,
    cost: Cost::Layers,
    group: Group::Layers,
    evidence: &["CVE-2025-62518"],
    explanation: "An extended header and the header it belongs to that disagree about a size make one tool see entries where \
        another sees a file's content, which hides them from a scanner: that is an error. A path that is there twice, two \
        headers that name an entry differently, no name, or one that is not UTF-8 are taken differently by tools, too.",
    fix: "write the layer with one well-kept tool, each path once; do not append to archives",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for layer in layers::read(facts) {
        if let Ended::Tar { reason: SIZES_DISAGREE, offset } = layer.facts.ended {
            let message =
                format!("{SIZES_DISAGREE}, at byte {offset} of the unpacked layer {}", layer.descriptor.digest);
            layer.found(findings, Severity::Error, "sizes", message);
        }
        layer.oddities(
            findings,
            &[
                (Severity::Warning, Oddity::TwoNames, "named differently by two headers"),
                (Severity::Warning, Oddity::Duplicate, "there more than once"),
                (Severity::Warning, Oddity::Nameless, "entries without a name"),
                (Severity::Warning, Oddity::NotUtf8, "names that are not UTF-8"),
            ],
        );
    }
}
