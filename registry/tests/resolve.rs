//! What references stand for: how much is asked, what is remembered, and what is said of what is not there.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use futures::future::join_all;
use polyarch_registry::client::{ErrorKind, Registry};
use polyarch_registry::oci::{Digest, Platform, Reference, media_type};
use polyarch_registry::resolve::{ManifestCache, Resolved, Resolver};
use polyarch_testkit::proxy::{Act, Proxy};
use polyarch_testkit::script::{Reply, Server, quick};
use polyarch_testkit::{Image, Index, TestRegistry};

const PLATFORMS: [&str; 4] = ["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"];

fn platforms(list: &[&str]) -> Vec<Platform> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

fn resolver(cache: Option<&std::path::Path>) -> Resolver {
    Resolver::new(Registry::new(quick()), cache.map(ManifestCache::of_store))
}

fn reference(text: String) -> Reference {
    text.parse().unwrap()
}

/// Manifest requests as `HEAD name` and `GET name`, sorted.
fn manifests(proxy: &Proxy) -> Vec<String> {
    let of_manifest = proxy.seen().into_iter().filter(|seen| seen.path.contains("/manifests/"));
    let mut lines: Vec<String> = of_manifest.map(|seen| format!("{} {}", seen.method, seen.path)).collect();
    lines.sort();
    lines
}

/// Each image differs by its annotation, and has a child for each platform that differs by its layers.
async fn push_twelve(registry: &TestRegistry) -> Vec<Digest> {
    let mut digests = Vec::new();
    for number in 0..12 {
        let mut index = Index::new().annotation("number", &number.to_string());
        for platform in PLATFORMS {
            index = index.image(Image::small(platform).annotation("number", &number.to_string()));
        }
        let root = registry.http().push_index(&format!("image{number}"), "1", &index).await;
        digests.push(root.digest().clone());
    }
    digests
}

#[tokio::test]
async fn twelve_images_for_four_platforms_cost_one_head_and_one_get_per_manifest() {
    let registry = TestRegistry::start();
    let digests = push_twelve(&registry).await;
    let cache = tempfile::tempdir().unwrap();
    let wanted = platforms(&PLATFORMS);
    let work = async |resolver: Resolver, proxy: &Proxy| {
        // As a Dockerfile that names every image twice, in two spellings, at the same time.
        let names = (0..24).map(|at| reference(proxy.reference(&format!("image{}:1", at / 2)))).collect::<Vec<_>>();
        let found = join_all(names.iter().map(|name| resolver.resolve(name, &wanted))).await;
        found.into_iter().map(|one| one.unwrap().unwrap()).collect::<Vec<Resolved>>()
    };
    let proxy = Proxy::start(registry.addr(), |_| Act::Pass);
    let found = work(resolver(Some(cache.path())), &proxy).await;
    for (at, one) in found.iter().enumerate() {
        assert_eq!((&one.digest, one.is_manifest, one.images.len()), (&digests[at / 2], false, 4));
        assert!(one.images.iter().all(|image| image.config.is_some()), "{one:?}");
    }
    let asked = manifests(&proxy);
    let (heads, gets): (Vec<_>, Vec<_>) = asked.iter().partition(|line| line.starts_with("HEAD"));
    assert_eq!((heads.len(), gets.len()), (12, 12 + 48), "one HEAD per tag, one GET per manifest");
    let mut once = asked.clone();
    once.dedup();
    assert_eq!(once, asked, "nothing is asked twice");

    // The next run finds everything on disk: the tags are asked about, nothing is read.
    let proxy = Proxy::start(registry.addr(), |_| Act::Pass);
    assert_eq!(work(resolver(Some(cache.path())), &proxy).await, found);
    assert!(proxy.seen().iter().all(|seen| seen.method == "HEAD" || seen.path == "/v2/"), "{:?}", proxy.seen());
    assert_eq!(manifests(&proxy).len(), 12);
}

#[tokio::test]
async fn a_damaged_cache_is_as_good_as_none() {
    let registry = TestRegistry::start();
    let root = registry.http().push_index("app", "1", &Index::small(&["linux/amd64"])).await;
    let (name, cache) = (reference(registry.reference("app:1")), tempfile::tempdir().unwrap());
    let wanted = platforms(&["linux/amd64"]);
    let found = resolver(Some(cache.path())).resolve(&name, &wanted).await.unwrap().unwrap();
    let dir = cache.path().join("cache/remote");
    let files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3, "index, manifest, configuration");
    for file in files {
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    let again = resolver(Some(cache.path())).resolve(&name, &wanted).await.unwrap().unwrap();
    assert_eq!((&again, &again.digest), (&found, root.digest()));
}

#[tokio::test]
async fn only_what_is_asked_for_is_read() {
    let registry = TestRegistry::start();
    registry.http().push_index("app", "1", &Index::small(&PLATFORMS)).await;
    let proxy = Proxy::start(registry.addr(), |_| Act::Pass);
    let name = reference(proxy.reference("app:1"));
    // An arm64 machine is served by its own image, not by the 32-bit one.
    let found = resolver(None).resolve(&name, &platforms(&["linux/arm64/v9"])).await.unwrap().unwrap();
    let read: Vec<String> =
        found.images.iter().filter(|one| one.config.is_some()).map(|one| one.platform.to_string()).collect();
    assert_eq!(read, ["linux/arm64"]);
    assert_eq!(manifests(&proxy).len(), 3);
}

#[tokio::test]
async fn a_pin_of_one_platforms_manifest_is_found_and_so_is_the_index_beside_it() {
    let registry = TestRegistry::start();
    let root = registry.http().push_index("app", "1", &Index::small(&["linux/amd64", "linux/arm64"])).await;
    let found = resolver(None).resolve(&reference(registry.reference("app:1")), &[]).await.unwrap().unwrap();
    let arm = &found.images[1].digest;
    let pinned = resolver(None).resolve(&reference(registry.reference(&format!("app:1@{arm}"))), &[]).await;
    let pinned = pinned.unwrap().unwrap();
    assert!(pinned.is_manifest);
    assert_eq!((&pinned.digest, &pinned.index_of_tag), (arm, &Some(root.digest().clone())));
    assert_eq!(pinned.images[0].platform.to_string(), "linux/arm64");
    let alone = resolver(None).resolve(&reference(registry.reference(&format!("app@{arm}"))), &[]).await;
    assert_eq!(alone.unwrap().unwrap().index_of_tag, None, "without a tag there is nothing to compare with");
    let right = reference(registry.reference(&format!("app:1@{}", root.digest())));
    assert!(!resolver(None).resolve(&right, &[]).await.unwrap().unwrap().is_manifest);
}

#[tokio::test]
async fn what_is_not_there_is_no_error_and_what_cannot_be_asked_is_one() {
    let registry = TestRegistry::start();
    registry.http().push_index("app", "1", &Index::small(&["linux/amd64"])).await;
    let resolver = resolver(None);
    for absent in ["app:2", "other", &format!("app@{}", Digest::sha256("nobody"))] {
        let found = resolver.resolve(&reference(registry.reference(absent)), &[]).await.unwrap();
        assert_eq!(found, None, "{absent}");
    }
    let broken = Proxy::start(registry.addr(), |_| Act::Answer(503, &[]));
    let error = resolver.resolve(&reference(broken.reference("app:1")), &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_registry_without_head_is_asked_with_get() {
    let registry = TestRegistry::start();
    let root = registry.http().push_index("app", "1", &Index::small(&["linux/amd64"])).await;
    let proxy = Proxy::start(registry.addr(), |seen| match seen.method.as_str() {
        "HEAD" => Act::Answer(405, &[]),
        _ => Act::Pass,
    });
    let found = resolver(None).resolve(&reference(proxy.reference("app:1")), &[]).await.unwrap().unwrap();
    assert_eq!(found.digest, *root.digest());
}

#[tokio::test]
async fn a_registry_that_breaks_off_is_an_error() {
    let registry = TestRegistry::start();
    let root = registry.http().push_index("app", "1", &Index::small(&["linux/amd64"])).await;
    let path = format!("/v2/app/manifests/{}", root.digest());
    let proxy = Proxy::start(registry.addr(), move |seen| match seen.path == path {
        true => Act::CutAnswer(0),
        false => Act::Pass,
    });
    let error = resolver(None).resolve(&reference(proxy.reference("app:1")), &[]).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn repeated_entries_are_opened_once() {
    let registry = TestRegistry::start();
    let mut index = Index::new();
    for number in 0..40 {
        index = index.image(Image::small("linux/amd64").annotation("number", &number.to_string()));
    }
    registry.http().push_index("app", "1", &index).await;
    let proxy = Proxy::start(registry.addr(), |_| Act::Pass);
    let name = reference(proxy.reference("app:1"));
    let found = resolver(None).resolve(&name, &platforms(&["linux/amd64"])).await.unwrap().unwrap();
    let read: Vec<bool> = found.images.iter().map(|image| image.config.is_some()).collect();
    assert_eq!((read.len(), read[0], read[1..].contains(&true)), (40, true, false));
    assert_eq!(manifests(&proxy).len(), 3, "HEAD and GET of the index, and the first of the platform");
}

#[tokio::test]
async fn an_index_of_large_entries_is_refused_before_they_are_held() {
    let entries: Vec<_> = (0..16)
        .map(|at| {
            let digest = Digest::sha256(format!("{at}"));
            serde_json::json!({"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 4_000_000})
        })
        .collect();
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": entries});
    let index = index.to_string();
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/v2/" => Reply::status(200),
        "/v2/app/manifests/1" => Reply::body(200, media_type::OCI_INDEX, index.clone()),
        _ if seen.path == format!("/v2/app/manifests/{}", Digest::sha256(&index)) => {
            Reply::body(200, media_type::OCI_INDEX, index.clone())
        }
        _ => Reply::status(404),
    })
    .await;
    let error = resolver(None).resolve(&server.reference("app:1"), &[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
}
