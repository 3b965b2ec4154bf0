//! One suite that every store must pass.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use tokio::io::AsyncReadExt;

use super::{BlobStore, BlobStoreExt, Committed, Expect, LayoutStore, MemoryStore, StoreError};
use crate::oci::Digest;

struct Backend {
    name: &'static str,
    store: Arc<dyn BlobStore>,
    _dir: Option<tempfile::TempDir>,
}

async fn backends() -> Vec<Backend> {
    let dir = tempfile::tempdir().unwrap();
    let layout = LayoutStore::open(dir.path()).await.unwrap();
    vec![
        Backend { name: "memory", store: Arc::new(MemoryStore::new()), _dir: None },
        Backend { name: "layout", store: Arc::new(layout), _dir: Some(dir) },
    ]
}

fn exactly(text: &str) -> Expect {
    Expect { digest: Some(Digest::sha256(text)), size: Some(text.len() as u64) }
}

async fn write(store: &dyn BlobStore, expect: Expect, chunks: &[&str]) -> Result<Committed, StoreError> {
    let mut writer = store.writer(expect).await?;
    for chunk in chunks {
        writer.write(Bytes::copy_from_slice(chunk.as_bytes())).await?;
    }
    writer.commit().await
}

#[tokio::test]
async fn what_was_written_is_read() {
    for Backend { name, store, _dir } in backends().await {
        let digest = Digest::sha256("hello");
        assert_eq!(store.stat(&digest).await.unwrap(), None, "{name}");
        assert!(matches!(store.open(&digest, 0).await, Err(StoreError::NotFound(d)) if d == digest), "{name}");

        let committed = write(&*store, exactly("hello"), &["he", "", "llo"]).await.unwrap();
        assert_eq!(committed, Committed { digest: digest.clone(), size: 5 }, "{name}");
        assert_eq!(store.stat(&digest).await.unwrap(), Some(5), "{name}");
        for (offset, want) in [(0, "hello"), (2, "llo"), (5, ""), (9, "")] {
            let mut text = String::new();
            store.open(&digest, offset).await.unwrap().read_to_string(&mut text).await.unwrap();
            assert_eq!(text, want, "{name} from {offset}");
        }
        store.remove(&digest).await.unwrap();
        store.remove(&digest).await.unwrap();
        assert_eq!(store.stat(&digest).await.unwrap(), None, "{name}");
    }
}

#[tokio::test]
async fn broken_promises_leave_nothing() {
    for Backend { name, store, _dir } in backends().await {
        let digest = Digest::sha256("hello");
        let short = write(&*store, exactly("hello"), &["hell"]).await.unwrap_err();
        assert!(matches!(short, StoreError::TooShort { want: 5, got: 4 }), "{name}: {short:?}");
        let long = write(&*store, exactly("hello"), &["hello", "!"]).await.unwrap_err();
        assert!(matches!(long, StoreError::TooLong { want: 5 }), "{name}: {long:?}");
        let other = write(&*store, exactly("hello"), &["jello"]).await.unwrap_err();
        let jello = Digest::sha256("jello");
        assert!(
            matches!(&other, StoreError::DigestMismatch { want, got } if *want == digest && *got == jello),
            "{name}: {other:?}"
        );
        for absent in [digest, jello] {
            assert_eq!(store.stat(&absent).await.unwrap(), None, "{name}");
        }
    }
}

#[tokio::test]
async fn other_algorithms() {
    for Backend { name, store, _dir } in backends().await {
        let mut sha512 = crate::oci::Hasher::sha512();
        sha512.update(b"hello");
        let digest = sha512.finish();
        write(&*store, Expect { digest: Some(digest.clone()), size: None }, &["hello"]).await.unwrap();
        assert_eq!(store.read_bytes(&digest, 5).await.unwrap(), "hello", "{name}");

        let unknown: Digest = "blake3:abc".parse().unwrap();
        let refused = write(&*store, Expect { digest: Some(unknown), size: None }, &["hello"]).await;
        assert!(matches!(refused, Err(StoreError::Digest(_))), "{name}");
    }
}

#[tokio::test]
async fn a_dropped_writer_leaves_nothing() {
    for Backend { name, store, _dir } in backends().await {
        let big = Bytes::from(vec![7; 3 << 20]);
        let mut writer = store.writer(Expect::default()).await.unwrap();
        writer.write(big.clone()).await.unwrap();
        assert_eq!(writer.written(), 3 << 20, "{name}");
        drop(writer);
        assert_eq!(store.stat(&Digest::sha256(&big)).await.unwrap(), None, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_of_one_digest_agree() {
    for Backend { name, store, _dir } in backends().await {
        let data = Bytes::from((0..5 << 20).map(|i: u32| (i % 251) as u8).collect::<Vec<_>>());
        let digest = Digest::sha256(&data);
        let write = || async {
            let mut writer = store.writer(Expect::default()).await.unwrap();
            for start in (0..data.len()).step_by(300_000) {
                writer.write(data.slice(start..data.len().min(start + 300_000))).await.unwrap();
            }
            writer.commit().await.unwrap()
        };
        for committed in join_all((0..8).map(|_| write())).await {
            assert_eq!(committed, Committed { digest: digest.clone(), size: 5 << 20 }, "{name}");
        }
        assert_eq!(store.read_bytes(&digest, 5 << 20).await.unwrap(), data, "{name}");
    }
}

#[tokio::test]
async fn helpers_bound_and_verify() {
    for Backend { name, store, _dir } in backends().await {
        let digest = store.put_bytes("hello").await.unwrap();
        assert_eq!(store.put_bytes("hello").await.unwrap(), digest, "{name}");
        assert_eq!(store.read_bytes(&digest, 5).await.unwrap(), "hello", "{name}");
        let over = store.read_bytes(&digest, 4).await.unwrap_err();
        assert!(matches!(over, StoreError::OverLimit { size: 5, limit: 4, .. }), "{name}: {over:?}");
        assert!(store.has(&digest, 5).await.unwrap(), "{name}");
        assert!(!store.has(&digest, 6).await.unwrap(), "{name}");
    }
}

#[tokio::test]
async fn a_late_promise_is_kept() {
    for Backend { name, store, _dir } in backends().await {
        let mut sha512 = crate::oci::Hasher::sha512();
        sha512.update(b"hello");
        let sha512 = sha512.finish();
        for digest in [sha512.clone(), Digest::sha256("hello")] {
            let mut writer = store.writer(Expect::default()).await.unwrap();
            writer.write(Bytes::from_static(b"he")).await.unwrap();
            writer.promise(digest.clone()).await.unwrap();
            writer.write(Bytes::from_static(b"llo")).await.unwrap();
            assert_eq!(writer.commit().await.unwrap(), Committed { digest, size: 5 }, "{name}");
        }
        let mut writer = store.writer(Expect::default()).await.unwrap();
        writer.write(Bytes::from_static(b"jello")).await.unwrap();
        assert!(matches!(writer.promise("x:y".parse().unwrap()).await, Err(StoreError::Digest(_))), "{name}");
        writer.promise(sha512).await.unwrap();
        assert!(matches!(writer.commit().await, Err(StoreError::DigestMismatch { .. })), "{name}");
        assert_eq!(store.stat(&Digest::sha256("jello")).await.unwrap(), None, "{name}");
    }
}
