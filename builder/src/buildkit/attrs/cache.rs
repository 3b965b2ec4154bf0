//! `--cache-from` as the frontend's `cache-imports` (BuildKit `client/solve.go`, parseCacheOptions).

use std::collections::BTreeMap;

use serde::Serialize;

use super::{AttrsError, SessionNames};
use crate::request::CacheSpec;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    r#type: &'a str,
    attrs: BTreeMap<&'a str, String>,
}

/// Returns the JSON of the imports, or `None` if there are none.
///
/// # Errors
/// [`AttrsError::NoCacheDigest`]: BuildKit cannot find a local cache's manifest by itself.
pub fn cache_imports(specs: &[CacheSpec], names: &SessionNames) -> Result<Option<String>, AttrsError> {
    let there = specs.iter().filter(|spec| !is_absent(spec, names));
    let entries: Vec<_> = there.map(|spec| entry(spec, names)).collect::<Result<_, _>>()?;
    if entries.is_empty() {
        return Ok(None);
    }
    // Strings and string maps always serialise.
    Ok(serde_json::to_string(&entries).ok())
}

/// A first build has no cache yet.
fn is_absent(spec: &CacheSpec, names: &SessionNames) -> bool {
    spec.kind == "local" && spec.attrs.get("src").is_some_and(|src| names.absent_caches.contains(src))
}

fn entry<'a>(spec: &'a CacheSpec, names: &SessionNames) -> Result<Entry<'a>, AttrsError> {
    let mut attrs: BTreeMap<_, _> = spec.attrs.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    if spec.kind == "local" && !attrs.contains_key("digest") {
        let source = attrs.get("src").cloned().unwrap_or_default();
        let digest = names.local_caches.get(&source).ok_or(AttrsError::NoCacheDigest(source))?;
        attrs.insert("digest", digest.to_string());
    }
    Ok(Entry { r#type: &spec.kind, attrs })
}
