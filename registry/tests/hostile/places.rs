//! Where a registry sends its client: redirects, uploads, pages.

use std::sync::Mutex;

use bytes::Bytes;
use polyarch_registry::client::{BytesSource, ClientError, Config, ErrorKind, HostSettings, Limits, Registry};
use polyarch_registry::oci::{Descriptor, Digest};
use polyarch_testkit::hostile::registry;
use polyarch_testkit::layer::noise;
use polyarch_testkit::script::{Reply, Server, client, quick};

use super::{Files, leaked, serve, start};

fn blob(bytes: &Bytes) -> Descriptor {
    Descriptor::new("application/octet-stream", Digest::sha256(bytes), bytes.len() as u64)
}

async fn read(client: &Registry, server: &Server, bytes: &Bytes) -> Result<(), ClientError> {
    let mut download = client.get_blob(&server.reference("x"), &blob(bytes)).await?;
    while download.chunk().await?.is_some() {}
    Ok(())
}

/// "redirect-to-another-host": followed, without credentials or cookies.
#[tokio::test]
async fn a_redirect_takes_nothing_along() {
    let bytes = noise(1, 1000);
    let stored = bytes.clone();
    let storage = Server::start(move |_| Reply::Answer(200, vec![], stored.clone())).await;
    let location = format!("http://{}/blob?sig=1", storage.host());
    let server = serve(registry(move |seen| match seen.header("authorization") {
        Some(_) => Reply::status(307).with("location", location.clone()).with("set-cookie", "a=b"),
        None => Reply::status(401).with("www-authenticate", "Basic realm=\"x\""),
    }))
    .await;
    read(&Files::of(&server.host()).client(), &server, &bytes).await.unwrap();
    assert!(storage.seen().len() == 1 && !leaked(&storage));
    assert!(leaked(&server), "the registry itself got them");
}

#[tokio::test]
async fn redirects_end() {
    let bytes = noise(2, 10);
    for profile in ["redirect-in-circles", "redirect-to-link-local"] {
        let server = start(profile).await;
        let error = read(&client(), &server, &bytes).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsafe, "{profile}: {error:?}");
        assert!(server.lines().len() <= 10, "{profile}");
    }
    let chain = Mutex::new(0);
    let server = serve(registry(move |_| {
        let mut at = chain.lock().unwrap();
        *at += 1;
        Reply::status(307).with("location", format!("/hop/{at}"))
    }))
    .await;
    assert_eq!(read(&client(), &server, &bytes).await.unwrap_err().kind(), ErrorKind::Unsafe);
    assert!(server.lines().len() <= 10);
}

/// "upload-on-another-host": refused unless the user lists it, and then without credentials.
#[tokio::test]
async fn an_upload_stays_with_the_registry() {
    let bytes = noise(3, 10);
    let other = Server::start(|_| Reply::status(201)).await;
    for location in [format!("http://{}/up", other.host()), format!("//{}/up", other.host()), "file:///x".into()] {
        let server = serve(registry(move |_| Reply::status(202).with("location", location.clone()))).await;
        let put = client();
        let error = put.put_blob(&server.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsafe);
    }
    assert!(other.seen().is_empty());

    let location = format!("http://{}/up", other.host());
    let server = serve(registry(move |_| Reply::status(202).with("location", location.clone()))).await;
    let settings = HostSettings { upload_hosts: vec![other.host()], ..HostSettings::default() };
    let config = Config { hosts: [(server.host(), settings)].into(), ..Files::of(&server.host()).config() };
    let put = Registry::new(config);
    put.put_blob(&server.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await.unwrap();
    assert!(other.seen().len() == 1 && !leaked(&other));
}

/// "upload-locations-of-every-form": resolved as RFC 3986 says, the query kept.
#[tokio::test]
async fn upload_locations_are_resolved() {
    let bytes = noise(4, 10);
    let digest = Digest::sha256(&bytes).to_string().replace(':', "%3A");
    for (location, want) in [
        (Some("/v2/x/blobs/uploads/1?s=a%2Bb"), Some("/v2/x/blobs/uploads/1?s=a%2Bb&digest=")),
        (Some("uuid?x=y"), Some("/v2/x/blobs/uploads/uuid?x=y&digest=")),
        (Some("?state=1#frag"), Some("/v2/x/blobs/uploads/?state=1&digest=")),
        (None, None),
    ] {
        let server = serve(registry(move |seen| match (seen.method.as_str(), location) {
            ("POST", Some(location)) => Reply::status(202).with("location", location),
            ("POST", None) => Reply::status(202),
            _ => Reply::status(201),
        }))
        .await;
        let put = client();
        let done = put.put_blob(&server.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await;
        match want {
            Some(want) => {
                done.unwrap();
                assert_eq!(server.lines().last().unwrap(), &format!("PUT {want}{digest}"));
            }
            None => assert_eq!(done.unwrap_err().kind(), ErrorKind::Protocol),
        }
    }
}

/// "upload-that-moves": each PATCH goes to the latest place.
#[tokio::test]
async fn the_latest_location_counts() {
    let bytes = noise(5, 250);
    let count = Mutex::new(0);
    let server = serve(registry(move |seen| {
        let mut count = count.lock().unwrap();
        if seen.method != "POST" && !seen.path.starts_with(&format!("/v2/x/up/{count}?")) {
            return Reply::status(404);
        }
        *count += 1;
        match seen.method.as_str() {
            "PUT" => Reply::status(201),
            _ => Reply::status(202).with("location", format!("/v2/x/up/{count}?_state=%2F{count}")),
        }
    }))
    .await;
    let limits = Limits { chunk_bytes: 100, chunk_above: 0, ..Limits::default() };
    let put = Registry::new(Config { limits, ..quick() });
    put.put_blob(&server.reference("x"), &blob(&bytes), &BytesSource(bytes.clone()), None).await.unwrap();
    assert_eq!(server.lines().len(), 5, "{:?}", server.lines());
}
