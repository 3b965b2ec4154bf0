//! Images with defects, for audits: a healthy one, and changes to its documents one at a time. Digests follow every change.

use bytes::Bytes;
use polyarch_registry::oci::index_builder::{ATTESTATION_MANIFEST, REFERENCE_DIGEST, REFERENCE_TYPE};
use polyarch_registry::oci::{Descriptor, Digest, Platform, RawManifest, media_type};
use polyarch_registry::store::{BlobStoreExt as _, MemoryStore};
use serde_json::{Value, json};

use crate::layer::Layer;

type Edit = Box<dyn Fn(&mut Value) + Send + Sync>;

/// An index with images and attestations that can be spoilt.
#[derive(Default)]
pub struct Specimen {
    /// Its images and attestations, in the order of the index.
    pub parts: Vec<Part>,
    index: Vec<Edit>,
    is_lone: bool,
}

/// A child of the index.
#[derive(Default)]
pub struct Part {
    /// Its layers, base first. Those of an attestation are its statements.
    pub layers: Vec<Layer>,
    platform: Platform,
    is_attestation: bool,
    /// What the statement of an attestation says.
    predicate: Value,
    config: Vec<Edit>,
    manifest: Vec<Edit>,
    entry: Vec<Edit>,
    lost: Vec<Lost>,
}

/// What of a part is not in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// Its manifest.
    Manifest,
    /// Its configuration.
    Config,
    /// A layer, by number from the base.
    Layer(usize),
}

/// A specimen as bytes.
#[derive(Debug, Clone)]
pub struct Built {
    /// Everything that is not lost.
    pub store: MemoryStore,
    /// The index, or the only manifest.
    pub root: RawManifest,
    /// The manifests of the parts, lost or not.
    pub parts: Vec<RawManifest>,
}

impl Specimen {
    /// Returns an image in which an audit finds nothing: a base and an own layer per platform, labels, a user.
    pub fn healthy(platforms: &[&str]) -> Self {
        Self { parts: platforms.iter().map(|platform| Part::healthy(platform)).collect(), ..Self::default() }
    }

    /// Adds an attestation of each image, as BuildKit does.
    #[must_use]
    pub fn attested(mut self) -> Self {
        for _ in 0..self.parts.len() {
            self.parts.push(Part { is_attestation: true, ..Part::default() });
        }
        self
    }

    /// Adds an attestation of each image whose statement has a predicate.
    #[must_use]
    pub fn attested_with(self, predicate: &Value) -> Self {
        let images = self.parts.len();
        let mut all = self.attested();
        all.parts[images..].iter_mut().for_each(|part| part.predicate = predicate.clone());
        all
    }

    /// Leaves the first part alone, without an index.
    #[must_use]
    pub fn lone(mut self) -> Self {
        self.parts.truncate(1);
        self.is_lone = true;
        self
    }

    /// Changes the index.
    #[must_use]
    pub fn index(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.index.push(Box::new(edit));
        self
    }

    /// Changes a part.
    #[must_use]
    pub fn part(mut self, number: usize, change: impl FnOnce(Part) -> Part) -> Self {
        let part = std::mem::take(&mut self.parts[number]);
        self.parts[number] = change(part);
        self
    }

    /// Writes it into a store of its own.
    pub async fn build(&self) -> Built {
        let store = MemoryStore::new();
        let (mut entries, mut manifests) = (Vec::new(), Vec::new());
        let images: Vec<&Part> = self.parts.iter().filter(|part| !part.is_attestation).collect();
        let mut subjects = Vec::new();
        let mut attested = 0;
        for part in &self.parts {
            let (manifest, mut entry) = match part.is_attestation {
                false => part.image(&store).await,
                true => {
                    attested += 1;
                    part.attestation(&store, &subjects[(attested - 1) % images.len()]).await
                }
            };
            part.entry.iter().for_each(|edit| edit(&mut entry));
            if !part.is_attestation {
                subjects.push(manifest.digest().clone());
            }
            entries.push(entry);
            manifests.push(manifest);
        }
        let root = match self.is_lone {
            true => manifests[0].clone(),
            false => {
                let mut index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries});
                self.index.iter().for_each(|edit| edit(&mut index));
                let raw = raw(media_type::OCI_INDEX, &index);
                put(&store, raw.bytes().clone()).await;
                raw
            }
        };
        Built { store, root, parts: manifests }
    }
}

impl Part {
    /// Returns an image in which an audit finds nothing.
    pub fn healthy(platform: &str) -> Self {
        let base = Layer::new().dir("etc").file("etc/arch", format!("{platform}\n"));
        let own = Layer::new().dir("srv").file("srv/hello", format!("hello from {platform}\n"));
        Self { platform: platform.parse().unwrap(), layers: vec![base, own], ..Self::default() }
    }

    /// Replaces the layers.
    #[must_use]
    pub fn layers(self, layers: Vec<Layer>) -> Self {
        Self { layers, ..self }
    }

    /// Changes the configuration.
    #[must_use]
    pub fn config(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.config.push(Box::new(edit));
        self
    }

    /// Changes the manifest.
    #[must_use]
    pub fn manifest(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.manifest.push(Box::new(edit));
        self
    }

    /// Changes the entry in the index.
    #[must_use]
    pub fn entry(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.entry.push(Box::new(edit));
        self
    }

    /// Leaves something out of the store.
    #[must_use]
    pub fn lose(mut self, what: Lost) -> Self {
        self.lost.push(what);
        self
    }

    async fn image(&self, store: &MemoryStore) -> (RawManifest, Value) {
        let layers: Vec<_> = self.layers.iter().map(Layer::build).collect();
        let mut config = json!({
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "created": "2026-01-02T03:04:05Z",
            "config": {
                "User": "1000:1000",
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
                "Entrypoint": ["/srv/hello"],
                "WorkingDir": "/srv",
                "Labels": {
                    "org.opencontainers.image.source": "https://git.example.com/team/app",
                    "org.opencontainers.image.revision": "5f0e2d4c3b2a190807060504030201000f0e0d0c",
                    "org.opencontainers.image.version": "1.4.0",
                },
            },
            "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>() },
            "history": layers.iter().map(|_| json!({"created_by": "COPY . /"})).collect::<Vec<_>>(),
        });
        for (key, value) in [("variant", &self.platform.variant), ("os.version", &self.platform.os_version)] {
            if let Some(value) = value {
                config[key] = json!(value);
            }
        }
        self.config.iter().for_each(|edit| edit(&mut config));
        let config = Bytes::from(serde_json::to_vec(&config).unwrap());
        let descriptors: Vec<Descriptor> = layers.iter().map(|layer| layer.descriptor(false)).collect();
        let manifest = self.write_manifest(&config, media_type::OCI_CONFIG, &descriptors);
        for (number, layer) in layers.into_iter().enumerate() {
            self.keep(store, Lost::Layer(number), layer.blob).await;
        }
        self.keep(store, Lost::Config, config).await;
        self.keep(store, Lost::Manifest, manifest.bytes().clone()).await;
        let mut entry = serde_json::to_value(manifest.descriptor()).unwrap();
        entry["platform"] = serde_json::to_value(&self.platform).unwrap();
        (manifest, entry)
    }

    async fn attestation(&self, store: &MemoryStore, subject: &Digest) -> (RawManifest, Value) {
        let mut statement = json!({"_type": "https://in-toto.io/Statement/v0.1", "of": subject});
        if !self.predicate.is_null() {
            statement["predicate"] = self.predicate.clone();
        }
        let statement = Bytes::from(serde_json::to_vec(&statement).unwrap());
        let mut layer = Descriptor::new(media_type::IN_TOTO, Digest::sha256(&statement), statement.len() as u64);
        layer.annotations.insert("in-toto.io/predicate-type".into(), "https://slsa.dev/provenance/v0.2".into());
        let config = Bytes::from(format!(
            r#"{{"architecture":"unknown","os":"unknown","rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#,
            layer.digest
        ));
        let manifest = self.write_manifest(&config, media_type::OCI_CONFIG, &[layer]);
        self.keep(store, Lost::Layer(0), statement).await;
        self.keep(store, Lost::Config, config).await;
        self.keep(store, Lost::Manifest, manifest.bytes().clone()).await;
        let mut entry = serde_json::to_value(manifest.descriptor()).unwrap();
        entry["platform"] = json!({"architecture": "unknown", "os": "unknown"});
        entry["annotations"] = json!({ REFERENCE_TYPE: ATTESTATION_MANIFEST, REFERENCE_DIGEST: subject });
        (manifest, entry)
    }

    fn write_manifest(&self, config: &Bytes, config_type: &str, layers: &[Descriptor]) -> RawManifest {
        let config = Descriptor::new(config_type, Digest::sha256(config), config.len() as u64);
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": layers,
        });
        self.manifest.iter().for_each(|edit| edit(&mut manifest));
        raw(media_type::OCI_MANIFEST, &manifest)
    }

    async fn keep(&self, store: &MemoryStore, what: Lost, bytes: Bytes) {
        if !self.lost.contains(&what) {
            put(store, bytes).await;
        }
    }
}

/// The media type is the body's, where an edit changed it.
fn raw(media_type: &str, document: &Value) -> RawManifest {
    let named = document["mediaType"].as_str().unwrap_or(media_type);
    RawManifest::new(named, serde_json::to_vec(document).unwrap())
}

async fn put(store: &MemoryStore, bytes: Bytes) {
    store.put_bytes(bytes).await.unwrap();
}
