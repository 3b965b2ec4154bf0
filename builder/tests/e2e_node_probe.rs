//! What is concluded about real daemons.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failing helper is a failing test, and skips are told")]

mod node_bed;

use polyarch_builder::event_sink::EventSink;
use polyarch_builder::limits::Limits;
use polyarch_builder::node::endpoint::HostEnv;
use polyarch_builder::node::facts::{Feature, ImageStore};
use polyarch_builder::node::probe::Node;
use polyarch_builder::node::reach::Reach;
use polyarch_registry::client::CredentialSources;

async fn probe(builder: &str) -> Node {
    let (events, _told) = EventSink::channel();
    let (env, limits, credentials) = (HostEnv::default(), Limits::default(), CredentialSources::default());
    Reach { env: &env, limits: &limits, events: &events, credentials: &credentials }.node(builder).await.unwrap()
}

#[tokio::test]
async fn draws_the_right_conclusions_from_each_daemon() {
    for (name, store, minor, content) in [
        ("BED_DOCKER20", ImageStore::Classic, 8..9, false),
        ("BED_DOCKER28", ImageStore::Containerd, 19..40, true),
        ("BED_DOCKER28_CLASSIC", ImageStore::Classic, 19..40, false),
    ] {
        let Some(address) = node_bed::address(name) else { return };
        let node = probe(&address).await;
        let facts = &node.facts;
        assert_eq!(facts.store, store, "{name}");
        assert!(minor.contains(&facts.buildkit.minor), "{name}: {}", facts.buildkit);
        assert_eq!(facts.features.has(Feature::ContentExport), content, "{name}");
        let host = std::env::consts::ARCH;
        assert!(facts.native[0].same_as(&format!("linux/{host}").parse().unwrap()), "{name}: {:?}", facts.native);
        let foreign = if host == "aarch64" { "linux/amd64" } else { "linux/arm64" };
        assert!(facts.emulated.iter().any(|platform| platform.to_string() == foreign), "{name}: {:?}", facts.emulated);
    }
}
