//! A layer goes on after its end.

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::layer::{Ended, Oddity};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::layers;
use crate::verify::tar_walk::DATA_AFTER_END;

pub(super) const RULE: Rule = Rule {
    id: "trailing-layer-data",
    title: "a layer has data after the end of its archive or of its compressed stream",
    severity: Severity::Warning,
    cost: Cost::Layers,
    group: Group::Layers,
    evidence: &["CVE-2025-62518"],
    explanation: "Some tools stop at the end of an archive, some read on, some refuse it: what is behind the end is there for \
        the one and not for the other, and so hidden from a scanner. gzip streams of several members are valid, and \
        mentioned only: a few readers stop after the first. eStargz layers have them by design.",
    fix: "pack the layer anew; do not append to archives or to compressed files",
    check: Check::Image(check),
};

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for layer in layers::read(facts) {
        let digest = &layer.descriptor.digest;
        if let Ended::Tar { reason: DATA_AFTER_END, offset } = layer.facts.ended {
            let message = format!("layer {digest} has data after the end of the archive, before byte {offset}");
            layer.found(findings, Severity::Warning, "archive", message);
        }
        if layer.facts.noted(Oddity::Trailing).is_some() {
            let message = format!("layer {digest} has data after the end of the gzip stream");
            layer.found(findings, Severity::Warning, "gzip", message);
        }
        let members = layer.facts.noted(Oddity::GzipMember).filter(|_| layer.facts.contents.is_none());
        if let Some(members) = members {
            let message = format!("layer {digest} is a gzip stream of {} members", members.count + 1);
            layer.found(findings, Severity::Info, "members", message);
        }
    }
}
