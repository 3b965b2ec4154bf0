//! Copying images from one repository to another, with what refers to them.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use polyarch_registry::client::{ErrorKind, Registry};
use polyarch_registry::oci::{Descriptor, RawManifest, Reference, media_type};
use polyarch_registry::store::{BlobStoreExt as _, LayoutStore, MemoryStore};
use polyarch_registry::transfer::copier::{Names, Outcome, Request, Root};
use polyarch_registry::transfer::{Copier, CopierError, Delivered, MountSources, Origin, PARALLEL, Publication};
use polyarch_registry::transfer::{Publisher, TagMove};
use serde_json::json;

use super::embedded::Embedded;
use super::images::{Image, noise, put, two_platforms};
use super::model;
use super::script::{Reply, Seen, client};

fn copier(registry: Registry) -> Copier {
    Copier { registry, events: Arc::new(|_| {}), parallel: PARALLEL, referrers: true, platforms: Vec::new() }
}

async fn publish(image: &Image, to: Vec<Reference>) {
    let store = Arc::clone(&image.store);
    let publisher = Publisher { registry: client(), store, events: Arc::new(|_| {}), parallel: PARALLEL };
    let publication = Publication { root: image.index.clone(), destinations: to, mounts: MountSources::new() };
    for outcome in publisher.publish(&publication).await {
        outcome.result.unwrap();
    }
}

async fn copy(copier: &Copier, from: &Reference, to: &Reference) -> Outcome {
    let root = copier.registry.get_manifest(from).await.unwrap();
    let requests = [Request { root: Root::Read(root), destination: to.clone() }];
    copier.to_repository(&Origin::Repository(from.clone()), &requests).await
}

fn only(outcome: Outcome) -> Result<Delivered, Arc<CopierError>> {
    let [(_, result)] = <[_; 1]>::try_from(outcome.images).unwrap();
    result
}

/// `platforms` images of `layers` layers each, nothing shared.
async fn large(platforms: usize, layers: usize) -> Image {
    let store = Arc::new(MemoryStore::new());
    let (mut children, mut blobs, mut listed) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..platforms {
        let mut own = Vec::new();
        for layer in 0..layers {
            let seed = (n * 1000 + layer) as u64;
            own.push(put(&*store, media_type::OCI_LAYER_GZIP, noise(seed, 500)).await);
        }
        let config = json!({"architecture": format!("cpu{n}"), "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": own.iter().map(|layer| &layer.digest).collect::<Vec<_>>()}});
        let config = put(&*store, media_type::OCI_CONFIG, config.to_string()).await;
        let manifest =
            json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": own});
        let manifest = RawManifest::new(media_type::OCI_MANIFEST, manifest.to_string());
        store.put_bytes(manifest.bytes().clone()).await.unwrap();
        let platform = Some(format!("linux/cpu{n}").parse().unwrap());
        listed.push(Descriptor { platform, ..manifest.descriptor() });
        children.push(manifest);
        blobs.push(config);
        blobs.extend(own);
    }
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": listed});
    let index = RawManifest::new(media_type::OCI_INDEX, index.to_string());
    store.put_bytes(index.bytes().clone()).await.unwrap();
    let shared = blobs[0].clone();
    Image { store, index, children, blobs, shared }
}

fn count(lines: &[String], start: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(start)).count()
}

#[tokio::test]
async fn ten_platforms_of_twenty_layers_take_few_requests() {
    let image = large(10, 20).await;
    let ((from, _state), (to, state)) = (model::start(|_| None).await, model::start(|_| None).await);
    publish(&image, vec![from.reference("app:1")]).await;
    let before = from.lines().len();
    let copier = copier(client());
    let outcome = copy(&copier, &from.reference("app:1"), &to.reference("app:1")).await;
    assert_eq!((outcome.blobs.sent, outcome.blobs.present), (210, 0));
    let delivered = only(outcome).unwrap();
    assert_eq!((delivered.digest, delivered.tag), (image.index.digest().clone(), TagMove::Moved));
    assert_eq!(state.lock().unwrap().tag("app", "1").as_ref(), Some(image.index.bytes()));
    // Each manifest and blob once, the list of referrers and of tags once.
    assert_eq!(from.lines().len() - before, 221 + 2);
    // Two for each blob; each manifest written and read back; the tag asked for twice, written and read back; the tags,
    // and the blobs that an earlier run would have left.
    let lines = to.lines();
    assert_eq!((count(&lines, "POST"), count(&lines, "PUT /v2/app/manifests/")), (210, 12));
    assert_eq!(lines.len(), 420 + 22 + 4 + 1 + PARALLEL, "{lines:#?}");

    // Once more: the root on both sides, the children by their heads, and what may refer to them.
    let (read, asked) = (from.lines().len(), to.lines().len());
    let copier = self::copier(client());
    let again = copy(&copier, &from.reference("app:1"), &to.reference("app:1")).await;
    assert_eq!((again.blobs.sent, only(again).unwrap().tag), (0, TagMove::Unchanged));
    assert_eq!((from.lines().len() - read, to.lines().len() - asked), (3, 11));
}

#[tokio::test]
async fn within_one_registry_blobs_are_mounted() {
    let image = two_platforms(50, 4000).await;
    let (server, state) = model::start(|_| None).await;
    publish(&image, vec![server.reference("a:1")]).await;
    let copier = copier(client());
    let outcome = copy(&copier, &server.reference("a:1"), &server.reference("b:2")).await;
    assert_eq!((outcome.blobs.mounted, outcome.blobs.sent), (5, 0));
    only(outcome).unwrap();
    // Where it cannot mount, reading and writing share the host's slots, and neither waits for ever.
    state.lock().unwrap().mounts = false;
    let outcome = copy(&copier, &server.reference("a:1"), &server.reference("c:3")).await;
    assert_eq!((outcome.blobs.mounted, outcome.blobs.sent), (0, 5));
    assert_eq!(state.lock().unwrap().tag("c", "3").as_ref(), Some(image.index.bytes()));
}

#[tokio::test]
async fn a_failed_copy_leaves_no_tag_and_a_rerun_sends_the_rest() {
    let image = large(2, 6).await;
    let (from, _) = model::start(|_| None).await;
    publish(&image, vec![from.reference("app:1")]).await;
    let refuses = Arc::new(Mutex::new(true));
    let switch = Arc::clone(&refuses);
    let last = image.blobs.last().unwrap().digest.to_string().replace(':', "%3A");
    let (to, state) = model::start(move |seen: &Seen| {
        let is_last = seen.method == "PUT" && seen.path.contains(&last);
        (is_last && *switch.lock().unwrap()).then(|| Reply::status(403))
    })
    .await;
    let error = only(copy(&copier(client()), &from.reference("app:1"), &to.reference("app:1")).await).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(state.lock().unwrap().manifests.is_empty());
    let kept = state.lock().unwrap().blobs.len() as u64;
    assert_eq!(kept, 13);

    *refuses.lock().unwrap() = false;
    let outcome = copy(&copier(client()), &from.reference("app:1"), &to.reference("app:1")).await;
    assert_eq!((outcome.blobs.present, outcome.blobs.sent), (kept, 14 - kept));
    only(outcome).unwrap();
}

#[tokio::test]
async fn a_source_that_lies_about_a_blob_is_named_and_nothing_is_completed() {
    let image = two_platforms(51, 100_000).await;
    let layer = image.blobs[1].clone();
    let (digest, size) = (layer.digest.to_string(), layer.size as usize);
    let (from, _) = model::start(move |seen: &Seen| {
        let is_layer = seen.method == "GET" && seen.path.ends_with(&digest);
        is_layer.then(|| Reply::body(200, "application/octet-stream", Bytes::from(vec![7; size])))
    })
    .await;
    publish(&image, vec![from.reference("app:1")]).await;
    let (to, state) = model::start(|_| None).await;
    let error = only(copy(&copier(client()), &from.reference("app:1"), &to.reference("app:1")).await).unwrap_err();
    assert!(matches!(&*error, CopierError::SourceBlob { digest, .. } if *digest == layer.digest), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    let state = state.lock().unwrap();
    assert!(state.manifests.is_empty() && !state.blobs.keys().any(|(_, digest)| *digest == layer.digest.to_string()));
}

#[tokio::test]
async fn platforms_are_left_out_and_said() {
    let image = two_platforms(52, 1000).await;
    let ((from, _), (to, state)) = (model::start(|_| None).await, model::start(|_| None).await);
    publish(&image, vec![from.reference("app:1")]).await;
    let mut copier = copier(client());
    copier.platforms = vec!["linux/arm64".parse().unwrap()];
    let delivered = only(copy(&copier, &from.reference("app:1"), &to.reference("app:1")).await).unwrap();
    assert_eq!((delivered.left_out, delivered.source), (vec!["linux/amd64".to_owned()], image.index.digest().clone()));
    assert_ne!(delivered.digest, *image.index.digest());
    // The layer of both, the layer and the config of one.
    assert_eq!(state.lock().unwrap().blobs.len(), 3);
    copier.platforms = vec!["linux/s390x".parse().unwrap()];
    let error = only(copy(&copier, &from.reference("app:1"), &to.reference("app:2")).await).unwrap_err();
    assert!(matches!(&*error, CopierError::Platform { have, .. } if have.len() == 2), "{error:?}");
    assert_eq!(state.lock().unwrap().tag("app", "2"), None);
}

/// An artifact about a manifest.
async fn artifact(image: &Image, subject: &RawManifest, note: &str) -> RawManifest {
    let config = put(&*image.store, media_type::OCI_EMPTY, "{}").await;
    let layer = put(&*image.store, "text/plain", note.to_owned()).await;
    let text = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": "text/x-note",
        "config": config, "layers": [layer], "subject": subject.descriptor()});
    RawManifest::new(media_type::OCI_MANIFEST, text.to_string())
}

#[tokio::test]
async fn referrers_and_signatures_go_along_unless_told_otherwise() {
    let image = two_platforms(53, 1000).await;
    let (from, to) = (Embedded::start().await, Embedded::start().await);
    publish(&image, vec![from.reference("app:1")]).await;
    let registry = client();
    let note = artifact(&image, &image.children[0], "of a child").await;
    let about_note = artifact(&image, &note, "of the note").await;
    let signature = format!("{}.sig", polyarch_registry::client::fallback_tag(image.index.digest()));
    let cosign = artifact(&image, &image.index, "signature").await;
    for manifest in [&note, &about_note, &cosign] {
        let part = Image { index: manifest.clone(), ..two_platforms(53, 1000).await };
        let part = Image { store: Arc::clone(&image.store), ..part };
        publish(&part, vec![from.reference("app")]).await;
    }
    registry.put_manifest(&from.reference(&format!("app:{signature}")), &cosign).await.unwrap();

    let mut copier = copier(registry.clone());
    let delivered = only(copy(&copier, &from.reference("app:1"), &to.reference("copy:1")).await).unwrap();
    assert_eq!((delivered.referrers, &delivered.digest), (3, image.index.digest()));
    for (subject, want) in [(image.children[0].digest(), &note), (note.digest(), &about_note)] {
        let found = registry.referrers(&to.reference("copy"), subject, None).await.unwrap();
        assert_eq!(found.entries.iter().map(|entry| &entry.digest).collect::<Vec<_>>(), [want.digest()]);
    }
    let again = only(copy(&copier, &from.reference("app:1"), &to.reference("copy:1")).await).unwrap();
    assert_eq!((again.tag, again.referrers), (TagMove::Unchanged, 3));

    copier.referrers = false;
    only(copy(&copier, &from.reference("app:1"), &to.reference("bare:1")).await).unwrap();
    let found = registry.referrers(&to.reference("bare"), image.children[0].digest(), None).await.unwrap();
    assert!(found.entries.is_empty());

    // Into a layout and out of it again.
    copier.referrers = true;
    let dir = tempfile::tempdir().unwrap();
    let layout = LayoutStore::open(dir.path()).await.unwrap();
    let origin = Origin::Repository(from.reference("app:1"));
    let names = Names::Plain(Some("1".to_owned()));
    let (tree, outcome) = copier.to_layout(&origin, &image.index, &layout, &names).await.unwrap();
    assert_eq!((tree.extras.len(), outcome.blobs.present), (3, 0));
    let entry = layout.resolve("1").await.unwrap().unwrap();
    assert_eq!(entry.digest, *image.index.digest());
    let requests = [Request { root: Root::Read(image.index.clone()), destination: to.reference("back:1") }];
    let delivered = only(copier.to_repository(&Origin::Layout(layout), &requests).await).unwrap();
    assert_eq!((delivered.referrers, delivered.digest), (3, image.index.digest().clone()));
}

#[tokio::test]
async fn many_tags_share_their_blobs_and_fail_alone() {
    let image = two_platforms(54, 1000).await;
    let ((from, _), (to, state)) = (model::start(|_| None).await, model::start(|_| None).await);
    publish(&image, (0..40).map(|n| from.reference(&format!("app:{n}"))).collect()).await;
    let requests: Vec<Request> = (0..41)
        .map(|n| {
            let tag = format!("app:{n}");
            Request { root: Root::At(from.reference(&tag)), destination: to.reference(&tag) }
        })
        .collect();
    let outcome = copier(client()).to_repository(&Origin::Repository(from.reference("app")), &requests).await;
    let failed: Vec<_> = outcome.images.iter().filter(|(_, result)| result.is_err()).map(|(to, _)| to.tag()).collect();
    assert_eq!((failed, outcome.images.len(), outcome.blobs.sent), (vec![Some("40")], 41, 5));
    let fetched = from.lines().iter().filter(|line| line.starts_with("GET /v2/app/blobs/")).count();
    assert_eq!(fetched, 5);
    assert_eq!(state.lock().unwrap().tag("app", "39").as_ref(), Some(image.index.bytes()));
}
