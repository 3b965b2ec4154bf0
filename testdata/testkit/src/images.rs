//! Images and indexes made from nothing, written into any blob store. Same input, same bytes.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use polyarch_registry::oci::media_type::{self, LayerCompression};
use polyarch_registry::oci::{Descriptor, Platform, RawManifest};
use polyarch_registry::store::{BlobStore, BlobStoreExt, LayoutStore};
use serde_json::{Map, Value, json};

use crate::layer::{BuiltLayer, Layer};

/// Whose media types an image or index uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OCI image-spec.
    Oci,
    /// Docker's image manifest version 2, schema 2.
    Docker,
}

/// One platform's image.
#[derive(Debug, Clone)]
pub struct Image {
    platform: Platform,
    layers: Vec<Layer>,
    annotations: BTreeMap<String, String>,
    subject: Option<Descriptor>,
    format: Format,
    on_build: Vec<String>,
}

impl Image {
    /// Returns an image without layers for a platform such as `linux/amd64`.
    ///
    /// # Panics
    /// If the platform does not parse.
    pub fn new(platform: &str) -> Self {
        Self {
            platform: platform.parse().unwrap(),
            layers: Vec::new(),
            annotations: BTreeMap::new(),
            subject: None,
            format: Format::Oci,
            on_build: Vec::new(),
        }
    }

    /// Returns an image with two small layers whose content names the platform: gzip and zstd.
    pub fn small(platform: &str) -> Self {
        let content = format!("hello from {platform}\n");
        let base = Layer::new().dir("etc").file("etc/platform", content.clone());
        let top = Layer::new().file("hello", content).symlink("link", "hello").compressed(LayerCompression::Zstd);
        Self::new(platform).layer(base).layer(top)
    }

    /// Adds a layer.
    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// Adds an annotation to the manifest.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Adds an ONBUILD trigger to the configuration.
    #[must_use]
    pub fn on_build(mut self, trigger: &str) -> Self {
        self.on_build.push(trigger.to_owned());
        self
    }

    /// Makes the image refer to another manifest.
    #[must_use]
    pub fn subject(self, subject: Descriptor) -> Self {
        Self { subject: Some(subject), ..self }
    }

    /// Chooses the media types.
    #[must_use]
    pub fn format(self, format: Format) -> Self {
        Self { format, ..self }
    }

    /// Returns the manifest and every blob it references, config first.
    pub fn build(&self) -> BuiltImage {
        let layers: Vec<BuiltLayer> = self.layers.iter().map(Layer::build).collect();
        let config = self.config(&layers);
        let (manifest_type, config_type) = match self.format {
            Format::Oci => (media_type::OCI_MANIFEST, media_type::OCI_CONFIG),
            Format::Docker => (media_type::DOCKER_MANIFEST, media_type::DOCKER_CONFIG),
        };
        let config_digest = polyarch_registry::oci::Digest::sha256(&config);
        let docker = self.format == Format::Docker;
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": manifest_type,
            "config": Descriptor::new(config_type, config_digest, config.len() as u64),
            "layers": layers.iter().map(|layer| layer.descriptor(docker)).collect::<Vec<_>>(),
        });
        add_optional(&mut manifest, &self.annotations, self.subject.as_ref());
        let blobs = std::iter::once(config).chain(layers.into_iter().map(|layer| layer.blob)).collect();
        let manifest = RawManifest::new(manifest_type, serde_json::to_vec(&manifest).unwrap());
        BuiltImage { manifest, blobs, platform: self.platform.clone() }
    }

    fn config(&self, layers: &[BuiltLayer]) -> Bytes {
        let mut config = json!({
            "architecture": self.platform.architecture,
            "os": self.platform.os,
            "created": "1970-01-01T00:00:00Z",
            "config": { "Cmd": ["/hello"], "Env": ["PATH=/"] },
            "rootfs": {
                "type": "layers",
                "diff_ids": layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>(),
            },
        });
        if let Some(variant) = &self.platform.variant {
            config["variant"] = json!(variant);
        }
        if !self.on_build.is_empty() {
            config["config"]["OnBuild"] = json!(self.on_build);
        }
        if let Some(version) = &self.platform.os_version {
            config["os.version"] = json!(version);
        }
        serde_json::to_vec(&config).unwrap().into()
    }

    /// Writes blobs, config and manifest into a store; returns the manifest.
    pub async fn write(&self, store: &dyn BlobStore) -> RawManifest {
        let built = self.build();
        for blob in built.blobs {
            store.put_bytes(blob).await.unwrap();
        }
        store.put_bytes(built.manifest.bytes().clone()).await.unwrap();
        built.manifest
    }
}

/// An image as bytes.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// The manifest.
    pub manifest: RawManifest,
    /// The config, then the layers.
    pub blobs: Vec<Bytes>,
    /// The platform, for the entry in an index.
    pub platform: Platform,
}

impl BuiltImage {
    /// Returns the image's entry in an index.
    pub fn entry(&self) -> Descriptor {
        Descriptor { platform: Some(self.platform.clone()), ..self.manifest.descriptor() }
    }
}

/// Images for several platforms.
#[derive(Debug, Clone)]
pub struct Index {
    images: Vec<Image>,
    annotations: BTreeMap<String, String>,
    format: Format,
}

impl Default for Index {
    fn default() -> Self {
        Self { images: Vec::new(), annotations: BTreeMap::new(), format: Format::Oci }
    }
}

impl Index {
    /// Returns an index without images.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an index with a [small](Image::small) image per platform.
    pub fn small(platforms: &[&str]) -> Self {
        platforms.iter().fold(Self::new(), |index, platform| index.image(Image::small(platform)))
    }

    /// Adds an image.
    #[must_use]
    pub fn image(mut self, image: Image) -> Self {
        self.images.push(image);
        self
    }

    /// Adds an annotation to the index.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Chooses the media types of the index and every image in it.
    #[must_use]
    pub fn format(self, format: Format) -> Self {
        let images = self.images.into_iter().map(|image| image.format(format)).collect();
        Self { images, format, ..self }
    }

    /// Returns the index and the images in it.
    pub fn build(&self) -> (RawManifest, Vec<BuiltImage>) {
        let images: Vec<BuiltImage> = self.images.iter().map(Image::build).collect();
        let index_type = match self.format {
            Format::Oci => media_type::OCI_INDEX,
            Format::Docker => media_type::DOCKER_LIST,
        };
        let entries: Vec<_> = images.iter().map(BuiltImage::entry).collect();
        let mut index = json!({ "schemaVersion": 2, "mediaType": index_type, "manifests": entries });
        add_optional(&mut index, &self.annotations, None);
        (RawManifest::new(index_type, serde_json::to_vec(&index).unwrap()), images)
    }

    /// Writes everything into a store; returns the index.
    pub async fn write(&self, store: &dyn BlobStore) -> RawManifest {
        for image in &self.images {
            image.write(store).await;
        }
        let (index, _) = self.build();
        store.put_bytes(index.bytes().clone()).await.unwrap();
        index
    }

    /// Writes an OCI layout that names the index `tag`, for tools that read layouts; returns the index.
    pub async fn write_layout(&self, dir: &Path, tag: &str) -> RawManifest {
        let store = LayoutStore::open(dir).await.unwrap();
        let index = self.write(&store).await;
        let mut entry = index.descriptor();
        entry.annotations.insert("org.opencontainers.image.ref.name".to_owned(), tag.to_owned());
        let root = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [entry] });
        std::fs::write(dir.join("index.json"), root.to_string()).unwrap();
        index
    }
}

fn add_optional(manifest: &mut Value, annotations: &BTreeMap<String, String>, subject: Option<&Descriptor>) {
    let fields: &mut Map<String, Value> = manifest.as_object_mut().unwrap();
    if let Some(subject) = subject {
        fields.insert("subject".to_owned(), serde_json::to_value(subject).unwrap());
    }
    if !annotations.is_empty() {
        fields.insert("annotations".to_owned(), json!(annotations));
    }
}

#[cfg(test)]
mod tests {
    use polyarch_registry::oci::Digest;
    use polyarch_registry::store::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn the_same_input_gives_the_same_bytes() {
        let store = MemoryStore::new();
        let index = Index::small(&["linux/amd64", "linux/arm64"]).write(&store).await;
        let again = Index::small(&["linux/amd64", "linux/arm64"]).write(&MemoryStore::new()).await;
        assert_eq!(index, again);
        assert_ne!(index.digest(), Index::small(&["linux/arm64", "linux/amd64"]).build().0.digest());
        // Two images with two layers and a config each, their manifests, the index.
        assert_eq!(store.digests().len(), 9);
    }

    #[test]
    fn every_reference_is_built_and_every_diff_id_is_right() {
        for format in [Format::Oci, Format::Docker] {
            let built = Image::small("linux/arm/v7").format(format).build();
            let view = built.manifest.view().unwrap();
            let referenced: Vec<_> = view.references().iter().map(|d| (d.digest.clone(), d.size)).collect();
            let blobs: Vec<_> = built.blobs.iter().map(|blob| (Digest::sha256(blob), blob.len() as u64)).collect();
            assert_eq!(referenced, blobs);
            let config: Value = serde_json::from_slice(&built.blobs[0]).unwrap();
            assert_eq!(config["variant"], "v7");
            let tar = zstd::decode_all(&built.blobs[2][..]).unwrap();
            assert_eq!(config["rootfs"]["diff_ids"][1], Digest::sha256(&tar).to_string());
        }
    }
}
