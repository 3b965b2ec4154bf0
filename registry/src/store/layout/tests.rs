//! What only a layout on disk can get wrong.

mod roots;

use std::fs;
use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::oci::Descriptor;
use crate::store::BlobStoreExt;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn open_creates_an_empty_layout_and_keeps_an_existing_one() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/b");
    let store = LayoutStore::open(&root).await.unwrap();
    assert_eq!(fs::read(root.join("oci-layout")).unwrap(), MARKER);
    assert_eq!(fs::read(root.join("index.json")).unwrap(), EMPTY_INDEX);
    assert_eq!(names(&root.join("ingest")), Vec::<String>::new());

    let digest = store.put_bytes("hello").await.unwrap();
    let again = LayoutStore::open(&root).await.unwrap();
    assert_eq!(again.stat(&digest).await.unwrap(), Some(5));
    assert_eq!(fs::read(again.blob_path(&digest)).unwrap(), b"hello");
}

#[tokio::test]
async fn refuses_what_it_does_not_understand() {
    let dir = tempfile::tempdir().unwrap();
    let absent = LayoutStore::open_existing(dir.path().join("absent")).await.unwrap_err();
    assert!(matches!(&absent, StoreError::Layout { reason, .. } if reason.contains("no oci-layout")), "{absent:?}");
    assert!(!dir.path().join("absent").exists());

    for (marker, part) in
        [("{\"imageLayoutVersion\":\"2.0.0\"}", "\"2.0.0\" is not 1.0.0"), ("[]", "oci-layout: invalid")]
    {
        fs::write(dir.path().join("oci-layout"), marker).unwrap();
        for error in [
            LayoutStore::open(dir.path()).await.unwrap_err(),
            LayoutStore::open_existing(dir.path()).await.unwrap_err(),
        ] {
            assert!(matches!(&error, StoreError::Layout { reason, .. } if reason.contains(part)), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_read_only_layout_refuses_changes() {
    let dir = tempfile::tempdir().unwrap();
    let digest = LayoutStore::open(dir.path()).await.unwrap().put_bytes("hello").await.unwrap();
    let store = LayoutStore::open_existing(dir.path()).await.unwrap();
    assert_eq!(store.read_bytes(&digest, 5).await.unwrap(), "hello");
    assert!(matches!(store.writer(Expect::default()).await.err(), Some(StoreError::ReadOnly { .. })));
    assert!(matches!(store.remove(&digest).await, Err(StoreError::ReadOnly { .. })));
    assert!(matches!(store.lease().await.err(), Some(StoreError::ReadOnly { .. })));
}

#[tokio::test]
async fn a_blob_appears_only_when_it_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore::open(dir.path()).await.unwrap();
    let data = Bytes::from(vec![1; 4 << 20]);
    let mut writer = store.writer(Expect::default()).await.unwrap();
    writer.write(data.clone()).await.unwrap();
    assert_eq!(names(&dir.path().join("blobs/sha256")), Vec::<String>::new());
    assert_eq!(names(&dir.path().join("ingest")).len(), 1);
    let committed = writer.commit().await.unwrap();
    assert_eq!(names(&dir.path().join("blobs/sha256")), [committed.digest.encoded()]);
    assert_eq!(names(&dir.path().join("ingest")), Vec::<String>::new());
}

#[tokio::test]
async fn the_next_open_sweeps_what_a_killed_writer_left_but_not_a_live_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore::open(dir.path()).await.unwrap();
    // As a killed process leaves it: the file is there, the lock is not.
    fs::write(dir.path().join("ingest/ingest-dead"), "half a blo").unwrap();

    let mut writer = store.writer(Expect::default()).await.unwrap();
    writer.write(Bytes::from_static(b"alive")).await.unwrap();
    LayoutStore::open(dir.path()).await.unwrap();
    assert_eq!(names(&dir.path().join("ingest")).len(), 2, "a writer is at work");
    writer.commit().await.unwrap();

    LayoutStore::open(dir.path()).await.unwrap();
    assert_eq!(names(&dir.path().join("ingest")), Vec::<String>::new());
    assert_eq!(store.stat(&Digest::sha256("alive")).await.unwrap(), Some(5));
}

#[tokio::test]
async fn a_layout_for_others_is_locked_and_ends_tidy() {
    let dir = tempfile::tempdir().unwrap();
    let one = LayoutStore::open_output(dir.path()).await.unwrap();
    let other = LayoutStore::open_output(dir.path()).await.unwrap();
    let mut writer = other.writer(Expect::default()).await.unwrap();
    writer.write(Bytes::from_static(b"alive")).await.unwrap();
    let digest = one.put_bytes("hello").await.unwrap();
    one.set_root("a", &Descriptor::new("x/y", digest, 5)).await.unwrap();
    one.tidy().await.unwrap();
    assert_eq!(names(&dir.path().join("ingest")).len(), 1, "a writer is at work");
    assert!(matches!(one.gc().await, Err(StoreError::InUse { .. })));
    writer.commit().await.unwrap();
    other.tidy().await.unwrap();
    other.tidy().await.unwrap();
    assert_eq!(names(dir.path()), ["blobs", "index.json", "oci-layout"]);
    // Who comes later needs nothing that is gone.
    assert_eq!(one.put_bytes("again").await.unwrap(), Digest::sha256("again"));
    one.tidy().await.unwrap();
}

#[tokio::test]
async fn a_store_that_is_an_output_too_stays_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore::open(dir.path()).await.unwrap();
    let _lease = store.lease().await.unwrap();
    let output = LayoutStore::open_output(dir.path()).await.unwrap();
    assert!(matches!(output.gc().await, Err(StoreError::InUse { .. })), "the locks are the store's");
    output.tidy().await.unwrap();
    assert!(dir.path().join("ingest").is_dir());
}

#[tokio::test]
async fn a_failed_writer_stays_failed() {
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore::open(dir.path()).await.unwrap();
    let mut writer = store.writer(Expect { digest: None, size: Some(4) }).await.unwrap();
    assert!(matches!(writer.write(Bytes::from_static(b"hello")).await, Err(StoreError::TooLong { want: 4 })));
    assert!(matches!(writer.commit().await, Err(StoreError::TooShort { want: 4, got: 0 })));
}
