//! Referrers: the API, the tag that stands in for it, and what registries do wrong in between.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use polyarch_registry::client::{Config, ErrorKind, Limits, Registry, fallback_tag};
use polyarch_registry::oci::{Descriptor, Digest, Manifest, RawManifest, media_type};
use polyarch_testkit::{Image, Layer, TestRegistry};
use serde_json::json;

use super::faults::server;
use super::images::bare_manifest;
use super::model;
use super::script::{Reply, client, quick};

fn note(text: &str, subject: &RawManifest) -> RawManifest {
    let empty = Descriptor::new(media_type::OCI_EMPTY, Digest::sha256("{}"), 2);
    let body = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": format!("example/{text}"),
        "config": empty, "layers": [], "subject": subject.descriptor(), "annotations": { "text": text },
    });
    RawManifest::new(media_type::OCI_MANIFEST, body.to_string())
}

fn index(entries: &[Descriptor]) -> Vec<u8> {
    json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries }).to_string().into_bytes()
}

fn list(entries: &[Descriptor]) -> Reply {
    Reply::body(200, media_type::OCI_INDEX, index(entries))
}

#[tokio::test]
async fn the_embedded_registry_keeps_the_list_itself() {
    let registry = TestRegistry::start();
    let subject = Image::small("linux/amd64").build();
    registry.http().push_image("a", "v1", &subject).await;
    registry.http().push_blob("a", "{}").await;
    let at = registry.reference("a:v1").parse().unwrap();
    let client = client();
    let notes = ["sbom", "sig"].map(|text| note(text, &subject.manifest));
    for note in &notes {
        let at = registry.reference(&format!("a@{}", note.digest())).parse().unwrap();
        client.put_referrer(&at, note).await.unwrap();
    }
    let digest = subject.manifest.digest();
    let (found, manifests) = client.verified_referrers(&at, digest, None).await.unwrap();
    assert!(found.by_api && !found.truncated && found.dropped.is_empty());
    assert_eq!((found.entries.len(), manifests.len()), (2, 2));
    let only = client.referrers(&at, digest, Some("example/sig")).await.unwrap();
    assert_eq!(only.entries.iter().map(|entry| &entry.digest).collect::<Vec<_>>(), [notes[1].digest()]);
    assert_eq!(client.tags(&at).await.unwrap().tags.len(), 1, "no tag was made");
    assert_eq!(client.repositories(at.host()).await.unwrap().repositories.into_iter().collect::<Vec<_>>(), ["a"]);
}

#[tokio::test]
async fn without_the_api_a_tag_keeps_the_list() {
    for status in [404, 405, 501] {
        let (server, state) =
            model::start(move |seen| seen.path.contains("/referrers/").then(|| Reply::status(status))).await;
        let subject = bare_manifest("x");
        let at = server.reference("x:1");
        let client = client();
        assert_eq!(client.referrers(&at, subject.digest(), None).await.unwrap(), Default::default());
        for text in ["sbom", "sig", "sbom"] {
            let note = note(text, &subject);
            client.put_referrer(&at.with_digest(note.digest().clone()), &note).await.unwrap();
        }
        let bytes = state.lock().unwrap().tag("x", &fallback_tag(subject.digest())).unwrap();
        let Ok(Manifest::Index(index)) = Manifest::parse(media_type::OCI_INDEX, &bytes) else { panic!("{bytes:?}") };
        assert_eq!(index.manifests.len(), 2, "each once");
        assert_eq!(index.manifests[0].artifact_type.as_deref(), Some("example/sbom"));
        assert_eq!(index.manifests[0].annotations["text"], "sbom");
        let found = client.referrers(&at, subject.digest(), Some("example/sig")).await.unwrap();
        assert_eq!((found.entries.len(), found.by_api), (1, false), "filtered here");
        assert_eq!(client.verified_referrers(&at, subject.digest(), None).await.unwrap().1.len(), 2);
    }
}

#[tokio::test]
async fn an_echoed_subject_without_the_api_is_not_believed() {
    let (server, state) = model::start(|seen| seen.path.contains("/referrers/").then(|| Reply::status(405))).await;
    state.lock().unwrap().echoes_subject = true;
    let subject = bare_manifest("x");
    let note = note("sig", &subject);
    let at = server.reference("x:1").with_digest(note.digest().clone());
    assert!(client().put_referrer(&at, &note).await.unwrap().subject.is_some());
    assert!(state.lock().unwrap().tag("x", &fallback_tag(subject.digest())).is_some());
}

#[tokio::test]
async fn an_echoed_subject_is_believed_where_the_list_may_not_be_read() {
    let (server, state) = model::start(|seen| seen.path.contains("/referrers/").then(|| Reply::status(403))).await;
    state.lock().unwrap().echoes_subject = true;
    let subject = bare_manifest("x");
    let note = note("sig", &subject);
    client().put_referrer(&server.reference("x:1").with_digest(note.digest().clone()), &note).await.unwrap();
    assert!(state.lock().unwrap().tag("x", &fallback_tag(subject.digest())).is_none());
}

#[tokio::test]
async fn a_tag_that_is_no_index_is_never_written_over() {
    let subject = bare_manifest("x");
    for taken in [subject.clone(), bare_manifest("other")] {
        let (server, state) = model::start(|seen| seen.path.contains("/referrers/").then(|| Reply::status(404))).await;
        let at = server.reference("x:1");
        let client = client();
        let tag = fallback_tag(subject.digest());
        client.put_manifest(&at.with_tag(&tag), &taken).await.unwrap();
        assert!(client.referrers(&at, subject.digest(), None).await.unwrap().entries.is_empty());
        let note = note("sig", &subject);
        let error = client.put_referrer(&at.with_digest(note.digest().clone()), &note).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error:?}");
        assert_eq!(&state.lock().unwrap().tag("x", &tag).unwrap(), taken.bytes());
    }
}

#[tokio::test]
async fn clients_that_race_for_one_tag_lose_nothing() {
    for conditional in [false, true] {
        let (server, state) = model::start(|seen| seen.path.contains("/referrers/").then(|| Reply::status(404))).await;
        state.lock().unwrap().etags = conditional;
        let subject = bare_manifest("x");
        let at = server.reference("x:1");
        let config = || {
            let mut config = quick();
            config.retry.attempts = 30;
            config
        };
        let push = async |text: &str| {
            let note = note(text, &subject);
            Registry::new(config()).put_referrer(&at.with_digest(note.digest().clone()), &note).await.unwrap();
        };
        tokio::join!(push("a"), push("b"), push("c"), push("d"));
        let found = client().referrers(&at, subject.digest(), None).await.unwrap();
        if conditional {
            assert_eq!(found.entries.len(), 4);
        } else {
            // Without conditions a loss can be made unlikely, not impossible; the client's own entry is there or it fails.
            assert!(!found.entries.is_empty());
        }
    }
}

#[tokio::test]
async fn entries_about_something_else_are_dropped() {
    let (subject, other) = (bare_manifest("x"), bare_manifest("y"));
    let (right, wrong) = (note("right", &subject), note("wrong", &other));
    let gone = Descriptor::new(media_type::OCI_MANIFEST, Digest::sha256("gone"), 4);
    let mut long = right.descriptor();
    long.size += 1;
    let entries = [right.descriptor(), wrong.descriptor(), gone.clone(), right.descriptor()];
    let (one, two) = (right.clone(), wrong.clone());
    let server = server(move |seen| match seen.path.rsplit('/').next().unwrap() {
        _ if seen.path.contains("/referrers/") => list(&entries),
        name if name == one.digest().to_string() => Reply::body(200, one.media_type(), one.bytes().clone()),
        name if name == two.digest().to_string() => Reply::body(200, two.media_type(), two.bytes().clone()),
        _ => Reply::status(404),
    })
    .await;
    let (found, manifests) = client().verified_referrers(&server.reference("x"), subject.digest(), None).await.unwrap();
    assert_eq!(manifests, [right]);
    assert_eq!(found.entries.len(), 1);
    assert_eq!(found.dropped, [wrong.digest().clone(), gone.digest]);
}

#[tokio::test]
async fn endless_lists_are_cut() {
    let count = AtomicU32::new(0);
    let endless = server(move |seen| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        let entries: Vec<_> = (0..40).map(|i| Descriptor::new("m", Digest::sha256(format!("{n} {i}")), 1)).collect();
        let path = seen.path.split('?').next().unwrap();
        list(&entries).with("link", format!("<{path}?last={n}>; rel=\"next\""))
    })
    .await;
    let config = Config { limits: Limits { referrers: 100, ..Limits::default() }, ..quick() };
    let found = Registry::new(config).referrers(&endless.reference("x"), &Digest::sha256("s"), None).await.unwrap();
    assert_eq!((found.entries.len(), found.truncated), (100, true));

    let away = server(|_| list(&[]).with("link", "<http://127.0.0.2:1/x>; rel=next")).await;
    let error = client().referrers(&away.reference("x"), &Digest::sha256("s"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsafe);
}

#[tokio::test]
async fn a_list_that_is_no_list_is_an_error_not_an_empty_one() {
    let broken = server(|_| Reply::body(200, media_type::OCI_INDEX, "{\"manifests\":7}")).await;
    let error = client().referrers(&broken.reference("x"), &Digest::sha256("s"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    let down = server(|_| Reply::status(500)).await;
    let error = client().referrers(&down.reference("x"), &Digest::sha256("s"), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn the_embedded_registry_writes_a_tag_only_as_its_client_knows_it() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let done = AtomicBool::new(false);
    let image = |seed| Image::new("linux/amd64").layer(Layer::noise(seed, 10)).build();
    let (first, second) = (image(1), image(2));
    http.push_image("a", "v1", &first).await;
    for blob in &second.blobs {
        http.push_blob("a", blob.clone()).await;
    }
    let etag = http.head("/v2/a/manifests/v1").await.header("etag").to_owned();
    let put = async |name: &'static str, value: &str| {
        let headers = [("content-type", second.manifest.media_type()), (name, value)];
        http.call(http::Method::PUT, "/v2/a/manifests/v1", &headers, second.manifest.bytes().clone()).await.status()
    };
    assert_eq!(put("if-none-match", "*").await, 412);
    assert_eq!(put("if-match", &format!("\"{}\"", Digest::sha256("other"))).await, 412);
    assert_eq!(put("if-match", "v1").await, 400);
    assert_eq!(&http.get("/v2/a/manifests/v1").await.body, first.manifest.bytes());
    assert_eq!(put("if-match", &etag).await, 201);
    assert_eq!(put("if-match", &etag).await, 412, "it has moved");
    assert_eq!(put("if-match", "*").await, 201);
    done.store(true, Ordering::SeqCst);
}

fn listed(state: &model::Shared, subject: &RawManifest) -> Option<Vec<Digest>> {
    let bytes = state.lock().unwrap().tag("x", &fallback_tag(subject.digest()))?;
    let Ok(Manifest::Index(index)) = Manifest::parse(media_type::OCI_INDEX, &bytes) else { panic!("{bytes:?}") };
    Some(index.manifests.into_iter().map(|entry| entry.digest).collect())
}

#[tokio::test]
async fn one_client_never_writes_over_its_own_entry() {
    let (server, state) = model::start(|seen| seen.path.contains("/referrers/").then(|| Reply::status(404))).await;
    let (subject, at, client) = (bare_manifest("x"), server.reference("x:1"), client());
    let push = async |text: &str| {
        let note = note(text, &subject);
        client.put_referrer(&at.with_digest(note.digest().clone()), &note).await.unwrap();
    };
    tokio::join!(push("a"), push("b"), push("c"));
    let mut found = listed(&state, &subject).unwrap();
    let mut want = ["a", "b", "c"].map(|text| note(text, &subject).digest().clone());
    found.sort();
    want.sort();
    assert_eq!(found, want);
    let path = format!("/v2/x/manifests/{}", fallback_tag(subject.digest()));
    let writes = server.seen().iter().filter(|seen| seen.is("PUT", &path)).count();
    assert_eq!(writes, 3, "none was lost and written again");
}

#[tokio::test]
async fn a_deleted_referrer_leaves_the_tag() {
    let (server, state) = model::start(|seen| {
        (seen.path.contains("/referrers/") || seen.method == "DELETE")
            .then(|| Reply::status(if seen.method == "DELETE" { 202 } else { 404 }))
    })
    .await;
    let (subject, at, client) = (bare_manifest("x"), server.reference("x:1"), client());
    let notes = ["sbom", "sig"].map(|text| note(text, &subject));
    for note in &notes {
        client.put_referrer(&at.with_digest(note.digest().clone()), note).await.unwrap();
    }
    client.delete_referrer(&at, &notes[0]).await.unwrap();
    assert_eq!(listed(&state, &subject).unwrap(), [notes[1].digest().clone()]);
    client.delete_referrer(&at, &notes[0]).await.unwrap();
    client.delete_referrer(&at, &notes[1]).await.unwrap();
    assert_eq!(listed(&state, &subject).unwrap(), []);
    let plain = bare_manifest("y");
    client.delete_referrer(&at, &plain).await.unwrap();
    assert_eq!(listed(&state, &plain), None);
}

#[tokio::test]
async fn a_manifest_that_is_not_listed_gets_listed() {
    let (server, state) = model::start(|seen| seen.path.contains("/referrers/").then(|| Reply::status(404))).await;
    let (subject, at, client) = (bare_manifest("x"), server.reference("x:1"), client());
    let note = note("sig", &subject);
    client.put_manifest(&at.with_digest(note.digest().clone()), &note).await.unwrap();
    assert_eq!(listed(&state, &subject), None);
    client.ensure_listed(&at, &note).await.unwrap();
    assert_eq!(listed(&state, &subject).unwrap(), [note.digest().clone()]);
    let asked = server.seen().len();
    client.ensure_listed(&at, &note).await.unwrap();
    client.ensure_listed(&at, &subject).await.unwrap();
    assert!(server.seen()[asked..].iter().all(|seen| seen.method == "GET"));
}
