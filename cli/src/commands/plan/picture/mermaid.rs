//! Mermaid's flowchart, which code hosting sites draw in Markdown.

use std::fmt::Write as _;

use polyarch_builder::plan::Mode;

use super::{Picture, Stage};

const CLASSES: &str = "\
  classDef files fill:#eee,stroke:#777,color:#000
  classDef native fill:#cfe8cf,stroke:#2b6b2b,color:#000
  classDef cross fill:#cfe0f5,stroke:#1f4e8c,color:#000
  classDef emulated fill:#fbe3b5,stroke:#8a5a00,stroke-dasharray:6 4,color:#000
  classDef impossible fill:#f5c6c2,stroke:#a11208,stroke-width:4px,color:#000
";

/// Returns the flowchart, ending in a newline.
pub(in super::super) fn render(picture: &Picture) -> String {
    let mut out = format!("%% {}\nflowchart LR\n", picture.title.replace(['{', '}', '%'], " "));
    for (at, lane) in picture.lanes.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  subgraph lane{at}[\"{}\"]", text(&lane.name));
        for (place, stage) in picture.boxes.iter().enumerate().filter(|(_, stage)| stage.lane == at) {
            let _ = writeln!(out, "    {}", node(place, stage));
        }
        out.push_str("  end\n");
    }
    for (from, to) in &picture.arrows {
        let _ = writeln!(out, "  s{from} --> s{to}");
    }
    out.push_str(CLASSES);
    out
}

fn node(place: usize, stage: &Stage) -> String {
    let (open, close) = match stage.mode {
        Mode::Files => ("[/", "/]"),
        Mode::Native => ("[", "]"),
        Mode::Cross => ("([", "])"),
        Mode::Emulated => ("{{", "}}"),
        Mode::Impossible => ("[[", "]]"),
    };
    let target = if stage.is_target { " ★" } else { "" };
    let label = format!("{}{target}<br/>FROM {}<br/>{}", text(&stage.name), text(&stage.base), text(&stage.how));
    format!("s{place}{open}\"{label}\"{close}:::{}", stage.mode)
}

/// Mermaid's entities are numbered characters; what is a letter, a digit or harmless stays.
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            ' ' | '-' | '_' | '.' | '/' | ':' | ',' | '(' | ')' => out.push(char),
            other if other.is_alphanumeric() => out.push(other),
            other => {
                let _ = write!(out, "#{};", u32::from(other));
            }
        }
    }
    out
}
