//! The plan as a versioned JSON document; docs/plan.md describes it.

use polyarch_builder::plan::{NodeFacts, Plan};
use serde::Serialize;

use super::Prepared;
use crate::commands::last_build::LastBuild;

/// Grows with every change that a reader of the document could trip over.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    dockerfile: &'a str,
    target: Option<&'a str>,
    ignore_file: Option<&'a str>,
    nodes: &'a [NodeFacts],
    last_builds: &'a [LastBuild],
    #[serde(flatten)]
    plan: &'a Plan,
}

/// Returns the document, ending in a newline.
pub(super) fn render(prepared: &Prepared, plan: &Plan) -> String {
    let input = &prepared.input;
    let document = Document {
        version: VERSION,
        dockerfile: &prepared.name,
        target: input.target.as_deref(),
        ignore_file: prepared.ignore_file.as_deref(),
        nodes: &input.nodes,
        last_builds: &prepared.last_builds,
        plan,
    };
    // Strings and numbers under string keys: this cannot fail.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}
