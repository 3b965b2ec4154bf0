//! What tests on real daemons share: the test bed's addresses.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use polyarch_builder::event::Event;
use polyarch_builder::event_sink::EventSink;
use polyarch_builder::limits::Limits;
use polyarch_builder::node::endpoint::HostEnv;
use polyarch_builder::node::reach::{Reach, ReachError, Reached};
use polyarch_registry::client::CredentialSources;
use tokio::sync::mpsc::UnboundedReceiver;

/// Returns an address of the bed, or says that the test is skipped. `POLYARCH_BED_REQUIRED=1` makes that a failure.
pub fn address(name: &str) -> Option<String> {
    let found = std::env::var(name).ok().filter(|value| !value.is_empty());
    if found.is_none() {
        assert_ne!(std::env::var("POLYARCH_BED_REQUIRED").as_deref(), Ok("1"), "{name} is not set");
        println!("skipped: {name} is not set; run through testdata/bed/with");
    }
    found
}

/// Reaches a builder.
pub async fn reach(builder: &str, env: &HostEnv) -> Result<Reached, ReachError> {
    reach_with_events(builder, env).await.0
}

/// Reaches a builder and returns what was told meanwhile.
pub async fn reach_with_events(
    builder: &str,
    env: &HostEnv,
) -> (Result<Reached, ReachError>, UnboundedReceiver<Event>) {
    let (events, told) = EventSink::channel();
    let (limits, credentials) = (Limits::default(), CredentialSources::default());
    (Reach { env, limits: &limits, events: &events, credentials: &credentials }.builder(builder).await, told)
}

/// Returns a tar stream as `docker save` writes it: one image with one small layer.
pub fn tiny_image(tag: &str) -> impl futures::Stream<Item = std::io::Result<bytes::Bytes>> + use<> {
    let mut layer = tar::Builder::new(Vec::new());
    append(&mut layer, "hello.txt", tag.as_bytes());
    let layer = layer.into_inner().unwrap();
    let diff_id = polyarch_registry::oci::Digest::sha256(&layer);
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    );
    let name = format!("{}.json", polyarch_registry::oci::Digest::sha256(&config).encoded());
    let manifest = format!(r#"[{{"Config":"{name}","RepoTags":["{tag}"],"Layers":["l/layer.tar"]}}]"#);
    let mut image = tar::Builder::new(Vec::new());
    append(&mut image, "l/layer.tar", &layer);
    append(&mut image, &name, config.as_bytes());
    append(&mut image, "manifest.json", manifest.as_bytes());
    futures::stream::iter([Ok(image.into_inner().unwrap().into())])
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, bytes).unwrap();
}
