//! Images as tars: what is in them, what ends them early.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use polyarch_registry::oci::{Descriptor, Digest};
use polyarch_registry::store::{BlobStore as _, LayoutStore, MemoryStore};
use polyarch_registry::transfer::archive::Progress;
use polyarch_registry::transfer::{Archive, ArchiveError, Graph, graph};
use polyarch_testkit::Index;
use serde_json::{Value, json};

fn quiet() -> Progress {
    Arc::new(|_, _| {})
}

async fn stored(platforms: &[&str]) -> (Arc<MemoryStore>, Graph) {
    let store = Arc::new(MemoryStore::new());
    let root = Index::small(platforms).write(&*store).await;
    let image = graph::from_store(&root, &*store).await.unwrap();
    (store, image)
}

fn root_entry(image: &Graph) -> Descriptor {
    image.manifests.last().unwrap().manifest.descriptor()
}

async fn written(archive: Archive) -> Vec<u8> {
    let mut out = Vec::new();
    archive.write_to(&mut out, quiet()).await.unwrap();
    out
}

fn files(tar: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().unwrap() {
        let mut entry = entry.unwrap();
        let (path, mut content) = (entry.path().unwrap().display().to_string(), Vec::new());
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(files.insert(path.clone(), content), None, "{path} twice");
    }
    files
}

#[tokio::test]
async fn a_layout_has_every_blob_once_under_its_digest() {
    let (store, image) = stored(&["linux/amd64", "linux/arm64"]).await;
    let mut entry = root_entry(&image);
    entry.annotations.insert("org.opencontainers.image.ref.name".into(), "../../1".into());
    let tar = written(Archive::layout(store.clone(), &image, &[entry.clone()]).await.unwrap()).await;
    let again = written(Archive::layout(store.clone(), &image, &[entry.clone()]).await.unwrap()).await;
    assert_eq!(tar, again);
    let files = files(&tar);
    assert_eq!(files["oci-layout"], br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
    assert_eq!(index["manifests"], json!([entry]));
    let blobs: Vec<_> = files.keys().filter_map(|path| path.strip_prefix("blobs/sha256/")).collect();
    assert_eq!(blobs.len(), files.len() - 2);
    assert_eq!(blobs, store.digests().iter().map(Digest::encoded).collect::<Vec<_>>());
    for blob in blobs {
        assert_eq!(Digest::sha256(&files[&format!("blobs/sha256/{blob}")]).encoded(), blob);
    }
}

#[tokio::test]
async fn docker_finds_its_image_by_manifest_json() {
    let (store, image) = stored(&["linux/amd64"]).await;
    let entries = [root_entry(&image)];
    let layout = || Archive::layout(store.clone(), &image, &entries);
    let node = &image.manifests[0];
    let tags = ["localhost:5000/a:1".to_owned()];
    let files = files(&written(layout().await.unwrap().with_docker_manifest(node, &tags).unwrap()).await);
    let document: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(document[0]["RepoTags"], json!(tags));
    let config: Value = serde_json::from_slice(&files[document[0]["Config"].as_str().unwrap()]).unwrap();
    assert_eq!(config["architecture"], "amd64");
    assert_eq!(document[0]["Layers"].as_array().unwrap().len(), 2);
    for layer in document[0]["Layers"].as_array().unwrap() {
        assert!(files.contains_key(layer.as_str().unwrap()));
    }
    let root = image.manifests.last().unwrap();
    let refused = layout().await.unwrap().with_docker_manifest(root, &[]).err().unwrap();
    assert!(matches!(refused, ArchiveError::NotAnImage(digest) if digest == root.digest));
}

#[tokio::test]
async fn a_missing_blob_is_named_before_anything_is_written() {
    let (store, image) = stored(&["linux/amd64"]).await;
    let (digest, _) = image.blobs.last().unwrap();
    store.remove(digest).await.unwrap();
    let error = Archive::layout(store, &image, &[]).await.err().unwrap();
    assert!(matches!(error, ArchiveError::Missing(missing) if missing == *digest));
}

#[tokio::test]
async fn a_damaged_blob_ends_the_tar_in_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(LayoutStore::open(dir.path()).await.unwrap());
    let root = Index::small(&["linux/amd64"]).write(&*store).await;
    let image = graph::from_store(&root, &*store).await.unwrap();
    let path = store.blob_path(image.blobs.last().unwrap().0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let archive = Archive::layout(store, &image, &[]).await.unwrap();
    let error = archive.write_to(&mut Vec::new(), quiet()).await.unwrap_err();
    assert!(error.to_string().contains("expected sha256:"), "{error}");
}

#[tokio::test]
async fn progress_tells_each_blob_s_bytes() {
    let (store, image) = stored(&["linux/amd64"]).await;
    let told = Arc::new(std::sync::Mutex::new(BTreeMap::new()));
    let into = Arc::clone(&told);
    let progress: Progress = Arc::new(move |descriptor, read| {
        into.lock().unwrap().insert(descriptor.digest.clone(), (read, descriptor.size));
    });
    let archive = Archive::layout(store, &image, &[]).await.unwrap();
    archive.write_to(&mut Vec::new(), progress).await.unwrap();
    let told = told.lock().unwrap();
    assert_eq!(told.len(), image.blobs.len());
    assert!(told.values().all(|(read, size)| read == size), "{told:?}");
}
