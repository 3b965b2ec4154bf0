//! Joining exported caches (BuildKit `cache/remotecache/v1/spec.go`). Pure.
//!
//! Records are a graph in an array, named by position; one is the same in two caches if its digest and its inputs are. They
//! must be joined, not put side by side: of two roots with one digest BuildKit's importer (`cachestorage.go`) keeps the links
//! of the last.

use std::collections::HashMap;

use bytes::Bytes;
use polyarch_registry::oci::{Descriptor, Digest, RawManifest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Media type of the configuration.
pub const CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";
/// Longest chain of records or layers that is followed; a step of a Dockerfile makes two or three, and overlayfs takes 500 layers.
const DEEPEST: usize = 600;

/// One exported cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its manifest; an index whose entries are layers, or an image manifest (`image-manifest=true`).
    pub manifest: RawManifest,
    /// Its configuration.
    pub config: Bytes,
}

/// Why caches cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Not JSON of its type.
    #[error("an exported cache cannot be read")]
    Json(#[from] serde_json::Error),
    /// A number points at nothing, or in a circle.
    #[error("an exported cache is inconsistent: {0}")]
    Inconsistent(&'static str),
    /// There is none.
    #[error("there is no cache to join")]
    Nothing,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Config {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<Layer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    records: Vec<Record>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Layer {
    #[serde(default)]
    blob: String,
    /// Absent is 0; a layer without one has -1.
    #[serde(default)]
    parent: i64,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    #[serde(rename = "layers", skip_serializing_if = "Vec::is_empty")]
    results: Vec<Outcome>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chains: Vec<Chain>,
    digest: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<Vec<Input>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Outcome {
    layer: i64,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Chain {
    layers: Vec<i64>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Input {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    selector: String,
    #[serde(default)]
    link: usize,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Joins caches in this order; the manifest takes the form of the first. One alone stays byte for byte what it was.
///
/// # Errors
/// [`MergeError`].
pub fn merge(exports: &[Export]) -> Result<Export, MergeError> {
    let Some(first) = exports.first() else { return Err(MergeError::Nothing) };
    if exports.iter().all(|export| export == first) {
        return Ok(first.clone());
    }
    let mut joined = Joined::default();
    let mut blobs: Vec<Descriptor> = Vec::new();
    for export in exports {
        joined.add(serde_json::from_slice(&export.config)?)?;
        for blob in layers(&export.manifest)? {
            if !blobs.iter().any(|known| known.digest == blob.digest) {
                blobs.push(blob);
            }
        }
    }
    let config = Bytes::from(serde_json::to_vec(&joined.config)?);
    let manifest = rewritten(&first.manifest, blobs, &config)?;
    Ok(Export { manifest, config })
}

#[derive(Default)]
struct Joined {
    config: Config,
    layers: HashMap<(String, i64), i64>,
    records: HashMap<RecordKey, usize>,
}

/// Digest, and selector and position of each input.
type RecordKey = (String, Vec<Vec<(String, usize)>>);

impl Joined {
    fn add(&mut self, other: Config) -> Result<(), MergeError> {
        let (layers, records) = (vec![None; other.layers.len()], vec![None; other.records.len()]);
        let mut adding = Adding { joined: self, other: &other, layers, records };
        for at in 0..other.layers.len() {
            adding.layer(at, 0)?;
        }
        for at in 0..other.records.len() {
            adding.record(at, 0)?;
        }
        for (key, value) in other.rest {
            self.config.rest.entry(key).or_insert(value);
        }
        Ok(())
    }
}

/// A cache being joined to others, with the new place of each of its layers and records that has one.
struct Adding<'a> {
    joined: &'a mut Joined,
    other: &'a Config,
    layers: Vec<Option<i64>>,
    records: Vec<Option<usize>>,
}

impl Adding<'_> {
    fn layer(&mut self, at: usize, depth: usize) -> Result<i64, MergeError> {
        let old = self.other.layers.get(at).ok_or(MergeError::Inconsistent("a layer's parent is not there"))?;
        if let Some(new) = self.layers[at] {
            return Ok(new);
        }
        if depth > DEEPEST {
            return Err(MergeError::Inconsistent("layers are nested too deeply, or in a circle"));
        }
        let parent = match usize::try_from(old.parent) {
            Ok(parent) => self.layer(parent, depth + 1)?,
            Err(_) => -1,
        };
        let next = self.joined.config.layers.len() as i64;
        let new = *self.joined.layers.entry((old.blob.clone(), parent)).or_insert(next);
        if new == next {
            self.joined.config.layers.push(Layer { parent, ..old.clone() });
        }
        self.layers[at] = Some(new);
        Ok(new)
    }

    fn record(&mut self, at: usize, depth: usize) -> Result<usize, MergeError> {
        let old = self.other.records.get(at).ok_or(MergeError::Inconsistent("a record's input is not there"))?;
        if let Some(new) = self.records[at] {
            return Ok(new);
        }
        if depth > DEEPEST {
            return Err(MergeError::Inconsistent("records are nested too deeply, or in a circle"));
        }
        let mut record = old.clone();
        for input in record.inputs.iter_mut().flatten() {
            input.link = self.record(input.link, depth + 1)?;
        }
        for result in &mut record.results {
            result.layer = self.moved(result.layer)?;
        }
        for number in record.chains.iter_mut().flat_map(|chain| &mut chain.layers) {
            *number = self.moved(*number)?;
        }
        let records = &mut self.joined.config.records;
        let next = records.len();
        let new = *self.joined.records.entry(record.key()).or_insert(next);
        match records.get_mut(new) {
            Some(known) => known.take(record),
            None => records.push(record),
        }
        self.records[at] = Some(new);
        Ok(new)
    }

    fn moved(&self, layer: i64) -> Result<i64, MergeError> {
        let known = usize::try_from(layer).ok().and_then(|at| *self.layers.get(at)?);
        known.ok_or(MergeError::Inconsistent("a record names a layer that is not there"))
    }
}

impl Record {
    fn key(&self) -> RecordKey {
        let inputs = self.inputs.iter().map(|one| {
            let mut keys: Vec<_> = one.iter().map(|input| (input.selector.clone(), input.link)).collect();
            keys.sort();
            keys
        });
        (self.digest.clone(), inputs.collect())
    }

    /// Takes the results of the same record of another cache that are not known here.
    fn take(&mut self, other: Self) {
        for result in other.results {
            if !self.results.iter().any(|one| one.layer == result.layer) {
                self.results.push(result);
            }
        }
        for chain in other.chains {
            if !self.chains.iter().any(|one| one.layers == chain.layers) {
                self.chains.push(chain);
            }
        }
    }
}

/// Returns the blobs of a cache other than its configuration.
fn layers(manifest: &RawManifest) -> Result<Vec<Descriptor>, MergeError> {
    #[derive(Deserialize)]
    struct Either {
        #[serde(default)]
        layers: Option<Vec<Descriptor>>,
        #[serde(default)]
        manifests: Option<Vec<Descriptor>>,
    }
    let Either { layers, manifests } = serde_json::from_slice(manifest.bytes())?;
    let all = layers.into_iter().chain(manifests).flatten();
    Ok(all.filter(|blob| blob.media_type != CONFIG).collect())
}

fn rewritten(form: &RawManifest, blobs: Vec<Descriptor>, config: &[u8]) -> Result<RawManifest, MergeError> {
    let mut document: Map<String, Value> = serde_json::from_slice(form.bytes())?;
    let config = Descriptor::new(CONFIG, Digest::sha256(config), config.len() as u64);
    if document.contains_key("manifests") {
        let entries: Vec<Descriptor> = blobs.into_iter().chain([config]).collect();
        document.insert("manifests".to_owned(), serde_json::to_value(entries)?);
    } else {
        document.insert("config".to_owned(), serde_json::to_value(config)?);
        document.insert("layers".to_owned(), serde_json::to_value(blobs)?);
    }
    Ok(RawManifest::new(form.media_type(), serde_json::to_vec(&document)?))
}

#[cfg(test)]
mod tests {
    use polyarch_registry::oci::media_type;
    use serde_json::json;

    use super::*;

    fn blob(name: &str) -> Value {
        json!({"mediaType": media_type::OCI_LAYER_GZIP, "digest": Digest::sha256(name), "size": name.len()})
    }

    fn export(config: &Value, blobs: &[&str]) -> Export {
        let config = Bytes::from(config.to_string());
        let layers: Vec<Value> = blobs.iter().map(|name| blob(name)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": {"mediaType": CONFIG, "digest": Digest::sha256(&config), "size": config.len()},
            "layers": layers,
        });
        Export { manifest: RawManifest::new(media_type::OCI_MANIFEST, manifest.to_string()), config }
    }

    /// A base both have, and a step of each.
    fn platform(step: &str, blob: &str) -> Value {
        json!({
            "layers": [{"blob": "base", "parent": -1, "annotations": {"size": 1}}, {"blob": blob}],
            "records": [
                {"digest": "root", "layers": [{"layer": 0, "createdAt": "t"}]},
                {"digest": step, "inputs": [[{"selector": "s", "link": 0}]], "layers": [{"layer": 1}]},
            ],
        })
    }

    #[test]
    fn what_both_have_is_there_once_and_everything_else_too() {
        let one = export(&platform("amd64", "a"), &["base", "a"]);
        let two = export(&platform("arm64", "b"), &["base", "b"]);
        let joined = merge(&[one.clone(), two]).unwrap();
        let config: Value = serde_json::from_slice(&joined.config).unwrap();
        assert_eq!(
            config,
            json!({
                "layers": [
                    {"blob": "base", "parent": -1, "annotations": {"size": 1}},
                    {"blob": "a", "parent": 0}, {"blob": "b", "parent": 0},
                ],
                "records": [
                    {"digest": "root", "layers": [{"layer": 0, "createdAt": "t"}]},
                    {"digest": "amd64", "inputs": [[{"selector": "s", "link": 0}]], "layers": [{"layer": 1}]},
                    {"digest": "arm64", "inputs": [[{"selector": "s", "link": 0}]], "layers": [{"layer": 2}]},
                ],
            })
        );
        let manifest: Value = serde_json::from_slice(joined.manifest.bytes()).unwrap();
        assert_eq!(manifest["layers"], json!([blob("base"), blob("a"), blob("b")]));
        assert_eq!(manifest["config"]["digest"], json!(Digest::sha256(&joined.config)));
        assert_eq!(merge(&[one.clone(), one.clone()]).unwrap(), one, "one alone stays as it was");
    }

    #[test]
    fn records_with_other_inputs_stay_apart_and_new_results_are_added() {
        let with = |selector: &str, layer: &str| {
            json!({
                "layers": [{"blob": layer, "parent": -1}],
                "records": [
                    {"digest": "x", "inputs": [[{"selector": selector, "link": 1}]], "chains": [{"layers": [0]}]},
                    {"digest": "root", "layers": [{"layer": 0}]},
                ],
            })
        };
        let joined = merge(&[export(&with("/a", "1"), &[]), export(&with("/b", "2"), &[])]).unwrap();
        let config: Value = serde_json::from_slice(&joined.config).unwrap();
        assert_eq!(
            config["records"],
            json!([
                {"digest": "root", "layers": [{"layer": 0}, {"layer": 1}]},
                {"digest": "x", "inputs": [[{"selector": "/a", "link": 0}]], "chains": [{"layers": [0]}]},
                {"digest": "x", "inputs": [[{"selector": "/b", "link": 0}]], "chains": [{"layers": [1]}]},
            ])
        );
    }

    #[test]
    fn an_index_stays_one() {
        let form = |name: &str| {
            let config = Bytes::from(format!(r#"{{"records":[{{"digest":"{name}"}}]}}"#));
            let own = json!({"mediaType": CONFIG, "digest": Digest::sha256(&config), "size": config.len()});
            let body = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [blob(name), own]});
            Export { manifest: RawManifest::new(media_type::OCI_INDEX, body.to_string()), config }
        };
        let joined = merge(&[form("a"), form("b")]).unwrap();
        let body: Value = serde_json::from_slice(joined.manifest.bytes()).unwrap();
        let own = json!({"mediaType": CONFIG, "digest": Digest::sha256(&joined.config), "size": joined.config.len()});
        assert_eq!(body["manifests"], json!([blob("a"), blob("b"), own]));
        assert_eq!(joined.manifest.media_type(), media_type::OCI_INDEX);
    }

    #[test]
    fn what_points_nowhere_or_in_a_circle_is_refused() {
        let good = export(&json!({}), &[]);
        for (bad, want) in [
            (json!({"records": [{"digest": "x", "inputs": [[{"link": 7}]]}]}), "input is not there"),
            (json!({"records": [{"digest": "x", "inputs": [[{"link": 0}]]}]}), "in a circle"),
            (json!({"records": [{"digest": "x", "layers": [{"layer": 0}]}]}), "layer that is not there"),
            (json!({"layers": [{"blob": "x", "parent": 0}]}), "in a circle"),
            (json!({"layers": 7}), "cannot be read"),
        ] {
            let error = merge(&[good.clone(), export(&bad, &[])]).unwrap_err().to_string();
            assert!(error.contains(want), "{bad}: {error}");
        }
        assert!(matches!(merge(&[]), Err(MergeError::Nothing)));
    }
}
