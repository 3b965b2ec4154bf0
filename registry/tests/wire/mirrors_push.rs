//! A push asks the registry itself: what a mirror has says nothing about what the registry has.

use std::sync::Arc;

use polyarch_registry::client::{BytesSource, Registry, fallback_tag};
use polyarch_registry::oci::{Descriptor, Digest, RawManifest, Reference, media_type};
use polyarch_registry::transfer::copier::{Request, Root};
use polyarch_registry::transfer::{Copier, MountSources, Origin, PARALLEL, Publication, Published, Publisher, TagMove};
use serde_json::json;

use super::images::{Image, bare_manifest, blob, noise, two_platforms};
use super::mirrors::{Files, url};
use super::model;
use super::script::{Reply, client};

async fn publish(registry: Registry, image: &Image, to: Reference) -> Published {
    let store = Arc::clone(&image.store);
    let publisher = Publisher { registry, store, events: Arc::new(|_| {}), parallel: PARALLEL };
    let publication = Publication { root: image.index.clone(), destinations: vec![to], mounts: MountSources::new() };
    publisher.publish(&publication).await.remove(0).result.unwrap()
}

#[tokio::test]
async fn a_blob_or_tag_of_a_mirror_is_not_taken_for_the_registry_s() {
    let image = two_platforms(31, 2000).await;
    let ((registry, state), (mirror, _)) = (model::start(|_| None).await, model::start(|_| None).await);
    publish(client(), &image, mirror.reference("app:1")).await;
    let asked = mirror.lines().len();
    let files = Files::new(&registry, &[(url(&mirror), "")]);
    let done = publish(files.client(), &image, registry.reference("app:1")).await;
    assert_eq!((done.tag, done.blobs.sent, done.blobs.present), (TagMove::Moved, 5, 0));
    assert_eq!(state.lock().unwrap().tag("app", "1").as_ref(), Some(image.index.bytes()));
    // Mounted, and looked at where it was mounted.
    let done = publish(files.client(), &image, registry.reference("app:2")).await;
    assert_eq!(done.blobs.present, 5);
    assert_eq!(mirror.lines().split_off(asked), Vec::<String>::new());
}

#[tokio::test]
async fn a_copy_looks_at_its_destination_itself() {
    let image = two_platforms(32, 2000).await;
    let ((registry, state), (mirror, _)) = (model::start(|_| None).await, model::start(|_| None).await);
    let (source, _) = model::start(|_| None).await;
    publish(client(), &image, source.reference("app:1")).await;
    publish(client(), &image, mirror.reference("app:1")).await;
    let asked = mirror.lines().len();
    let registry_of = Files::new(&registry, &[(url(&mirror), "")]);
    let copier = Copier {
        registry: registry_of.client(),
        events: Arc::new(|_| {}),
        parallel: PARALLEL,
        referrers: true,
        platforms: Vec::new(),
    };
    let requests = [Request { root: Root::Read(image.index.clone()), destination: registry.reference("app:1") }];
    let outcome = copier.to_repository(&Origin::Repository(source.reference("app:1")), &requests).await;
    assert_eq!(outcome.images[0].1.as_ref().unwrap().tag, TagMove::Moved);
    assert_eq!(state.lock().unwrap().tag("app", "1").as_ref(), Some(image.index.bytes()));
    assert_eq!(mirror.lines().split_off(asked), Vec::<String>::new());
}

#[tokio::test]
async fn the_referrers_tag_is_the_registry_s_own() {
    let no_api = |seen: &super::script::Seen| seen.path.contains("/referrers/").then(|| Reply::status(404));
    let ((registry, state), (mirror, _)) = (model::start(no_api).await, model::start(no_api).await);
    let subject = bare_manifest("subject");
    let empty = Descriptor::new(media_type::OCI_EMPTY, Digest::sha256("{}"), 2);
    let note = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": "example/note",
        "config": empty, "layers": [], "subject": subject.descriptor()});
    let note = RawManifest::new(media_type::OCI_MANIFEST, note.to_string());
    let stale =
        r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"a":"stale"}"#;
    let tag = fallback_tag(subject.digest());
    client()
        .put_manifest(&mirror.reference(&format!("x:{tag}")), &RawManifest::new(media_type::OCI_INDEX, stale))
        .await
        .unwrap();
    for server in [&registry, &mirror] {
        let at = server.reference("x");
        client().put_blob(&at, &empty, &BytesSource("{}".into()), None).await.unwrap();
    }
    let asked = mirror.lines().len();
    let files = Files::new(&registry, &[(url(&mirror), "")]);
    let at = registry.reference("x").with_digest(note.digest().clone());
    files.client().put_referrer(&at, &note).await.unwrap();
    let list = state.lock().unwrap().tag("x", &tag).unwrap();
    let list = std::str::from_utf8(&list).unwrap();
    assert!(list.contains(&note.digest().to_string()) && !list.contains("stale"), "{list}");
    assert_eq!(mirror.lines().split_off(asked), Vec::<String>::new());
}

#[tokio::test]
async fn an_upload_whose_answer_was_lost_is_looked_for_at_the_registry() {
    // The registry loses the upload, and a mirror has the blob.
    let bytes = noise(33, 1000);
    let lost = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let once = Arc::clone(&lost);
    let (registry, state) = model::start(move |seen| {
        let first = seen.method == "PUT" && !once.swap(true, std::sync::atomic::Ordering::SeqCst);
        let asks = seen.method == "GET" && seen.path.contains("/uploads/");
        (first || asks).then(|| Reply::status(if first { 503 } else { 404 }))
    })
    .await;
    let (mirror, _) = model::start(|_| None).await;
    client().put_blob(&mirror.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await.unwrap();
    let files = Files::new(&registry, &[(url(&mirror), "")]);
    let at = registry.reference("x");
    files.client().put_blob(&at, &blob(&bytes), &BytesSource(bytes.clone()), None).await.unwrap();
    assert_eq!(state.lock().unwrap().blobs.len(), 1, "{:?}", registry.lines());
}

#[tokio::test]
async fn a_registry_that_is_elsewhere_is_written_where_it_is_read() {
    let image = two_platforms(34, 2000).await;
    let (registry, (server, state)) = (model::start(|_| None).await.0, model::start(|_| None).await);
    let (mirror, _) = model::start(|_| None).await;
    let files = Files::of(&registry, &format!("server = \"{}\"\n[host.\"{}\"]\n", url(&server), url(&mirror)));
    let done = publish(files.client(), &image, registry.reference("app:1")).await;
    assert_eq!((done.tag, done.blobs.sent), (TagMove::Moved, 5));
    assert_eq!(state.lock().unwrap().tag("app", "1").as_ref(), Some(image.index.bytes()));
    let asked = mirror.lines();
    assert!(asked.is_empty() && registry.lines().is_empty(), "{asked:?} {:?}", registry.lines());
    assert_eq!(files.client().get_manifest(&registry.reference("app:1")).await.unwrap(), image.index);
    let tags = files.client().tags(&registry.reference("app")).await.unwrap();
    assert_eq!(tags.tags.into_iter().collect::<Vec<_>>(), ["1"]);
}
