//! `--metadata-file`: buildx's keys, and ours under `polyarch`.

use serde_json::{Map, Value, json};

use super::result::{BuildReport, OutputOutcome, PlatformRow, RowResult, Verified};

/// Version of the `polyarch` object.
pub const VERSION: u32 = 1;

/// Returns the document.
pub fn document(report: &BuildReport) -> Value {
    let mut document = Map::new();
    if let Some(root) = &report.root {
        if let ([_], Some((_, only))) = (report.platforms.as_slice(), report.built().next()) {
            // As buildx: only where there is one platform.
            document.insert("containerimage.config.digest".into(), json!(only.config));
        }
        document.insert("containerimage.descriptor".into(), json!(root));
        document.insert("containerimage.digest".into(), json!(root.digest));
    }
    let moved: Vec<&str> =
        report.tags.iter().filter(|tag| tag.result.is_ok()).map(|tag| tag.reference.as_str()).collect();
    // A tag that did not move is no name of the image, though the store may call it so.
    let name = if report.tags.is_empty() { report.stored_as.clone().unwrap_or_default() } else { moved.join(",") };
    if !name.is_empty() {
        document.insert("image.name".into(), json!(name));
    }
    document.insert("polyarch".into(), ours(report));
    Value::Object(document)
}

fn ours(report: &BuildReport) -> Value {
    let tags: Vec<Value> = report
        .tags
        .iter()
        .map(|tag| match &tag.result {
            Ok(digest) => json!({ "reference": tag.reference, "digest": digest }),
            Err(reason) => json!({ "reference": tag.reference, "error": reason }),
        })
        .collect();
    json!({
        "version": VERSION,
        "elapsed_seconds": report.elapsed.as_secs_f64(),
        "platforms": report.platforms.iter().map(platform).collect::<Vec<_>>(),
        "tags": tags,
        "outputs": report.outputs.iter().map(output).collect::<Vec<_>>(),
        "warnings": report.warnings,
    })
}

fn output(output: &OutputOutcome) -> Value {
    json!({ "what": output.what, "notes": output.notes, "error": output.failure })
}

fn platform(row: &PlatformRow) -> Value {
    let mut value = json!({
        "platform": row.platform.to_string(),
        "elapsed_seconds": row.elapsed.as_secs_f64(),
        "cached_steps": row.cached,
        "executed_steps": row.executed,
        "node": row.node,
        "builder": row.builder,
    });
    let more = match &row.result {
        RowResult::Built(image) => json!({
            "outcome": "built",
            "digest": image.manifest.digest,
            "media_type": image.manifest.media_type,
            "config_digest": image.config,
            "size": image.size,
            "layers": image.layers,
            "verified": match image.verified {
                Verified::Everything => "everything",
                Verified::Manifests => "manifests",
            },
        }),
        RowResult::Files => json!({ "outcome": "files" }),
        RowResult::Failed(failure) => json!({
            "outcome": "failed",
            "message": failure.message,
            "step": failure.vertex,
            "exit_code": failure.exit_code,
            "file": failure.source.as_ref().map(|source| &source.file),
            "line": failure.source.as_ref().and_then(|source| source.ranges.first()).map(|range| range.0),
        }),
        RowResult::Cancelled => json!({ "outcome": "cancelled" }),
    };
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}
