//! What an earlier run, or the registry, has left undone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use polyarch_registry::client::{ErrorKind, fallback_tag};
use polyarch_registry::oci::{Manifest, RawManifest, Reference, media_type};
use polyarch_registry::transfer::{MountSources, PARALLEL, Publication, Publisher, TagMove};
use serde_json::json;

use super::images::{Image, put, two_platforms};
use super::model::{self, Shared};
use super::script::{Reply, Seen, client};

fn publisher(image: &Image) -> Publisher {
    let store = Arc::clone(&image.store);
    Publisher { registry: client(), store, events: Arc::new(|_| {}), parallel: PARALLEL }
}

fn publication(root: &RawManifest, to: Reference) -> Publication {
    Publication { root: root.clone(), destinations: vec![to], mounts: MountSources::new() }
}

#[tokio::test]
async fn a_rerun_writes_the_list_of_referrers_that_failed() {
    let image = two_platforms(71, 1000).await;
    let config = put(&*image.store, media_type::OCI_EMPTY, "{}").await;
    let note = json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": "text/x-note",
        "config": config, "layers": [], "subject": image.index.descriptor()});
    let note = RawManifest::new(media_type::OCI_MANIFEST, note.to_string());
    let list = fallback_tag(image.index.digest());
    let refuses = Arc::new(AtomicBool::new(true));
    let (path, refused) = (format!("/v2/app/manifests/{list}"), Arc::clone(&refuses));
    let first = move |seen: &Seen| {
        let no_api = seen.path.contains("/referrers/").then(|| Reply::status(404));
        no_api.or_else(|| (seen.is("PUT", &path) && refused.load(Ordering::SeqCst)).then(|| Reply::status(403)))
    };
    let (server, state) = model::start(first).await;
    let publication = publication(&note, server.reference("app:note"));
    let outcomes = publisher(&image).publish(&publication).await;
    assert_eq!(outcomes[0].result.as_ref().unwrap_err().kind(), ErrorKind::Denied);
    assert!(state.lock().unwrap().tag("app", &note.digest().to_string()).is_some(), "the manifest itself is there");
    assert_eq!(state.lock().unwrap().tag("app", "note"), None);

    refuses.store(false, Ordering::SeqCst);
    let outcomes = publisher(&image).publish(&publication).await;
    assert_eq!(outcomes[0].result.as_ref().unwrap().tag, TagMove::Moved);
    let bytes = state.lock().unwrap().tag("app", &list).unwrap();
    let Ok(Manifest::Index(index)) = Manifest::parse(media_type::OCI_INDEX, &bytes) else { panic!("{bytes:?}") };
    assert_eq!(index.manifests.iter().map(|entry| &entry.digest).collect::<Vec<_>>(), [note.digest()]);
}

#[tokio::test]
async fn blobs_that_the_registry_lost_are_sent_once_more() {
    let image = two_platforms(72, 1000).await;
    let known = Arc::new(OnceLock::<Shared>::new());
    let (model, lost) = (Arc::clone(&known), AtomicBool::new(false));
    let collects = move |seen: &Seen| {
        let is_manifest = seen.method == "PUT" && seen.path.contains("/manifests/");
        if is_manifest && !lost.swap(true, Ordering::SeqCst) {
            model.get()?.lock().unwrap().blobs.clear();
        }
        None
    };
    let (server, state) = model::start(collects).await;
    known.set(Arc::clone(&state)).unwrap_or_default();
    let outcomes = publisher(&image).publish(&publication(&image.index, server.reference("app:1"))).await;
    assert_eq!(outcomes[0].result.as_ref().unwrap().tag, TagMove::Moved);
    let state = state.lock().unwrap();
    assert_eq!(state.tag("app", "1").as_ref(), Some(image.index.bytes()));
    for blob in &image.blobs {
        let sent = &state.blobs[&("app".to_owned(), blob.digest.to_string())];
        assert_eq!(sent.len() as u64, blob.size);
    }
}
