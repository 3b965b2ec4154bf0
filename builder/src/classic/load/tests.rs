use std::collections::BTreeMap;
use std::io::Read;

use futures::TryStreamExt;
use polyarch_registry::oci::media_type::OCI_LAYER;
use polyarch_registry::oci::{Digest, Format, ImageBuilder, IndexBuilder};
use polyarch_registry::store::MemoryStore;
use polyarch_registry::transfer::ArchiveError;
use serde_json::{Value, json};

use super::*;

/// Stores an image per platform and an index over them; both share their first layer.
async fn stored(platforms: &[&str]) -> LoadSpec {
    let store = MemoryStore::default();
    let mut index = IndexBuilder::new(Format::Oci);
    for text in platforms {
        let platform: Platform = text.parse().unwrap();
        let mut layers = Vec::new();
        for layer in ["shared".to_owned(), format!("own of {text}")] {
            let digest = store.put_bytes(layer.clone()).await.unwrap();
            layers.push(Descriptor::new(OCI_LAYER, digest, layer.len() as u64));
        }
        let ids: Vec<&Digest> = layers.iter().map(|layer| &layer.digest).collect();
        let config = json!({
            "os": platform.os, "architecture": platform.architecture,
            "rootfs": {"type": "layers", "diff_ids": ids},
        });
        let config = config.to_string();
        let digest = store.put_bytes(config.clone()).await.unwrap();
        let builder =
            layers.into_iter().fold(ImageBuilder::new(Format::Oci, digest, config.len() as u64), ImageBuilder::layer);
        let manifest = builder.build().unwrap();
        store.put_bytes(manifest.bytes().clone()).await.unwrap();
        index = index.image(manifest.descriptor(), platform);
    }
    let index = index.build().unwrap();
    store.put_bytes(index.bytes().clone()).await.unwrap();
    let references = ["hello:1", "localhost:5000/a/b"].map(|text| text.parse().unwrap()).to_vec();
    let (events, _told) = EventSink::channel();
    LoadSpec { store: Arc::new(store), root: index.descriptor(), references, document_limit: 1 << 20, events }
}

async fn files(archive: Archive) -> BTreeMap<String, Vec<u8>> {
    let chunks: Vec<_> = archive.into_stream(Arc::new(|_, _| {})).try_collect().await.unwrap();
    let bytes = chunks.concat();
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let (path, mut contents) = (entry.path().unwrap().display().to_string(), Vec::new());
        entry.read_to_end(&mut contents).unwrap();
        assert_eq!(files.insert(path.clone(), contents), None, "{path} twice");
    }
    files
}

async fn root(spec: &LoadSpec) -> RawManifest {
    manifest(spec, &spec.root).await.unwrap()
}

#[tokio::test]
async fn a_containerd_store_gets_the_whole_image_under_every_name() {
    let spec = stored(&["linux/amd64", "linux/arm64"]).await;
    let files = files(layout(&spec, &root(&spec).await).await.unwrap()).await;
    // Index, two manifests, two configurations, one shared layer and two own ones; two files of the layout itself.
    assert_eq!(files.len(), 8 + 2);
    let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    let entries = index["manifests"].as_array().unwrap().iter();
    let names: Vec<&Value> = entries.map(|entry| &entry["annotations"]["io.containerd.image.name"]).collect();
    assert_eq!(names, ["docker.io/library/hello:1", "localhost:5000/a/b:latest"]);
}

#[tokio::test]
async fn picks_the_machines_own_platform_for_a_classic_store() {
    let spec = stored(&["linux/arm64", "linux/amd64"]).await;
    let children = Children::of(&spec, &root(&spec).await).await.unwrap();
    for (preferred, want) in [("linux/amd64", 1), ("linux/arm64", 0), ("linux/s390x", 0)] {
        let (child, platform) = children.one(&[preferred.parse().unwrap()]).unwrap();
        assert_eq!(*platform, children.platforms()[want], "{preferred}");
        let capacity = Capacity::One { preferred: vec![preferred.parse().unwrap()] };
        assert_eq!(capacity.held(&children.platforms()), [platform], "what is told before is what is done");
        let files = files(saved(&spec, &manifest(&spec, child).await.unwrap()).await.unwrap()).await;
        let document: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(document[0]["RepoTags"], json!(["docker.io/library/hello:1", "localhost:5000/a/b:latest"]));
        let config: Value = serde_json::from_slice(&files[document[0]["Config"].as_str().unwrap()]).unwrap();
        assert_eq!(config["architecture"], platform.architecture);
        let layers = document[0]["Layers"].as_array().unwrap();
        assert_eq!(files[layers[0].as_str().unwrap()], b"shared");
        assert_eq!(layers.len(), 2);
    }
}

#[tokio::test]
async fn names_a_blob_that_is_not_there_before_anything_is_sent() {
    let spec = stored(&["linux/amd64"]).await;
    let shared = Digest::sha256("shared");
    spec.store.remove(&shared).await.unwrap();
    let error = layout(&spec, &root(&spec).await).await.err().unwrap();
    assert!(matches!(error, ClassicError::Archive(ArchiveError::Missing(digest)) if digest == shared));
}
