//! Garbage collection: what goes, what stays, and that pushes may run beside it.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use http::Method;
use polyarch_registry::oci::{Digest, media_type};
use polyarch_registry::server::{Collected, GcOptions, ServerError, collect};
use polyarch_testkit::images::BuiltImage;
use polyarch_testkit::{Http, Image, Index, Layer, TestRegistry};

fn at_once(untagged: bool) -> GcOptions {
    GcOptions { untagged, grace_seconds: 0, dry_run: false }
}

fn stored(registry: &TestRegistry) -> usize {
    std::fs::read_dir(registry.root().join("content/blobs/sha256")).unwrap().count()
}

fn image(seed: u64) -> BuiltImage {
    Image::new("linux/amd64").layer(Layer::noise(seed, 10_000)).build()
}

async fn assert_whole(http: Http, repo: &str, reference: &str, image: &BuiltImage) {
    assert_eq!(&http.get(&format!("/v2/{repo}/manifests/{reference}")).await.body, image.manifest.bytes());
    for blob in &image.blobs {
        let path = format!("/v2/{repo}/blobs/{}", Digest::sha256(blob));
        assert_eq!(&http.get(&path).await.body, blob, "{path}");
    }
}

#[tokio::test]
async fn removes_what_no_manifest_names_and_keeps_the_rest() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let (kept, index) = (image(1), Index::small(&["linux/amd64", "linux/arm64"]));
    http.push_image("a", "v1", &kept).await;
    http.push_index("team/app", "v1", &index).await;
    http.push_blob("a", "stray").await;
    http.push_blob("only/blobs", "stray").await;
    let before = stored(&registry);

    let dry = GcOptions { dry_run: true, ..at_once(false) };
    let want = Collected { manifests: 0, links: 2, blobs: 1, bytes: 5 };
    assert_eq!(collect(registry.root(), dry).await.unwrap(), want, "a dry run counts what it would remove");
    assert_eq!(stored(&registry), before);
    let done = collect(registry.root(), at_once(false)).await.unwrap();
    assert_eq!(done, Collected { manifests: 0, links: 2, blobs: 1, bytes: 5 });
    assert_eq!(stored(&registry), before - 1);
    assert_eq!(http.head(&format!("/v2/a/blobs/{}", Digest::sha256("stray"))).await.status(), 404);
    assert_whole(http, "a", "v1", &kept).await;
    for image in index.build().1 {
        assert_whole(http, "team/app", &image.manifest.digest().to_string(), &image).await;
    }
    assert_eq!(collect(registry.root(), at_once(false)).await.unwrap(), Collected::default());
}

#[tokio::test]
async fn untagged_manifests_go_only_when_asked_and_with_what_refers_to_them() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let (old, new) = (image(1), image(2));
    http.push_image("a", "v1", &old).await;
    let push_note = async |subject: &BuiltImage, seed| {
        let note = Image::new("linux/amd64").layer(Layer::noise(seed, 10)).subject(subject.manifest.descriptor());
        let note = note.build();
        http.push_image("a", &note.manifest.digest().to_string(), &note).await;
        note
    };
    let lost = push_note(&old, 3).await;
    http.push_image("a", "v1", &new).await;
    let note = push_note(&new, 4).await;
    let of_note = push_note(&note, 5).await;

    assert_eq!(collect(registry.root(), at_once(false)).await.unwrap(), Collected::default());
    assert_whole(http, "a", &old.manifest.digest().to_string(), &old).await;
    let dry = collect(registry.root(), GcOptions { dry_run: true, ..at_once(true) }).await.unwrap();
    let done = collect(registry.root(), at_once(true)).await.unwrap();
    assert_eq!(dry, done);
    assert_eq!(done.manifests, 2, "the image that lost its tag, and what refers to it: {done:?}");
    for gone in [&old, &lost] {
        let path = format!("/v2/a/manifests/{}", gone.manifest.digest());
        assert_eq!(http.head(&path).await.status(), 404);
        assert_eq!(http.head(&format!("/v2/a/blobs/{}", Digest::sha256(&gone.blobs[1]))).await.status(), 404);
    }
    assert_whole(http, "a", "v1", &new).await;
    for kept in [&note, &of_note] {
        assert_whole(http, "a", &kept.manifest.digest().to_string(), kept).await;
    }
    let referrers = http.get(&format!("/v2/a/referrers/{}", new.manifest.digest())).await;
    assert_eq!(referrers.json()["manifests"].as_array().unwrap().len(), 1);
    let referrers = http.get(&format!("/v2/a/referrers/{}", old.manifest.digest())).await;
    assert_eq!(referrers.json()["manifests"].as_array().unwrap().len(), 0);
}

fn age(path: &Path, by: Duration) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - by).unwrap();
}

#[tokio::test]
async fn what_a_push_asked_for_stays_for_the_grace() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let digest: Digest = http.push_blob("a", "layer").await.parse().unwrap();
    let other: Digest = http.push_blob("a", "other").await.parse().unwrap();
    let link = |digest: &Digest| registry.root().join("repositories/a/_blobs/sha256").join(digest.encoded());
    age(&link(&digest), Duration::from_secs(7200));
    age(&link(&other), Duration::from_secs(7200));
    assert_eq!(http.head(&format!("/v2/a/blobs/{digest}")).await.status(), 200);
    let done = collect(registry.root(), GcOptions::default()).await.unwrap();
    assert_eq!((done.links, done.blobs), (1, 1), "only the one nobody asked for: {done:?}");
    assert_eq!(http.head(&format!("/v2/a/blobs/{digest}")).await.status(), 200);
}

/// Deletes leave bytes that a push at the same moment brings back: whatever was acknowledged must be whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pushes_run_beside_it() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let over = AtomicBool::new(false);
    let options = GcOptions { untagged: true, grace_seconds: 60, dry_run: false };
    let collecting = async {
        let mut rounds = 0;
        while !over.load(Ordering::SeqCst) {
            collect(registry.root(), options).await.unwrap();
            rounds += 1;
        }
        rounds
    };
    let pushing = async {
        for round in 0..15 {
            for seed in 0..3 {
                // The same bytes again and again, deleted in between.
                let image = image(seed);
                http.push_image("a", &format!("v{seed}"), &image).await;
                assert_whole(http, "a", &format!("v{seed}"), &image).await;
                let mount = format!("/v2/b/blobs/uploads/?mount={}&from=a", Digest::sha256(&image.blobs[1]));
                let mounted = http.call(Method::POST, &mount, &[], "").await;
                assert_eq!(mounted.status(), 201, "round {round}");
                let path = mounted.header("location").to_owned();
                assert_eq!(http.get(&path).await.body, image.blobs[1]);
                assert_eq!(http.delete(&path).await.status(), 202);
                assert_eq!(http.delete(&format!("/v2/a/manifests/{}", image.manifest.digest())).await.status(), 202);
                for blob in &image.blobs {
                    http.delete(&format!("/v2/a/blobs/{}", Digest::sha256(blob))).await;
                }
            }
        }
        over.store(true, Ordering::SeqCst);
    };
    let (rounds, ()) = tokio::join!(collecting, pushing);
    assert!(rounds > 1, "{rounds}");
    collect(registry.root(), options).await.unwrap();
    assert_eq!(stored(&registry), 0);
}

#[tokio::test]
async fn works_on_a_registry_that_is_stopped() {
    let mut registry = TestRegistry::start();
    let kept = image(1);
    registry.http().push_image("a", "v1", &kept).await;
    registry.http().push_blob("a", "stray").await;
    registry.stop();
    assert_eq!(collect(registry.root(), at_once(false)).await.unwrap().blobs, 1);
    registry.restart();
    assert_whole(registry.http(), "a", "v1", &kept).await;
}

#[tokio::test]
async fn collects_by_itself_where_it_is_told_to() {
    let registry =
        TestRegistry::start_with(|config| config.gc_every = Some((Duration::from_millis(5), at_once(false))));
    registry.http().push_blob("a", "stray").await;
    let gone = async {
        while stored(&registry) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
}

#[tokio::test]
async fn damage_stops_it_before_anything_is_removed() {
    let registry = TestRegistry::start();
    let http = registry.http();
    let image = image(1);
    http.push_image("a", "v1", &image).await;
    http.push_blob("z", "stray").await;
    let blob = registry.root().join("content/blobs/sha256").join(image.manifest.digest().encoded());
    std::fs::write(&blob, "{").unwrap();
    let before = stored(&registry);
    let error = collect(registry.root(), at_once(true)).await.unwrap_err();
    assert!(matches!(&error, ServerError::Control(cause) if cause.to_string().contains("is damaged")), "{error:?}");
    assert_eq!(stored(&registry), before);

    let elsewhere = collect(Path::new("/proc"), GcOptions::default()).await;
    assert!(matches!(elsewhere, Err(ServerError::Root { .. })), "{elsewhere:?}");
    assert_eq!(media_type::OCI_MANIFEST, image.manifest.media_type());
}
