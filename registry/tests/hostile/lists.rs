//! Lists: tags, repositories, referrers, warnings.

use std::sync::atomic::{AtomicU32, Ordering};

use polyarch_registry::client::{Config, ErrorKind, Limits, Registry, fallback_tag};
use polyarch_registry::oci::{Descriptor, Digest, RawManifest, media_type};
use polyarch_testkit::hostile::{manifest, registry, with_manifest};
use polyarch_testkit::script::{Reply, client, quick};
use serde_json::json;

use super::{serve, start};

#[tokio::test]
async fn the_next_page_stays_with_the_registry() {
    let server = start("link-to-another-host").await;
    assert_eq!(client().tags(&server.reference("x")).await.unwrap_err().kind(), ErrorKind::Unsafe);
    assert_eq!(server.lines().len(), 1);
    for link in ["<file:///x>; rel=next", "<javascript:x>; rel=next", "<//127.0.0.2/x>; rel=next"] {
        let server = serve(registry(move |_| Reply::body(200, "application/json", "{}").with("link", link))).await;
        let client = client();
        assert_eq!(client.tags(&server.reference("x")).await.unwrap_err().kind(), ErrorKind::Unsafe, "{link}");
        assert_eq!(client.repositories(&server.host()).await.unwrap_err().kind(), ErrorKind::Unsafe, "{link}");
    }
}

#[tokio::test]
async fn pages_end() {
    let server = start("link-in-circles").await;
    assert_eq!(client().tags(&server.reference("x")).await.unwrap_err().kind(), ErrorKind::Protocol);

    let count = AtomicU32::new(0);
    let server = serve(registry(move |seen| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        let path = seen.path.split('?').next().unwrap().to_owned();
        let list = json!({ "tags": [format!("t{n}")], "repositories": [format!("r{n}")] });
        Reply::body(200, "application/json", list.to_string()).with("link", format!("<{path}?l={n}>; rel=next"))
    }))
    .await;
    let limits = Limits { pages: 7, ..Limits::default() };
    let bounded = Registry::new(Config { limits, ..quick() });
    let tags = bounded.tags(&server.reference("x")).await.unwrap();
    assert_eq!((tags.tags.len(), tags.truncated), (7, true), "marked as cut");
    let repositories = bounded.repositories(&server.host()).await.unwrap();
    assert_eq!((repositories.repositories.len(), repositories.truncated), (7, true));

    let million: Vec<_> = (0..100_000).map(|n| format!("t{n}")).collect();
    let body = json!({ "tags": million }).to_string();
    let server = serve(registry(move |_| Reply::body(200, "application/json", body.clone()))).await;
    let bounded = Registry::new(Config { limits: Limits { tags: 1000, ..Limits::default() }, ..quick() });
    let tags = bounded.tags(&server.reference("x")).await.unwrap();
    assert_eq!((tags.tags.len(), tags.truncated), (1000, true));
    let small = Registry::new(Config { limits: Limits { page_bytes: 1000, ..Limits::default() }, ..quick() });
    assert_eq!(small.tags(&server.reference("x")).await.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn only_names_that_can_be_asked_for_are_listed() {
    let server = start("names-with-control-characters").await;
    let tags = client().tags(&server.reference("x")).await.unwrap().tags;
    assert_eq!(tags.into_iter().collect::<Vec<_>>(), ["good"]);
}

#[tokio::test]
async fn warnings_are_few_short_and_distinct() {
    let server = start("warnings-without-end").await;
    let client = client();
    for n in 0..3 {
        client.get_manifest(&server.reference(&format!("x:{n}"))).await.unwrap();
    }
    let warnings = client.warnings();
    assert!(warnings.len() <= 32 && warnings.iter().all(|(_, text)| text.len() <= 4096), "{}", warnings.len());
}

fn note(subject: &RawManifest) -> RawManifest {
    let empty = Descriptor::new(media_type::OCI_EMPTY, Digest::sha256("{}"), 2);
    let body = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "artifactType": "example/sig",
        "config": empty, "layers": [], "subject": subject.descriptor(),
    });
    RawManifest::new(media_type::OCI_MANIFEST, body.to_string())
}

/// "subject-echoed-without-the-api": looked at after the push, and the tag is written.
#[tokio::test]
async fn an_echoed_subject_is_looked_at() {
    let subject = manifest("x");
    let (digest, tag) = (subject.digest().clone(), fallback_tag(subject.digest()));
    let written = std::sync::Mutex::new(None);
    let own = tag.clone();
    let server = serve(registry(move |seen| {
        let mut written = written.lock().unwrap();
        match (seen.method.as_str(), seen.path.ends_with(&own)) {
            _ if seen.path.contains("/referrers/") => Reply::status(404),
            ("PUT", true) => {
                *written = Some(seen.body.clone());
                Reply::status(201)
            }
            ("PUT", false) => Reply::status(201).with("oci-subject", digest.to_string()),
            (_, true) => match &*written {
                Some(bytes) => Reply::body(200, media_type::OCI_INDEX, bytes.clone()),
                None => Reply::status(404),
            },
            _ => Reply::status(404),
        }
    }))
    .await;
    let note = note(&subject);
    let at = server.reference("x").with_digest(note.digest().clone());
    client().put_referrer(&at, &note).await.unwrap();
    assert!(server.lines().contains(&format!("PUT /v2/x/manifests/{tag}")), "{:?}", server.lines());
}

/// "referrers-tag-of-something-else": not written over, and not read as a list.
#[tokio::test]
async fn a_referrers_tag_of_something_else() {
    let subject = manifest("x");
    let whole = subject.clone();
    let server = serve(registry(move |seen| match seen.method.as_str() {
        _ if seen.path.contains("/referrers/") => Reply::status(404),
        "PUT" => Reply::status(201),
        // As GitLab does: any tag that looks like a digest is the manifest itself.
        _ => with_manifest(&whole),
    }))
    .await;
    let note = note(&subject);
    let at = server.reference("x").with_digest(note.digest().clone());
    assert_eq!(client().put_referrer(&at, &note).await.unwrap_err().kind(), ErrorKind::Protocol);
    let written: Vec<_> = server.lines().into_iter().filter(|line| line.starts_with("PUT")).collect();
    assert_eq!(written.len(), 1, "only the manifest itself: {written:?}");
    assert!(client().referrers(&at, subject.digest(), None).await.unwrap().entries.is_empty());
}

/// "referrers-of-something-else": each is read, and what is about another manifest is dropped and named.
#[tokio::test]
async fn referrers_of_something_else() {
    let (subject, other) = (manifest("x"), manifest("y"));
    let (right, wrong) = (note(&subject), note(&other));
    let list = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX,
        "manifests": [right.descriptor(), wrong.descriptor()],
    });
    let served = [right.clone(), wrong.clone()];
    let server =
        serve(registry(move |seen| match served.iter().find(|one| seen.path.ends_with(one.digest().encoded())) {
            Some(one) => with_manifest(one),
            None => Reply::body(200, media_type::OCI_INDEX, list.to_string()),
        }))
        .await;
    let (found, manifests) = client().verified_referrers(&server.reference("x"), subject.digest(), None).await.unwrap();
    assert_eq!((manifests, found.dropped), (vec![right], vec![wrong.digest().clone()]));
}
