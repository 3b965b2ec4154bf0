//! Names, garbage collection, listing, the table of compressed layers.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::*;
use crate::oci::media_type::{self, LayerCompression};
use crate::oci::{Descriptor, Format, ImageBuilder, IndexBuilder, Platform, RawManifest};
use crate::store::BlobStoreExt;

async fn store() -> (TempDir, LayoutStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = LayoutStore::open(dir.path()).await.unwrap();
    (dir, store)
}

async fn put(store: &LayoutStore, raw: &RawManifest) -> Descriptor {
    store.put_bytes(raw.bytes().clone()).await.unwrap();
    raw.descriptor()
}

/// A one-layer image; everything it needs is stored.
async fn image(store: &LayoutStore, platform: &str, layer: &str) -> (Descriptor, Platform) {
    let platform: Platform = platform.parse().unwrap();
    let config = json!({
        "architecture": platform.architecture, "os": platform.os, "variant": platform.variant,
        "created": "2024-05-06T07:08:09Z", "rootfs": {"type": "layers", "diff_ids": [Digest::sha256(layer)]},
    });
    let config = config.to_string();
    let layer_type = Format::Oci.layer(LayerCompression::None);
    let raw = ImageBuilder::new(Format::Oci, Digest::sha256(&config), config.len() as u64)
        .layer(Descriptor::new(layer_type, Digest::sha256(layer), layer.len() as u64))
        .build()
        .unwrap();
    store.put_bytes(config).await.unwrap();
    store.put_bytes(layer.to_owned()).await.unwrap();
    (put(store, &raw).await, platform)
}

/// A two-platform index with one shared layer.
async fn index(store: &LayoutStore) -> Descriptor {
    let (amd64, arm) = (image(store, "linux/amd64", "shared").await, image(store, "linux/arm/v7", "shared").await);
    let raw = IndexBuilder::new(Format::Oci).image(amd64.0, amd64.1).image(arm.0, arm.1).build().unwrap();
    put(store, &raw).await
}

fn names(roots: &[Root]) -> Vec<Option<&str>> {
    roots.iter().map(|root| root.name.as_deref()).collect()
}

#[tokio::test]
async fn an_index_nobody_could_read_is_not_written() {
    let (_dir, store) = store().await;
    let (mut image, _) = image(&store, "linux/amd64", "a").await;
    store.set_root("r", &image).await.unwrap();
    image.annotations.insert("a".to_owned(), "x".repeat(16 << 20));
    assert!(matches!(store.set_root("large", &image).await, Err(StoreError::Layout { .. })));
    assert_eq!(names(&store.roots().await.unwrap()), [Some("r")]);
}

#[tokio::test]
async fn names_are_set_moved_and_removed() {
    let (_dir, store) = store().await;
    let (a, _) = image(&store, "linux/amd64", "a").await;
    let (b, _) = image(&store, "linux/amd64", "b").await;
    store.set_root("r/x:1", &a).await.unwrap();
    store.set_root("r/x:2", &a).await.unwrap();
    store.set_root("r/x:1", &b).await.unwrap();
    assert_eq!(names(&store.roots().await.unwrap()), [Some("r/x:2"), Some("r/x:1")]);
    assert_eq!(store.resolve("r/x:1").await.unwrap().map(|d| d.digest), Some(b.digest.clone()));
    assert_eq!(store.resolve("r/x:3").await.unwrap(), None);

    let (gone, names_now) = (["r/x:2".to_owned()], ["r/x:1".to_owned(), "r/x:4".to_owned()]);
    store.rename_roots(&gone, &names_now, &a).await.unwrap();
    assert_eq!(names(&store.roots().await.unwrap()), [Some("r/x:1"), Some("r/x:4")]);
    assert_eq!(store.resolve("r/x:1").await.unwrap().map(|d| d.digest), Some(a.digest.clone()));
    store.rename_roots(&["r/x:4".to_owned()], &["r/x:2".to_owned()], &a).await.unwrap();
    store.set_root("r/x:1", &b).await.unwrap();

    let removed = store.remove_roots(RootKey::Digest(&b.digest)).await.unwrap();
    assert_eq!(names(&removed), [Some("r/x:1")]);
    assert_eq!(names(&store.remove_roots(RootKey::Name("r/x:2")).await.unwrap()), [Some("r/x:2")]);
    assert_eq!(store.remove_roots(RootKey::Name("r/x:2")).await.unwrap(), []);
}

#[tokio::test]
async fn what_other_tools_wrote_survives() {
    let (dir, store) = store().await;
    let foreign = json!({
        "schemaVersion": 2, "x-tool": {"deep": [1.50, null]},
        "manifests": [{"mediaType": "a/b", "digest": Digest::sha256("f"), "size": 1, "x-field": true, "annotations": {"k": "v"}}],
        "annotations": {"top": "level"},
    });
    fs::write(dir.path().join("index.json"), foreign.to_string()).unwrap();
    let (a, _) = image(&store, "linux/amd64", "a").await;
    store.set_root("name", &a).await.unwrap();
    let with = |entries: Value| {
        let mut want = foreign.clone();
        want["manifests"] = entries;
        want
    };
    let read = || -> Value { serde_json::from_slice(&fs::read(dir.path().join("index.json")).unwrap()).unwrap() };
    let mut named = serde_json::to_value(&a).unwrap();
    named["annotations"] = json!({REF_NAME: "name"});
    assert_eq!(read(), with(json!([foreign["manifests"][0], named])));
    store.remove_roots(RootKey::Name("name")).await.unwrap();
    assert_eq!(read(), foreign);
}

#[tokio::test]
async fn a_broken_root_index_is_reported_and_kept() {
    let (dir, store) = store().await;
    let (a, _) = image(&store, "linux/amd64", "a").await;
    for (text, part) in
        [("{", "index.json: EOF"), ("{}", "no `manifests`"), (r#"{"manifests":[{}]}"#, "entry 0: missing field")]
    {
        fs::write(dir.path().join("index.json"), text).unwrap();
        for error in [
            store.roots().await.unwrap_err(),
            store.set_root("x", &a).await.unwrap_err(),
            store.gc().await.unwrap_err(),
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
        assert_eq!(fs::read_to_string(dir.path().join("index.json")).unwrap(), text);
    }
    assert_eq!(store.stat(&a.digest).await.unwrap(), Some(a.size));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_name_is_lost_between_writers() {
    let (dir, first) = store().await;
    let (a, _) = image(&first, "linux/amd64", "a").await;
    let mut tasks = tokio::task::JoinSet::new();
    for i in 0..16 {
        let (root, a) = (dir.path().to_owned(), a.clone());
        // A store of its own, as another process has.
        tasks.spawn(
            async move { LayoutStore::open(root).await.unwrap().set_root(&format!("n{i:02}"), &a).await.unwrap() },
        );
    }
    tasks.join_all().await;
    let mut found: Vec<_> = first.roots().await.unwrap().into_iter().filter_map(|root| root.name).collect();
    found.sort();
    assert_eq!(found, (0..16).map(|i| format!("n{i:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn gc_removes_exactly_what_no_root_reaches() {
    let (dir, store) = store().await;
    let kept = index(&store).await;
    store.set_root("kept", &kept).await.unwrap();
    let (lost, _) = image(&store, "linux/s390x", "lost").await;
    store.put_bytes("loose").await.unwrap();
    fs::write(dir.path().join("ingest/dead"), "1234567").unwrap();
    fs::write(dir.path().join("blobs/sha256/not-a-digest"), "?").unwrap();
    // An index, two images, two configs, one shared layer.
    let total = || fs::read_dir(dir.path().join("blobs/sha256")).unwrap().count();
    assert_eq!(total(), 6 + 3 + 1 + 1);

    let config = fs::metadata(store.blob_path(&lost_config(&store, &lost).await)).unwrap().len();
    let removed = store.gc().await.unwrap();
    let bytes = lost.size + config + "lost".len() as u64 + "loose".len() as u64 + 7;
    assert_eq!(removed, Removed { blobs: 4, temporary: 1, bytes });
    assert_eq!(total(), 6 + 1);
    assert_eq!(store.gc().await.unwrap(), Removed::default());
    assert!(store.summaries().await.unwrap()[0].complete);
}

async fn lost_config(store: &LayoutStore, image: &Descriptor) -> Digest {
    let bytes = store.read_bytes(&image.digest, 4096).await.unwrap();
    let view: Value = serde_json::from_slice(&bytes).unwrap();
    view["config"]["digest"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn gc_waits_for_nobody_and_disturbs_nobody() {
    let (dir, store) = store().await;
    store.put_bytes("loose").await.unwrap();
    let other = LayoutStore::open(dir.path()).await.unwrap();
    let lease = other.lease().await.unwrap();
    assert!(matches!(store.gc().await, Err(StoreError::InUse { .. })));
    drop(lease);
    let mut writer = other.writer(Expect::default()).await.unwrap();
    writer.write("new".into()).await.unwrap();
    assert!(matches!(store.gc().await, Err(StoreError::InUse { .. })));
    writer.commit().await.unwrap();
    assert_eq!(store.gc().await.unwrap().blobs, 2);
}

#[tokio::test]
async fn a_lease_waits_for_gc() {
    let (_dir, store) = store().await;
    let alone = lease::try_exclusive(&store.paths.lease()).unwrap().unwrap();
    let mut waiting = Box::pin(store.lease());
    assert!(futures::poll!(&mut waiting).is_pending());
    drop(alone);
    waiting.await.unwrap();
}

#[tokio::test]
async fn gc_deletes_nothing_when_it_cannot_see_everything() {
    let (_dir, store) = store().await;
    let loose = store.put_bytes("loose").await.unwrap();
    let broken = store.put_bytes("not json").await.unwrap();
    // First as a leaf: a wrong media type must not hide the node from the walk.
    store.set_root("leaf", &Descriptor::new("text/plain", broken.clone(), 8)).await.unwrap();
    assert_eq!(store.gc().await.unwrap().blobs, 1);
    store.put_bytes("loose").await.unwrap();
    store.set_root("node", &Descriptor::new(media_type::OCI_INDEX, broken, 8)).await.unwrap();
    let error = store.gc().await.unwrap_err().to_string();
    assert!(error.contains("cannot be followed"), "{error}");
    assert_eq!(store.stat(&loose).await.unwrap(), Some(5));
}

#[tokio::test]
async fn gc_is_bounded_in_depth() {
    let (_dir, store) = store().await;
    let mut descriptor = Descriptor::new("text/plain", store.put_bytes("bottom").await.unwrap(), 6);
    for _ in 0..12 {
        let raw = RawManifest::new(media_type::OCI_INDEX, json!({"manifests": [descriptor]}).to_string());
        descriptor = put(&store, &raw).await;
    }
    store.set_root("deep", &descriptor).await.unwrap();
    let error = store.gc().await.unwrap_err().to_string();
    assert!(error.contains("too deep"), "{error}");
}

#[tokio::test]
async fn a_summary_says_what_is_there() {
    let (_dir, store) = store().await;
    let descriptor = index(&store).await;
    store.set_root("r/app:1", &descriptor).await.unwrap();
    let [row] = &store.summaries().await.unwrap()[..] else { panic!() };
    assert_eq!(row.root.name.as_deref(), Some("r/app:1"));
    assert_eq!(row.platforms.iter().map(ToString::to_string).collect::<Vec<_>>(), ["linux/amd64", "linux/arm/v7"]);
    assert_eq!(row.created.as_deref(), Some("2024-05-06T07:08:09Z"));
    assert_eq!((row.complete, &row.problem), (true, &None));
    let on_disk: u64 =
        fs::read_dir(store.root().join("blobs/sha256")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert_eq!(row.total_size, on_disk);

    store.remove(&Digest::sha256("shared")).await.unwrap();
    assert!(!store.summaries().await.unwrap()[0].complete);
}

#[tokio::test]
async fn the_table_forgets_what_is_gone() {
    let (dir, store) = store().await;
    let table = store.diff_ids().unwrap();
    let (diff_id, digest) = (Digest::sha256("tar"), store.put_bytes("gz").await.unwrap());
    let gzip = LayerForm { compression: LayerCompression::Gzip, level: None };
    let layer =
        CachedLayer { media_type: media_type::OCI_LAYER_GZIP.into(), digest: digest.clone(), size: 2, diff_size: None };
    assert_eq!(table.lookup(&diff_id, gzip).await.unwrap(), None);
    table.insert(&diff_id, gzip, layer.clone()).await.unwrap();
    assert_eq!(table.lookup(&diff_id, gzip).await.unwrap(), Some(layer.clone()));
    for other in [LayerForm { level: Some(9), ..gzip }, LayerForm { compression: LayerCompression::Zstd, level: None }]
    {
        assert_eq!(table.lookup(&diff_id, other).await.unwrap(), None);
    }

    let entry = dir.path().join(format!("cache/diff-ids/gzip/sha256-{}", diff_id.encoded()));
    store.gc().await.unwrap();
    assert_eq!(table.lookup(&diff_id, gzip).await.unwrap(), None);
    assert!(!entry.exists(), "gc prunes the table");

    store.put_bytes("gz").await.unwrap();
    fs::write(&entry, "{half").unwrap();
    assert_eq!(table.lookup(&diff_id, gzip).await.unwrap(), None);
}
