//! SARIF 2.1.0 (OASIS): what every log of ours has in common. Pure.

use serde_json::{Value, json};

use super::audit::json::visible;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Returns a log of one run of polyarch, ending in a newline.
pub fn log(rules: Vec<Value>, results: Vec<Value>, more: Value) -> String {
    let driver = json!({ "name": "polyarch", "version": env!("CARGO_PKG_VERSION"), "rules": rules });
    let mut run = json!({ "tool": { "driver": driver }, "columnKind": "unicodeCodePoints", "results": results });
    if let (Some(run), Value::Object(more)) = (run.as_object_mut(), more) {
        run.extend(more);
    }
    let log = json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": [run] });
    visible(&format!("{log:#}\n"))
}
