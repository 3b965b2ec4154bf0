//! Images from one layout into another.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use polyarch_registry::oci::{Descriptor, Digest};
use polyarch_registry::store::layout::REF_NAME;
use polyarch_registry::store::{BlobStore as _, BlobStoreExt as _, LayoutStore, MemoryStore, StoreError};
use polyarch_registry::transfer::copy::{copy_blob, into_layout};
use polyarch_registry::transfer::{Copied, CopyError, Graph, graph};
use polyarch_testkit::Index;

async fn stored(dir: &Path, platforms: &[&str]) -> (LayoutStore, Graph) {
    let store = LayoutStore::open(dir).await.unwrap();
    let root = Index::small(platforms).write(&store).await;
    let image = graph::from_store(&root, &store).await.unwrap();
    (store, image)
}

fn entry(image: &Graph, name: &str) -> Descriptor {
    let mut entry = image.manifests.last().unwrap().manifest.descriptor();
    entry.annotations.insert(REF_NAME.into(), name.into());
    entry
}

fn inode(store: &LayoutStore, digest: &Digest) -> u64 {
    std::fs::metadata(store.blob_path(digest)).unwrap().ino()
}

#[tokio::test]
async fn an_output_shares_nothing_with_the_store_and_has_nothing_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let (from, two) = stored(&dir.path().join("from"), &["linux/amd64", "linux/arm64"]).await;
    let to = LayoutStore::open_output(dir.path().join("to")).await.unwrap();
    let copied = into_layout(&two, &from, &to, vec![entry(&two, "1"), entry(&two, "2")]).await.unwrap();
    // Which of the two depends on the file system.
    assert_eq!((copied.present, copied.cloned + copied.written), (0, 6), "{copied:?}");
    for (digest, blob) in &two.blobs {
        assert_ne!(inode(&from, digest), inode(&to, digest));
        std::fs::write(to.blob_path(digest), "edited").unwrap();
        from.read_bytes(digest, blob.descriptor.size).await.unwrap();
        std::fs::copy(from.blob_path(digest), to.blob_path(digest)).unwrap();
    }
    let (from, one) = stored(&dir.path().join("other"), &["linux/amd64"]).await;
    let copied = into_layout(&one, &from, &to, vec![entry(&one, "2")]).await.unwrap();
    assert_eq!(copied, Copied { present: 3, cloned: 0, written: 0 });
    let roots = to.roots().await.unwrap();
    let names: Vec<_> = roots.iter().map(|root| (root.name.as_deref().unwrap(), &root.descriptor.digest)).collect();
    let digest = |image: &Graph| image.manifests.last().unwrap().digest.clone();
    assert_eq!(names, [("1", &digest(&two)), ("2", &digest(&one))]);
    to.tidy().await.unwrap();
    let mut there: Vec<_> = std::fs::read_dir(to.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    there.sort();
    assert_eq!(there, ["blobs", "index.json", "oci-layout"]);
    let root = to.read_bytes(&digest(&two), 1 << 20).await.unwrap();
    assert_eq!(root, two.manifests.last().unwrap().manifest.bytes());
}

#[tokio::test]
async fn a_blob_of_the_wrong_size_is_not_cloned_and_nothing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (from, image) = stored(&dir.path().join("from"), &["linux/amd64"]).await;
    let to = LayoutStore::open(dir.path().join("to")).await.unwrap();
    let (damaged, _) = image.blobs.last().unwrap();
    std::fs::write(from.blob_path(damaged), "short").unwrap();
    let error = into_layout(&image, &from, &to, vec![entry(&image, "1")]).await.unwrap_err();
    let CopyError::Blob { digest, source: StoreError::TooShort { .. } } = error else { panic!("{error:?}") };
    assert_eq!(digest, *damaged);
    assert_eq!((to.roots().await.unwrap(), to.stat(damaged).await.unwrap()), (Vec::new(), None));
}

#[tokio::test]
async fn any_store_gives_and_takes_and_bytes_are_verified() {
    let dir = tempfile::tempdir().unwrap();
    let (from, image) = stored(dir.path(), &["linux/amd64"]).await;
    let to = MemoryStore::new();
    let blob = &image.blobs.last().unwrap().1.descriptor;
    copy_blob(&from, &to, blob).await.unwrap();
    assert!(to.has(&blob.digest, blob.size).await.unwrap());
    to.remove(&blob.digest).await.unwrap();
    std::fs::write(from.blob_path(&blob.digest), vec![0; blob.size as usize]).unwrap();
    let error = copy_blob(&from, &to, blob).await.unwrap_err();
    assert!(matches!(error, StoreError::DigestMismatch { .. }), "{error:?}");
    assert_eq!(to.stat(&blob.digest).await.unwrap(), None);
}
