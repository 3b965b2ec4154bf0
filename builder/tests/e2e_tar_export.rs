//! Results that come as a tar: from a daemon that is told so, and from one that turns out not to send content by digest.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod bed;

use std::sync::Arc;

use bed::{amd64, base, connect, unique};
use polyarch_builder::buildkit::session::{FileSend, NoAuth};
use polyarch_builder::event::EventKind;
use polyarch_builder::event_sink::EventSink;
use polyarch_builder::image::BuiltImage;
use polyarch_builder::request::{BuildRequest, ContextSource, DockerfileSource};
use polyarch_builder::run::arrivals::{Arrivals, Watched};
use polyarch_builder::run::content::{ContentExecutor, NodeSession};
use polyarch_builder::run::session::{SessionParts, open};
use polyarch_builder::run::tar_import::TarImport;
use polyarch_builder::run::{Executor, PlatformError};
use polyarch_registry::store::{BlobStore, LayoutStore};
use tokio_util::sync::CancellationToken;

/// What the session offers to a daemon.
#[derive(Clone, Copy)]
struct Offers {
    content: bool,
    tar: bool,
}

/// Builds into an empty store; returns the image and the notices.
async fn build(
    daemon: &str,
    dockerfile: &str,
    offers: Offers,
    by_digest: bool,
) -> Option<(Result<BuiltImage, PlatformError>, Vec<String>)> {
    let worker = connect(daemon).await?;
    let (context, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(context.path().join("file"), "content").unwrap();
    let store = Arc::new(LayoutStore::open(dir.path()).await.unwrap());
    let arrivals = Arc::new(Arrivals::new(Arc::clone(&store), Arc::new(|_, _| {})));
    let watched: Arc<dyn BlobStore> = Arc::new(Watched(Arc::clone(&arrivals)));
    let (events, mut told) = EventSink::channel();
    let request = BuildRequest::of(
        ContextSource::Dir(context.path().into()),
        DockerfileSource::Text(dockerfile.as_bytes().to_vec()),
    );
    let files = match offers.tar {
        true => FileSend::Bytes(Arc::new(TarImport { store: Arc::clone(&watched), events: events.clone() })),
        false => FileSend::None,
    };
    let export = offers.content.then_some(watched);
    let parts = SessionParts { worker: &worker, auth: Arc::new(NoAuth), export, files, events: &events };
    let (session, names) = open(&request, parts).await.unwrap();
    let request = Arc::new(request);
    let node = NodeSession {
        worker,
        session,
        names,
        request,
        store,
        arrivals,
        manifest_bytes: 4 << 20,
        is_alone: true,
        caches: Default::default(),
    };
    let executor = ContentExecutor::new(Arc::new(node), by_digest);
    let built = executor.build(&amd64(), &events, &CancellationToken::new()).await;
    let notices = std::iter::from_fn(|| told.try_recv().ok()).filter_map(|event| match event.kind {
        EventKind::Notice { message } => Some(message),
        _ => None,
    });
    Some((built.map(|built| built.image().unwrap().clone()), notices.collect()))
}

const ALL: Offers = Offers { content: true, tar: true };

async fn the_tar_holds_the_same_image(daemon: &str) {
    let Some(base) = base() else { return };
    let dockerfile = format!("FROM {base}\nCOPY file /{}\n", unique());
    let Some((by_digest, notices)) = build(daemon, &dockerfile, ALL, true).await else { return };
    assert_eq!(notices, [""; 0]);
    let (by_tar, _) = build(daemon, &dockerfile, ALL, false).await.unwrap();
    let (by_digest, by_tar) = (by_digest.unwrap(), by_tar.unwrap());
    assert_eq!(by_tar.manifest.digest(), by_digest.manifest.digest());
    assert!(by_tar.layers.len() >= 2, "{by_tar:?}");
}

#[tokio::test]
async fn docker_sends_the_same_image_as_a_tar() {
    the_tar_holds_the_same_image("BED_DOCKER28").await;
}

#[tokio::test]
async fn buildkit_sends_the_same_image_as_a_tar() {
    the_tar_holds_the_same_image("BED_BUILDKIT").await;
}

/// A session without the content service is refused in the same way as by a daemon without it.
async fn what_cannot_go_by_digest_comes_as_a_tar(daemon: &str) {
    let Some(base) = base() else { return };
    let dockerfile = format!("FROM {base}\nCOPY file /{}\n", unique());
    let without = Offers { content: false, tar: true };
    let Some((built, notices)) = build(daemon, &dockerfile, without, true).await else { return };
    assert!(built.unwrap().layers.len() >= 2);
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].contains("came whole, as a tar"), "{notices:?}");
    let (failed, notices) = build(daemon, &dockerfile, Offers { content: false, tar: false }, true).await.unwrap();
    assert!(matches!(failed, Err(PlatformError::Solve { .. })), "{failed:?}");
    assert_eq!(notices, [""; 0]);
}

#[tokio::test]
async fn docker_falls_back_to_a_tar() {
    what_cannot_go_by_digest_comes_as_a_tar("BED_DOCKER28").await;
}

#[tokio::test]
async fn buildkit_falls_back_to_a_tar() {
    what_cannot_go_by_digest_comes_as_a_tar("BED_BUILDKIT").await;
}

#[tokio::test]
async fn a_failing_step_is_not_tried_again() {
    let Some(base) = base() else { return };
    let dockerfile = format!("FROM {base}\nRUN echo {} && exit 9\n", unique());
    let Some((failed, notices)) = build("BED_DOCKER28", &dockerfile, ALL, true).await else { return };
    let error = failed.unwrap_err();
    assert!(!error.solve().unwrap().may_be_the_export(), "{error:?}");
    assert_eq!(notices, [""; 0]);
}
