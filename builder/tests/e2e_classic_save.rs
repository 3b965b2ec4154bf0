//! Images out of real daemons with the classic store.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failing helper is a failing test, and skips are told")]

mod node_bed;

use polyarch_builder::classic::{ClassicError, SaveSpec, TemporaryTag, save, sweep};
use polyarch_builder::event_sink::EventSink;
use polyarch_builder::node::docker::DockerApi;
use polyarch_builder::node::endpoint::HostEnv;
use polyarch_registry::oci::media_type::LayerCompression;
use polyarch_registry::oci::{Digest, ImageConfig};
use polyarch_registry::store::layout::{LayerForm, LayoutStore};
use polyarch_registry::store::{BlobStore, BlobStoreExt};

/// The classic daemons of the bed; none if the bed is not up.
async fn daemons() -> Vec<DockerApi> {
    let mut found = Vec::new();
    for name in ["BED_DOCKER20", "BED_DOCKER28_CLASSIC"] {
        let Some(address) = node_bed::address(name) else { return Vec::new() };
        found.push(node_bed::reach(&address, &HostEnv::default()).await.unwrap().docker.unwrap().api);
    }
    found
}

#[tokio::test]
async fn takes_an_image_out_and_leaves_no_trace() {
    for docker in daemons().await {
        let tag = TemporaryTag::new(&docker);
        let reference = tag.reference().to_owned();
        docker.load(node_bed::tiny_image(&reference)).await.unwrap();
        let id: Digest = docker.image(&reference).await.unwrap().unwrap().id.parse().unwrap();

        let dir = tempfile::tempdir().unwrap();
        let store = LayoutStore::open(dir.path()).await.unwrap();
        let (events, _told) = EventSink::channel();
        let form = LayerForm { compression: LayerCompression::Gzip, level: None };
        let spec = SaveSpec {
            store: &store,
            cache: None,
            form,
            threads: 2,
            document_limit: 4 << 20,
            config: Some(&id),
            events: &events,
        };
        let image = save(&docker, &reference, &spec).await.unwrap();
        assert_eq!(image.config.digest, id);
        let config = store.read_bytes(&image.config.digest, 4 << 20).await.unwrap();
        assert_eq!(ImageConfig::parse(&config).unwrap().rootfs.diff_ids, image.diff_ids);
        for layer in &image.layers {
            assert_eq!(store.stat(&layer.digest).await.unwrap(), Some(layer.size));
        }

        let other = Digest::sha256("other");
        let error = save(&docker, &reference, &SaveSpec { config: Some(&other), ..spec }).await.unwrap_err();
        assert!(matches!(error, ClassicError::ConfigMismatch { .. }));

        tag.remove().await.unwrap();
        assert_eq!(docker.image(&reference).await.unwrap(), None);
        assert_eq!(docker.image(&id.to_string()).await.unwrap(), None, "the image went with its only name");
    }
}

#[tokio::test]
async fn keeps_an_image_the_user_has_by_another_name() {
    for docker in daemons().await {
        let kept = format!("polyarch-test/kept:{:08x}", rand::random::<u32>());
        let tag = TemporaryTag::new(&docker);
        docker.load(node_bed::tiny_image(&kept)).await.unwrap();
        docker.load(node_bed::tiny_image(tag.reference())).await.unwrap();
        let reference = tag.reference().to_owned();
        drop(tag);
        assert_eq!(docker.image(&reference).await.unwrap(), None, "the dropped guard removed the tag");
        assert!(docker.image(&kept).await.unwrap().is_some());
        docker.untag(&kept).await.unwrap();
    }
}

#[tokio::test]
async fn sweeps_tags_of_dead_processes_only() {
    for docker in daemons().await {
        let alive = TemporaryTag::new(&docker);
        // This process's tag with the number of a process that cannot be: pid_max is 2^22.
        let (repository, name) = alive.reference().split_once(':').unwrap();
        let dead = format!("{repository}:9999999-{}", name.split_once('-').unwrap().1);
        for reference in [alive.reference(), dead.as_str()] {
            docker.load(node_bed::tiny_image(reference)).await.unwrap();
        }
        assert!(sweep(&docker).await.unwrap().contains(&dead));
        assert_eq!(docker.image(&dead).await.unwrap(), None);
        assert!(docker.image(alive.reference()).await.unwrap().is_some());
        alive.remove().await.unwrap();
    }
}
