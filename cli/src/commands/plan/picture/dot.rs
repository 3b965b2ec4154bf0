//! Graphviz' language: a cluster for every lane.

use std::fmt::Write as _;

use polyarch_builder::plan::Mode;

use super::{Picture, Stage};

/// Returns the graph, ending in a newline.
pub(in super::super) fn render(picture: &Picture) -> String {
    let mut out = String::from("digraph plan {\n");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "  rankdir=LR; labelloc=t; fontname=\"sans-serif\"; label={};", quoted(&picture.title));
    out.push_str("  node [fontname=\"sans-serif\", style=filled]; edge [color=\"#555555\"];\n");
    for (at, lane) in picture.lanes.iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster_{at} {{");
        let _ = writeln!(out, "    label={}; style=rounded; color=\"#999999\";", quoted(&lane.name));
        for (place, stage) in picture.boxes.iter().enumerate().filter(|(_, stage)| stage.lane == at) {
            let _ = writeln!(out, "    s{place} [{}];", attributes(stage));
        }
        out.push_str("  }\n");
    }
    for (from, to) in &picture.arrows {
        let _ = writeln!(out, "  s{from} -> s{to};");
    }
    out.push_str("}\n");
    out
}

fn attributes(stage: &Stage) -> String {
    let (shape, style, fill) = match stage.mode {
        Mode::Files => ("note", "filled", "#eeeeee"),
        Mode::Native => ("box", "filled", "#cfe8cf"),
        Mode::Cross => ("ellipse", "filled", "#cfe0f5"),
        Mode::Emulated => ("hexagon", "filled,dashed", "#fbe3b5"),
        Mode::Impossible => ("octagon", "filled,bold", "#f5c6c2"),
    };
    let lines = [stage.name.as_str(), &format!("FROM {}", stage.base), &stage.how].map(inner).join("\\n");
    let peripheries = if stage.is_target { ", peripheries=2" } else { "" };
    let tooltip = stage.hover.iter().map(|line| inner(line)).collect::<Vec<_>>().join("\\n");
    format!(
        "label=\"{lines}\", tooltip=\"{tooltip}\", shape={shape}, style=\"{style}\", fillcolor=\"{fill}\"{peripheries}"
    )
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", inner(text))
}

fn inner(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
