//! Images of real daemons, into a content store.

#![allow(clippy::unwrap_used)]

mod bed;

use bed::{Build, amd64, arm64, base, connect, json, log_text, unique};
use polyarch_builder::buildkit::Export;
use polyarch_builder::buildkit::export::ImageOptions;
use polyarch_builder::event::{EventKind, TransferHow};
use polyarch_registry::oci::Digest;
use polyarch_registry::store::BlobStore;

fn oci() -> Export {
    Export::OciDirectory(ImageOptions::default())
}

#[tokio::test]
async fn a_worker_tells_its_platforms() {
    let Some(worker) = connect("BED_DOCKER28").await else { return };
    let workers = worker.list_workers().await.unwrap();
    assert_eq!(workers.len(), 1);
    assert!(workers[0].platforms.contains(&amd64()), "{workers:?}");
    let version = worker.info().await.unwrap();
    assert!(version.is_some(), "Docker 28 tells BuildKit's version");
}

#[tokio::test]
async fn two_platforms_share_a_stage_and_land_verified_in_the_store() {
    let (Some(worker), Some(base)) = (connect("BED_DOCKER28").await, base()) else { return };
    let dockerfile = format!(
        "FROM --platform=$BUILDPLATFORM {base} AS build\nCOPY input .\nRUN cat input /proc/sys/kernel/random/uuid > output && echo said\n\
         FROM {base}\nCOPY --from=build output /\nRUN uname -m > /machine\n"
    );
    let input = unique();
    let mut build = Build::new(worker, &dockerfile).file("input", &input);
    let session = build.session().await;
    let (amd64, arm64) = (amd64(), arm64());
    let (first, second) = tokio::join!(build.solve(&session, &amd64, oci()), build.solve(&session, &arm64, oci()));
    session.close().await;
    let mut layers = Vec::new();
    for (outcome, architecture) in [(first.unwrap(), "amd64"), (second.unwrap(), "arm64")] {
        let root = outcome.root.unwrap();
        assert_eq!(root.media_type, "application/vnd.oci.image.manifest.v1+json");
        let manifest = json(&build.store, &root.digest).await;
        let config: Digest = manifest["config"]["digest"].as_str().unwrap().parse().unwrap();
        assert_eq!(Some(&config), outcome.config.as_ref());
        assert_eq!(json(&build.store, &config).await["architecture"], architecture);
        for layer in manifest["layers"].as_array().unwrap() {
            let digest: Digest = layer["digest"].as_str().unwrap().parse().unwrap();
            assert_eq!(build.store.stat(&digest).await.unwrap(), layer["size"].as_u64());
        }
        layers.push(manifest["layers"].as_array().unwrap().clone());
    }
    let events = build.events();
    assert!(log_text(&events).contains("said"), "{events:#?}");
    // COPY --from is the last layer but one: a random number that both solves got from one run.
    assert_eq!(layers[0][layers[0].len() - 2], layers[1][layers[1].len() - 2]);
    assert_ne!(layers[0].last(), layers[1].last());
    let sent = events.iter().filter(|e| matches!(e, EventKind::TransferDone { how: TransferHow::Sent, .. })).count();
    assert_eq!(sent, build.store.digests().len(), "every blob was sent once");
}

#[tokio::test]
async fn a_second_export_sends_nothing() {
    let (Some(worker), Some(base)) = (connect("BED_DOCKER28").await, base()) else { return };
    let mut build = Build::new(worker, &format!("FROM {base}\nCOPY input /\n")).file("input", unique());
    let session = build.session().await;
    let first = build.solve(&session, &amd64(), oci()).await.unwrap();
    build.events();
    let second = build.solve(&session, &amd64(), oci()).await.unwrap();
    assert_eq!(first.root.map(|root| root.digest), second.root.map(|root| root.digest));
    assert_eq!(second.steps.executed(), 0, "{:#?}", second.steps);
    let events = build.events();
    assert!(!events.iter().any(|e| matches!(e, EventKind::Transfer { .. })), "{events:#?}");
}
