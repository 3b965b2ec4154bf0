//! The graph for Graphviz: what stays, what can go. Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::graph::{Graph, Kind};
use super::plan::Plan;
use crate::oci::Digest;

/// Returns the graph in the DOT language.
pub fn dot(graph: &Graph, plan: &Plan) -> String {
    let gone_tags: BTreeSet<&str> = plan.tags.iter().map(String::as_str).collect();
    let gone: BTreeSet<&Digest> = plan.manifests.iter().map(|one| &one.digest).collect();
    let mut out =
        format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=filled];\n", quoted(&graph.repository));
    let color = |gone: bool| if gone { "\"#f4c7c3\"" } else { "\"#c8e6c9\"" };
    // Writing to a String cannot fail.
    for (name, tag) in &graph.tags {
        let fill = color(gone_tags.contains(name.as_str()));
        let _ = writeln!(
            out,
            "  {} [label={}, shape=cds, fillcolor={fill}];",
            quoted(&format!("tag {name}")),
            quoted(name)
        );
        let _ = writeln!(out, "  {} -> {};", quoted(&format!("tag {name}")), quoted(&tag.digest.to_string()));
        if let Some(about) = &tag.about {
            let _ =
                writeln!(out, "  {} -> {} [style=dashed];", quoted(&format!("tag {name}")), quoted(&about.to_string()));
        }
    }
    for (digest, manifest) in &graph.manifests {
        let what = manifest.platform.as_deref().unwrap_or(manifest.kind.name());
        let fill = match manifest.kind {
            Kind::Missing => "white",
            _ => color(gone.contains(digest)),
        };
        let id = quoted(&digest.to_string());
        let _ = writeln!(out, "  {id} [label={}, fillcolor={fill}];", quoted(&format!("{what} {}", digest.short())));
        for child in &manifest.children {
            let _ = writeln!(out, "  {id} -> {};", quoted(&child.to_string()));
        }
        if let Some(subject) = &manifest.subject {
            let _ = writeln!(out, "  {id} -> {} [style=dashed];", quoted(&subject.to_string()));
        }
    }
    out + "}\n"
}

/// A platform is what somebody wrote into an index.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_ends_no_string() {
        assert_eq!(quoted("a\"]; x -> \\y\n"), "\"a\\\"]; x -> \\\\y\u{fffd}\"");
    }
}
