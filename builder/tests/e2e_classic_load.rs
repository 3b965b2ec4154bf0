//! Stored images into real daemons.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod node_bed;

use std::sync::Arc;

use polyarch_builder::classic::{Capacity, LoadSpec, load};
use polyarch_builder::event_sink::EventSink;
use polyarch_builder::node::docker::DockerApi;
use polyarch_builder::node::endpoint::HostEnv;
use polyarch_registry::oci::{Descriptor, Digest, Format, ImageBuilder, IndexBuilder, Platform, media_type};
use polyarch_registry::store::{BlobStore, BlobStoreExt, MemoryStore};

async fn daemon(name: &str) -> Option<(DockerApi, String)> {
    let address = node_bed::address(name)?;
    let reached = node_bed::reach(&address, &HostEnv::default()).await.unwrap();
    Some((reached.docker.unwrap().api, address))
}

/// Stores an image of busybox for two platforms, its layer compressed, and returns what loads it under `name`.
async fn stored(bases: &str, name: &str) -> LoadSpec {
    let store = MemoryStore::default();
    let mut index = IndexBuilder::new(Format::Oci);
    for arch in ["arm64", "amd64"] {
        let platform = Platform::new("linux", arch, None);
        let (layer, diff_id) = layer(&format!("{bases}/busybox-{arch}"), name);
        let digest = store.put_bytes(layer.clone()).await.unwrap();
        let layer = Descriptor::new(media_type::OCI_LAYER_GZIP, digest, layer.len() as u64);
        let config = serde_json::json!({
            "os": "linux", "architecture": arch, "config": {"Cmd": ["/bin/busybox", "uname", "-m"]},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        });
        let config = config.to_string();
        let digest = store.put_bytes(config.clone()).await.unwrap();
        let manifest = ImageBuilder::new(Format::Oci, digest, config.len() as u64).layer(layer).build().unwrap();
        store.put_bytes(manifest.bytes().clone()).await.unwrap();
        index = index.image(manifest.descriptor(), platform);
    }
    let index = index.build().unwrap();
    store.put_bytes(index.bytes().clone()).await.unwrap();
    let (events, _told) = EventSink::channel();
    LoadSpec {
        store: Arc::new(store),
        root: index.descriptor(),
        references: vec![name.parse().unwrap()],
        document_limit: 4 << 20,
        events,
    }
}

/// The layer's own name in it keeps images of different tests apart.
fn layer(busybox: &str, name: &str) -> (Vec<u8>, Digest) {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, contents) in [("bin/busybox", std::fs::read(busybox).unwrap()), ("name", name.into())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o755);
        builder.append_data(&mut header, path, contents.as_slice()).unwrap();
    }
    let plain = builder.into_inner().unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &plain).unwrap();
    (packed.finish().unwrap(), Digest::sha256(&plain))
}

fn docker(address: &str, args: &[&str]) -> String {
    let out = std::process::Command::new("docker").args(["-H", address]).args(args).output().unwrap();
    assert!(out.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).trim().to_owned()
}

fn platforms(text: &str) -> Vec<Platform> {
    text.split_whitespace().map(|platform| platform.parse().unwrap()).collect()
}

#[tokio::test]
async fn loads_every_platform_into_a_containerd_store() {
    let Some((api, address)) = daemon("BED_DOCKER28").await else { return };
    let Some(bases) = node_bed::address("BED_BASES") else { return };
    let name = format!("polyarch-test/load:{:08x}", rand::random::<u32>());
    let spec = stored(&bases, &name).await;
    let loaded = load(&api, &Capacity::All, &spec).await.unwrap();
    assert_eq!((loaded.platforms, loaded.left_out), (platforms("linux/arm64 linux/amd64"), vec![]));
    assert_eq!(api.image(&name).await.unwrap().unwrap().id, spec.root.digest.to_string());
    for (platform, machine) in [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64")] {
        assert_eq!(docker(&address, &["run", "--rm", "--network=none", "--platform", platform, &name]), machine);
    }
    api.untag(&name).await.unwrap();
}

#[tokio::test]
async fn loads_the_machines_platform_into_a_classic_store_and_says_what_is_left_out() {
    for daemon_name in ["BED_DOCKER20", "BED_DOCKER28_CLASSIC"] {
        let Some((api, address)) = daemon(daemon_name).await else { return };
        let Some(bases) = node_bed::address("BED_BASES") else { return };
        let name = format!("polyarch-test/load:{:08x}", rand::random::<u32>());
        let spec = stored(&bases, &name).await;
        let capacity = Capacity::One { preferred: platforms("linux/amd64") };
        let loaded = load(&api, &capacity, &spec).await.unwrap();
        assert_eq!((loaded.platforms, loaded.left_out), (platforms("linux/amd64"), platforms("linux/arm64")));
        assert_eq!(docker(&address, &["run", "--rm", "--network=none", &name]), "x86_64", "{daemon_name}");
        api.untag(&name).await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_blob_fails_the_load_and_leaves_no_name() {
    let Some((api, _)) = daemon("BED_DOCKER28").await else { return };
    let Some(bases) = node_bed::address("BED_BASES") else { return };
    let name = format!("polyarch-test/load:{:08x}", rand::random::<u32>());
    let spec = stored(&bases, &name).await;
    let spec = LoadSpec { store: Arc::new(Damaged(Arc::clone(&spec.store))), ..spec };
    load(&api, &Capacity::All, &spec).await.unwrap_err();
    assert_eq!(api.image(&name).await.unwrap(), None);
}

/// A store whose large blobs have one wrong byte.
struct Damaged(Arc<dyn BlobStore>);

mod damaged {
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use polyarch_registry::oci::Digest;
    use polyarch_registry::store::{BlobReader, BlobStore, BlobWriter, Expect, StoreError};
    use tokio::io::AsyncReadExt;

    use super::Damaged;

    impl BlobStore for Damaged {
        fn stat<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<Option<u64>, StoreError>> {
            self.0.stat(digest)
        }

        fn open<'a>(&'a self, digest: &'a Digest, offset: u64) -> BoxFuture<'a, Result<BlobReader, StoreError>> {
            async move {
                let size = self.0.stat(digest).await?.unwrap_or(0);
                let reader = self.0.open(digest, offset).await?;
                if size < 100_000 {
                    return Ok(reader);
                }
                let wrong = std::io::Cursor::new(vec![b'?']);
                let start = self.0.open(digest, 1).await?;
                Ok(Box::new(wrong.chain(start)) as BlobReader)
            }
            .boxed()
        }

        fn writer(&self, expect: Expect) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, StoreError>> {
            self.0.writer(expect)
        }

        fn remove<'a>(&'a self, digest: &'a Digest) -> BoxFuture<'a, Result<(), StoreError>> {
            self.0.remove(digest)
        }
    }
}
