//! Publishing and pulling, against a model registry and the real one.

use std::sync::{Arc, Mutex};

use polyarch_registry::client::{Config, ErrorKind, Registry};
use polyarch_registry::oci::{Digest, Manifest, Reference};
use polyarch_registry::store::{BlobStore, BlobStoreExt as _, MemoryStore};
use polyarch_registry::transfer::{
    Counts, Depth, MountSources, PARALLEL, Publication, PublishError, Publisher, Puller, RegistrySource, TagMove,
    TransferEvent, TransferKind,
};
use polyarch_registry::verify::ContentSource as _;

use super::images::{Image, two_platforms};
use super::model;
use super::real::{Options, RealRegistry};
use super::real_tests::skopeo;
use super::script::{Reply, Seen, Server, client, quick};

type Log = Arc<Mutex<Vec<TransferEvent>>>;

fn publisher(image: &Image, registry: Registry) -> (Publisher, Log) {
    let log = Log::default();
    let events = Arc::clone(&log);
    let store = Arc::clone(&image.store);
    let events = Arc::new(move |event| events.lock().unwrap().push(event));
    (Publisher { registry, store, events, parallel: PARALLEL }, log)
}

fn publication(image: &Image, destinations: Vec<Reference>) -> Publication {
    Publication { root: image.index.clone(), destinations, mounts: MountSources::new() }
}

fn writes(server: &Server) -> Vec<String> {
    let short = |seen: &Seen| match seen.path.split_once("/manifests/") {
        Some((_, name)) => format!("{} {}", seen.method, name),
        None => format!("{} blob", seen.method),
    };
    server.seen().iter().filter(|seen| seen.method == "PUT").map(short).collect()
}

#[tokio::test]
async fn writes_go_in_the_safe_order() {
    let image = two_platforms(1, 50_000).await;
    let (server, state) = model::start(|_| None).await;
    let (publisher, log) = publisher(&image, client());
    let tags = vec![server.reference("app:1"), server.reference("app:latest")];
    let outcomes = publisher.publish(&publication(&image, tags.clone())).await;
    let counts = Counts { sent: 5, sent_bytes: image.blobs.iter().map(|blob| blob.size).sum(), ..Counts::default() };
    for (outcome, tag) in outcomes.iter().zip(&tags) {
        let published = outcome.result.as_ref().unwrap();
        assert_eq!(outcome.destination, *tag);
        assert_eq!((published.tag, published.blobs, &published.digest), (TagMove::Moved, counts, image.index.digest()));
    }
    let writes = writes(&server);
    let (index, tagged) = (format!("PUT {}", image.index.digest()), ["PUT 1", "PUT latest"]);
    assert_eq!(writes[..5], vec!["PUT blob"; 5], "{writes:?}");
    assert!(writes[5..7].iter().all(|line| line.starts_with("PUT sha256:") && *line != index), "{writes:?}");
    assert_eq!(writes[7..], [index.as_str(), tagged[0], tagged[1]]);
    assert_eq!(state.lock().unwrap().tag("app", "latest").as_ref(), Some(image.index.bytes()));

    // Everything is read back before the first tag moves.
    let seen = server.seen();
    let first_tag = seen.iter().position(|seen| seen.is("PUT", "/v2/app/manifests/1")).unwrap();
    for manifest in image.children.iter().chain([&image.index]) {
        let path = format!("/v2/app/manifests/{}", manifest.digest());
        assert!(seen[..first_tag].iter().any(|seen| seen.is("GET", &path)), "{path}");
    }
    let moved = log.lock().unwrap().iter().filter(|event| matches!(event.kind, TransferKind::TagMoved { .. })).count();
    assert_eq!(moved, 2);
}

#[tokio::test]
async fn a_second_run_sends_nothing() {
    let image = two_platforms(2, 10_000).await;
    let (server, _state) = model::start(|_| None).await;
    let (publisher, _log) = publisher(&image, client());
    let publication = publication(&image, vec![server.reference("app:1")]);
    publisher.publish(&publication).await[0].result.as_ref().unwrap();
    let (before, asked) = (writes(&server).len(), server.seen().len());
    let outcomes = publisher.publish(&publication).await;
    let published = outcomes[0].result.as_ref().unwrap();
    assert_eq!((published.tag, published.blobs.present, published.blobs.sent), (TagMove::Unchanged, 5, 0));
    assert_eq!(writes(&server).len(), before);
    // The version check, five blobs, three manifests, and the tag once.
    let asked: Vec<_> =
        server.seen().split_off(asked).iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect();
    assert_eq!(asked.len(), 10, "{asked:#?}");
}

#[tokio::test]
async fn a_second_repository_mounts() {
    let image = two_platforms(3, 10_000).await;
    let (server, state) = model::start(|_| None).await;
    let (publisher, _log) = publisher(&image, client());
    let destinations = vec![server.reference("a/app:1"), server.reference("b/app:1")];
    let outcomes = publisher.publish(&publication(&image, destinations)).await;
    let counts: Vec<_> =
        outcomes.iter().map(|o| o.result.as_ref().unwrap().blobs).map(|c| (c.sent, c.mounted)).collect();
    assert_eq!(counts, [(5, 0), (0, 5)]);

    // A base image's repository is a mount source as well.
    let mounts = [(image.shared.digest.clone(), vec![server.reference("a/app:1")])].into();
    let to = vec![server.reference("c:1")];
    let outcomes = publisher.publish(&Publication { mounts, ..publication(&image, to) }).await;
    assert_eq!(outcomes[0].result.as_ref().unwrap().blobs.mounted, 1);
    assert_eq!(state.lock().unwrap().tag("c", "1").as_ref(), Some(image.index.bytes()));
}

#[tokio::test]
async fn one_registry_failing_stops_only_its_own_tags() {
    let image = two_platforms(4, 10_000).await;
    let (good, state) = model::start(|_| None).await;
    let denies = |seen: &Seen| (seen.method == "POST").then(|| Reply::status(403));
    let (bad, bad_state) = model::start(denies).await;
    let (publisher, _log) = publisher(&image, client());
    let destinations = vec![bad.reference("app:1"), good.reference("app:1"), bad.reference("app:2")];
    let outcomes = publisher.publish(&publication(&image, destinations)).await;
    let kinds: Vec<_> = outcomes.iter().map(|o| o.result.as_ref().err().map(|error| error.kind())).collect();
    assert_eq!(kinds, [Some(ErrorKind::Denied), None, Some(ErrorKind::Denied)]);
    assert_eq!(state.lock().unwrap().tag("app", "1").as_ref(), Some(image.index.bytes()));
    assert!(bad_state.lock().unwrap().manifests.is_empty());
}

#[tokio::test]
async fn no_tag_moves_when_reading_back_fails() {
    for (name, lose) in [("child", 0), ("index", 2)] {
        let image = two_platforms(5, 1000).await;
        let manifests: Vec<Digest> = image.children.iter().chain([&image.index]).map(|m| m.digest().clone()).collect();
        let lost = format!("/v2/app/manifests/{}", manifests[lose]);
        let (server, state) = model::start(move |seen| seen.is("GET", &lost).then(|| Reply::status(404))).await;
        let (publisher, _log) = publisher(&image, client());
        let outcomes = publisher.publish(&publication(&image, vec![server.reference("app:1")])).await;
        let error = outcomes[0].result.as_ref().unwrap_err();
        assert!(matches!(&**error, PublishError::ReadBack { digest, .. } if *digest == manifests[lose]), "{error:?}");
        assert_eq!(state.lock().unwrap().tag("app", "1"), None, "{name}");
    }
}

#[tokio::test]
async fn a_rewriting_registry_is_found_out() {
    let image = two_platforms(6, 1000).await;
    let by_digest = format!("/v2/app/manifests/{}", image.index.digest());
    let other = two_platforms(7, 1000).await.index;
    let rewrites = move |seen: &Seen| {
        seen.is("GET", &by_digest).then(|| Reply::body(200, other.media_type(), other.bytes().clone()))
    };
    let (server, state) = model::start(rewrites).await;
    let (publisher, _log) = publisher(&image, client());
    let outcomes = publisher.publish(&publication(&image, vec![server.reference("app:1")])).await;
    assert_eq!(outcomes[0].result.as_ref().unwrap_err().kind(), ErrorKind::Mismatch);
    assert_eq!(state.lock().unwrap().tag("app", "1"), None);
}

#[tokio::test]
async fn a_tag_that_someone_else_moves_is_reported() {
    let image = two_platforms(8, 1000).await;
    let other = two_platforms(9, 1000).await.index;
    let theirs = other.clone();
    let contested = move |seen: &Seen| {
        seen.is("GET", "/v2/app/manifests/1").then(|| Reply::body(200, theirs.media_type(), theirs.bytes().clone()))
    };
    let (server, _state) = model::start(contested).await;
    let (publisher, _log) = publisher(&image, client());
    let outcomes = publisher.publish(&publication(&image, vec![server.reference("app:1")])).await;
    let error = outcomes[0].result.as_ref().unwrap_err();
    assert!(matches!(&**error, PublishError::TagElsewhere { got, .. } if got == other.digest()), "{error:?}");
}

#[tokio::test]
async fn a_registry_that_is_late_is_waited_for() {
    let image = two_platforms(10, 1000).await;
    let late = Mutex::new(std::collections::BTreeMap::<String, u32>::new());
    let lagging = move |seen: &Seen| {
        // The first PUT of each manifest does not see its parts; the first GET does not see the manifest.
        let manifest = seen.path.contains("/manifests/") && (seen.method == "PUT" || seen.method == "GET");
        let mut late = late.lock().unwrap();
        let count = late.entry(seen.line()).or_default();
        *count += 1;
        (manifest && *count == 1)
            .then(|| Reply::body(404, "application/json", r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#))
    };
    let (server, state) = model::start(lagging).await;
    let (publisher, _log) = publisher(&image, client());
    // No tag: the tag's own PUT is not repeated, since nothing it refers to can be missing by then.
    let by_digest = format!("{}/app", server.host()).parse().unwrap();
    let outcomes = publisher.publish(&publication(&image, vec![by_digest])).await;
    assert_eq!(outcomes[0].result.as_ref().unwrap().tag, TagMove::None);
    assert!(state.lock().unwrap().tag("app", &image.index.digest().to_string()).is_some());
}

#[tokio::test]
async fn blobs_may_go_ahead_and_are_sent_once() {
    let image = two_platforms(11, 10_000).await;
    let (server, _state) = model::start(|_| None).await;
    let (publisher, _log) = publisher(&image, client());
    let publication = publication(&image, vec![server.reference("app:1")]);
    let pusher = publisher.pusher(&publication.destinations, &publication.mounts);
    for _ in 0..3 {
        pusher.push(&image.blobs[1]);
    }
    publisher.publish_with(pusher, &publication).await[0].result.as_ref().unwrap();
    assert_eq!(writes(&server).iter().filter(|line| *line == "PUT blob").count(), 5);

    let pusher = publisher.pusher(&publication.destinations, &publication.mounts);
    let mut absent = image.blobs[1].clone();
    absent.digest = Digest::sha256("not in the store");
    pusher.push(&absent);
    let failures = pusher.finish().await;
    assert_eq!(failures[&server.reference("app").name()].kind(), ErrorKind::Local);
}

#[tokio::test]
async fn an_incomplete_store_is_an_outcome() {
    let mut image = two_platforms(12, 1000).await;
    image.store.remove(image.children[1].digest()).await.unwrap();
    let (server, _state) = model::start(|_| None).await;
    let (publisher, _log) = publisher(&image, client());
    let outcomes = publisher.publish(&publication(&image, vec![server.reference("app:1")])).await;
    assert!(matches!(&**outcomes[0].result.as_ref().unwrap_err(), PublishError::Graph(_)));
    assert!(server.seen().is_empty());

    image = two_platforms(12, 1000).await;
    image.store.remove(&image.shared.digest).await.unwrap();
    let (publisher, _log) = self::publisher(&image, client());
    let outcomes = publisher.publish(&publication(&image, vec![server.reference("app:1")])).await;
    let error = outcomes[0].result.as_ref().unwrap_err();
    assert!(matches!(&**error, PublishError::Blob { digest, .. } if *digest == image.shared.digest), "{error:?}");
}

#[tokio::test]
async fn a_registry_that_is_down_is_asked_once_not_once_per_blob() {
    let image = two_platforms(14, 1000).await;
    let (server, _state) = model::start(|_| Some(Reply::status(503))).await;
    let (publisher, _log) = publisher(&image, client());
    let outcomes = publisher.publish(&publication(&image, vec![server.reference("app:1")])).await;
    let error = outcomes[0].result.as_ref().unwrap_err();
    assert!(matches!(&**error, PublishError::Enter { .. }), "{error:?}");
    let paths: Vec<String> = server.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect();
    // One that finds out whether it is TLS, then one request as often as the policy allows, for five blobs.
    assert_eq!(paths, ["GET /v2/"; 4]);
}

#[tokio::test]
async fn dropping_a_publish_leaves_no_tag() {
    let image = two_platforms(13, 2 << 20).await;
    let (server, state) = model::start(|_| None).await;
    let (publisher, log) = publisher(&image, client());
    let publication = publication(&image, vec![server.reference("app:1")]);
    let mut publishing = Box::pin(publisher.publish(&publication));
    // Until the first bytes are on their way.
    let sending = |log: &Log| log.lock().unwrap().iter().any(|e| matches!(e.kind, TransferKind::BlobSending { .. }));
    while !sending(&log) {
        tokio::select! {
            _ = &mut publishing => panic!("done before it could be dropped"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(publishing);
    assert_eq!(state.lock().unwrap().tag("app", "1"), None);
    publisher.publish(&publication).await[0].result.as_ref().unwrap();
}

#[tokio::test]
async fn pulls_to_the_depth_asked_for() {
    let image = two_platforms(14, 10_000).await;
    let (server, _state) = model::start(|_| None).await;
    let (publisher, _log) = publisher(&image, client());
    let at = server.reference("app:1");
    publisher.publish(&publication(&image, vec![at.clone()])).await[0].result.as_ref().unwrap();
    for (depth, blobs) in [(Depth::Manifests, 0), (Depth::Configs, 2), (Depth::Everything, 5)] {
        let store = Arc::new(MemoryStore::new());
        let puller = Puller { registry: client(), store: store.clone(), events: Arc::new(|_| {}), parallel: PARALLEL };
        let graph = puller.pull(&at, depth).await.unwrap();
        assert_eq!(graph.manifests.last().map(|node| &node.manifest), Some(&image.index));
        assert_eq!(store.digests().len(), 3 + blobs, "{depth:?}");
        assert_eq!(store.read_bytes(image.index.digest(), 1 << 20).await.unwrap(), *image.index.bytes());
    }
}

#[tokio::test]
async fn a_pull_keeps_nothing_that_is_wrong() {
    let image = two_platforms(15, 10_000).await;
    let bad = image.shared.clone();
    let path = format!("/v2/app/blobs/{}", bad.digest);
    let wrong = vec![0_u8; usize::try_from(bad.size).unwrap()];
    let (server, _state) = model::start(move |seen| {
        seen.is("GET", &path).then(|| Reply::body(200, "application/octet-stream", wrong.clone()))
    })
    .await;
    let (publisher, _log) = publisher(&image, client());
    let at = server.reference("app:1");
    publisher.publish(&publication(&image, vec![at.clone()])).await[0].result.as_ref().unwrap();
    let store = Arc::new(MemoryStore::new());
    let puller = Puller { registry: client(), store: store.clone(), events: Arc::new(|_| {}), parallel: 2 };
    assert_eq!(puller.pull(&at, Depth::Everything).await.unwrap_err().kind(), ErrorKind::Mismatch);
    assert_eq!(store.stat(&bad.digest).await.unwrap(), None);
    assert_eq!(store.stat(image.index.digest()).await.unwrap(), None);

    // A source for verification hands out what is there, right or wrong.
    let source = RegistrySource { registry: client(), repository: at };
    let mut bytes = Vec::new();
    let mut reader = source.blob(&bad).await.unwrap();
    tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut bytes).await.unwrap();
    assert_eq!(bytes, vec![0; bytes.len()]);
    assert_eq!(source.stat(&bad).await.unwrap(), Some(bad.size));
    assert_eq!(source.manifest(&image.index.descriptor()).await.unwrap(), image.index);
}

#[tokio::test]
async fn the_real_registry_serves_it_to_skopeo() {
    let Some(registry) = RealRegistry::start(Options::default()) else { return };
    let image = two_platforms(16, 1 << 20).await;
    let (publisher, _log) = publisher(&image, Registry::new(quick()));
    let destinations =
        vec![registry.reference("a/app:1"), registry.reference("b/app:1"), registry.reference("a/app:2")];
    let outcomes = publisher.publish(&publication(&image, destinations.clone())).await;
    let counts: Vec<_> =
        outcomes.iter().map(|o| o.result.as_ref().unwrap().blobs).map(|c| (c.sent, c.mounted)).collect();
    assert_eq!(counts, [(5, 0), (0, 5), (5, 0)]);
    let again = publisher.publish(&publication(&image, destinations)).await;
    assert!(again.iter().all(|o| o.result.as_ref().is_ok_and(|p| p.tag == TagMove::Unchanged && p.blobs.sent == 0)));

    let at = format!("docker://{}/b/app:1", registry.host());
    let Some(raw) = skopeo(&["inspect", "--raw", "--tls-verify=false", &at]) else { return };
    let want: serde_json::Value = serde_json::from_slice(image.index.bytes()).unwrap();
    assert_eq!(raw, want);
    for architecture in ["amd64", "arm64"] {
        let args =
            ["--override-os=linux", "--override-arch", architecture, "inspect", "--no-tags", "--tls-verify=false"];
        let seen = skopeo(&[args.as_slice(), &[&at]].concat()).unwrap();
        assert_eq!(seen["Architecture"], architecture);
    }
    let dir = tempfile::tempdir().unwrap();
    let copy = format!("oci:{}:x", dir.path().display());
    skopeo(&["copy", "--all", "--src-tls-verify=false", &at, &copy]).unwrap();
}

#[tokio::test]
async fn the_real_registry_with_users_and_tls() {
    let Some(registry) = RealRegistry::start(Options { users: true, tls: true, ..Options::default() }) else { return };
    let image = two_platforms(17, 1 << 20).await;
    let text = format!(r#"{{"auths":{{"{}":{{"auth":"YWRhOnNlY3JldA=="}}}}}}"#, registry.host());
    std::fs::write(registry.dir.path().join("config.json"), text).unwrap();
    let mut config = Config { hosts: [(registry.host(), registry.trusted())].into(), ..quick() };
    config.credentials.docker_config_dir = Some(registry.dir.path().to_owned());
    let client = Registry::new(config);
    let (publisher, _log) = publisher(&image, client.clone());
    let at = registry.reference("app:1");
    publisher.publish(&publication(&image, vec![at.clone()])).await[0].result.as_ref().unwrap();
    let manifest = client.get_manifest(&at).await.unwrap();
    assert!(matches!(manifest.view(), Ok(Manifest::Index(index)) if index.manifests.len() == 2));

    let nobody = Config { hosts: [(registry.host(), registry.trusted())].into(), ..quick() };
    let (publisher, _log) = self::publisher(&image, Registry::new(nobody));
    let outcomes = publisher.publish(&publication(&image, vec![at])).await;
    assert_eq!(outcomes[0].result.as_ref().unwrap_err().kind(), ErrorKind::Unauthorized);
}

/// Two images of which one is about the other, as one index.
#[tokio::test]
async fn a_published_referrer_is_found_without_the_api() {
    let (server, _state) = model::start(|seen| seen.path.contains("/referrers/").then(|| Reply::status(404))).await;
    let subject = polyarch_testkit::Image::small("linux/amd64").build();
    let about = polyarch_testkit::Image::small("linux/arm64").subject(subject.manifest.descriptor()).build();
    let children = [subject.manifest.descriptor(), about.manifest.descriptor()];
    let body = serde_json::json!({ "schemaVersion": 2, "manifests": children });
    let root =
        polyarch_registry::oci::RawManifest::new(polyarch_registry::oci::media_type::OCI_INDEX, body.to_string());
    let store = Arc::new(MemoryStore::new());
    let manifests = [&subject.manifest, &about.manifest, &root].map(|manifest| manifest.bytes().clone());
    for bytes in subject.blobs.iter().chain(&about.blobs).chain(&manifests) {
        let mut writer = store.writer(Default::default()).await.unwrap();
        writer.write(bytes.clone()).await.unwrap();
        writer.commit().await.unwrap();
    }
    let publisher = Publisher { registry: client(), store, events: Arc::new(|_| {}), parallel: PARALLEL };
    let at = server.reference("app:1");
    let publication = Publication { root, destinations: vec![at.clone()], mounts: MountSources::new() };
    publisher.publish(&publication).await[0].result.as_ref().unwrap();
    let found = client().referrers(&at, subject.manifest.digest(), None).await.unwrap();
    assert_eq!(found.entries.iter().map(|entry| &entry.digest).collect::<Vec<_>>(), [about.manifest.digest()]);
}
