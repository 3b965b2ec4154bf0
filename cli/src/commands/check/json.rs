//! Findings as a versioned JSON document; docs/plan.md describes it.

use polyarch_builder::lint::Finding;
use polyarch_registry::oci::Platform;
use serde::Serialize;

use super::super::plan::Prepared;

/// Grows with every change that a reader of the document could trip over.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    dockerfile: &'a str,
    platforms: &'a [Platform],
    findings: &'a [Finding],
}

/// Returns the document, ending in a newline.
pub(super) fn render(prepared: &Prepared, findings: &[Finding]) -> String {
    let document =
        Document { version: VERSION, dockerfile: &prepared.name, platforms: &prepared.input.platforms, findings };
    // Strings and numbers under string keys: this cannot fail.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}
