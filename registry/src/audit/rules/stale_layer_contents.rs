//! The table of contents in a layer is not that of the layer.

use std::collections::BTreeSet;

use crate::audit::facts::ImageFacts;
use crate::audit::finding::{Findings, Severity};
use crate::audit::layer::Noted;
use crate::audit::layer::tree::{Node, WHITEOUT, base_name, clean};
use crate::audit::policy::Expectations;
use crate::audit::rule::{Check, Cost, Group, Rule};
use crate::audit::rules::layers::{self, Layer};

pub(super) const RULE: Rule = Rule {
    id: "stale-layer-contents",
    title: "an eStargz layer's table of contents names other files than the layer has",
    severity: Severity::Warning,
    cost: Cost::Layers,
    group: Group::Layers,
    evidence: &["google/crfs#27", "containers/storage#1778"],
    explanation: "Clients that fetch single files of a layer go by a table of contents in it, all others by its entries. If the \
        two differ, they run different files, and a scanner sees only one of them. It happens when a layer is changed or \
        compressed anew after the table was made, and its annotation in the manifest is kept.",
    fix: "convert the layer again with the tool that made the table, or drop the table and its annotation",
    check: Check::Image(check),
};

/// Where the manifest has the table's digest (containerd/stargz-snapshotter, docs/estargz.md).
const ANNOTATION: &str = "containerd.io/snapshot/stargz/toc.digest";
/// Entries of eStargz's own.
const OWN: [&[u8]; 3] = [b"stargz.index.json", b".prefetch.landmark", b".no.prefetch.landmark"];

fn check(facts: &ImageFacts, _: &Expectations, findings: &mut Findings) {
    for layer in layers::read(facts).into_iter().filter(|layer| layer.facts.tree.is_whole) {
        let named = layer.descriptor.annotations.get(ANNOTATION);
        let Some(contents) = &layer.facts.contents else {
            if named.is_some() {
                layer.found(findings, Severity::Warning, "missing", "its table of contents is not there".to_owned());
            }
            continue;
        };
        if named.is_some_and(|named| *named != contents.digest.to_string()) {
            let message = format!("its table of contents is {}, not the annotated one", contents.digest);
            layer.found(findings, Severity::Warning, "digest", message);
        }
        match &contents.names {
            None => {
                layer.found(findings, Severity::Warning, "json", "its table of contents cannot be read".to_owned());
            }
            Some(names) => differing(&layer, names, findings),
        }
    }
}

fn differing(layer: &Layer<'_>, names: &[String], findings: &mut Findings) {
    let named: BTreeSet<Vec<u8>> = names.iter().filter_map(|name| clean(name.as_bytes())).collect();
    let is_entry = |node: &Node| !matches!(node, Node::Dir { .. });
    let own = layer.facts.tree.nodes().filter(|(path, node)| is_entry(node) && !OWN.contains(path));
    let own: BTreeSet<&[u8]> = own.map(|(path, _)| path).collect();
    let unnamed: Vec<&[u8]> = own.iter().filter(|path| !named.contains(**path)).copied().collect();
    let is_file = |path: &&Vec<u8>| !path.is_empty() && !base_name(path).starts_with(WHITEOUT);
    let absent = named.iter().filter(is_file).filter(|path| layer.facts.tree.node(path).is_none());
    let absent: Vec<&[u8]> = absent.map(|path| &path[..]).filter(|path| !OWN.contains(path)).collect();
    for (paths, words) in [(unnamed, "not in its table of contents"), (absent, "only in its table of contents")] {
        let mut noted = Noted::default();
        paths.into_iter().for_each(|path| noted.add(path));
        if noted.count > 0 {
            layer.found(findings, Severity::Warning, words, format!("{words}: {}", noted.list()));
        }
    }
}
