//! Builds of real daemons that fail, are cancelled or lose their daemon.

#![allow(clippy::unwrap_used)]

mod bed;

use std::time::Duration;

use bed::{Build, amd64, arm64, base, connect, log_text, unique};
use polyarch_builder::buildkit::export::ImageOptions;
use polyarch_builder::buildkit::{Export, SolveError, Worker};
use polyarch_builder::event::EventKind;
use polyarch_builder::limits::Limits;
use polyarch_builder::node::dial::{Dialer, Transport};
use polyarch_registry::store::{BlobStore, BlobWriter, Expect, StoreError};
use tokio_util::sync::CancellationToken;

fn oci() -> Export {
    Export::OciDirectory(ImageOptions::default())
}

async fn a_failing_platform_leaves_the_other(daemon: &str, export: impl Fn() -> Export) {
    let (Some(worker), Some(base)) = (connect(daemon).await, base()) else { return };
    let unique = unique();
    let dockerfile = format!(
        "FROM {base}\nARG TARGETARCH\nRUN echo {unique}\nRUN if [ $TARGETARCH = arm64 ]; then\\\n echo giving up; exit 7; fi\n"
    );
    let mut build = Build::new(worker, &dockerfile);
    let session = build.session().await;
    let (amd64, arm64) = (amd64(), arm64());
    let (good, bad) = tokio::join!(build.solve(&session, &amd64, export()), build.solve(&session, &arm64, export()));
    assert_eq!(good.unwrap().steps.executed(), 2);
    let error = bad.unwrap_err();
    assert!(!error.is_retryable());
    let failure = error.failure().unwrap();
    let events = build.events();
    let failed = failure.vertex.as_ref().unwrap();
    let finished =
        |e: &EventKind| matches!(e, EventKind::VertexFinished { vertex, error: Some(_), .. } if vertex == failed);
    assert!(events.iter().any(finished), "{events:#?}");
    assert!(log_text(&events).contains("giving up"));
    assert!(matches!(&error, SolveError::StepFailed { code: 7, .. }), "{error:?}");
    if daemon == "BED_DOCKER20" {
        // BuildKit 0.8 sends no details; the code is in its text.
        assert!(failure.sources.is_empty());
        return;
    }
    let source = &failure.sources[0];
    assert_eq!((source.file.as_str(), source.text.as_str()), ("Dockerfile", dockerfile.as_str()));
    let lines: Vec<_> = source.ranges.iter().map(|range| (range.start, range.end)).collect();
    assert_eq!(lines, [(4, 4), (5, 5)]);
}

#[tokio::test]
async fn failing_platform_on_the_containerd_store() {
    a_failing_platform_leaves_the_other("BED_DOCKER28", oci).await;
}

#[tokio::test]
async fn failing_platform_on_the_classic_store() {
    a_failing_platform_leaves_the_other("BED_DOCKER28_CLASSIC", || Export::CacheOnly).await;
}

#[tokio::test]
async fn failing_platform_on_docker_20() {
    a_failing_platform_leaves_the_other("BED_DOCKER20", || Export::CacheOnly).await;
}

#[tokio::test]
async fn failing_platform_on_buildkit() {
    a_failing_platform_leaves_the_other("BED_BUILDKIT", oci).await;
}

/// A step that runs until it is killed, and says so, unless it is told to end at once.
fn endless(base: &str) -> String {
    format!("FROM {base}\nARG END\nRUN echo begun {}; while [ -z \"$END\" ]; do sleep 0.1; done\n", unique())
}

/// Waits until the endless step has begun.
async fn begun(build: &mut Build) {
    while let Some(event) = build.events.recv().await {
        if matches!(&event.kind, EventKind::VertexLog { text, .. } if text.contains("begun")) {
            return;
        }
    }
}

#[tokio::test]
async fn dropping_a_solve_cancels_it_and_leaves_the_session() {
    let (Some(worker), Some(base)) = (connect("BED_DOCKER28").await, base()) else { return };
    let mut build = Build::new(worker, &endless(&base));
    let session = build.session().await;
    let platform = amd64();
    let spec = build.spec(&platform, oci());
    let (worker, sink) = (build.worker.clone(), build.sink.clone());
    tokio::select! {
        result = worker.solve(&session, spec, &sink) => panic!("{result:?}"),
        () = within(begun(&mut build)) => {}
    }
    build.request.build_args = bed::map(&[("END", "yes")]);
    let outcome = within(build.solve(&session, &platform, oci())).await.unwrap();
    assert_eq!(outcome.steps.executed(), 1);
}

/// A bound for what must not hang.
async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), future).await.unwrap()
}

#[tokio::test]
async fn a_lost_connection_is_told_as_such() {
    let (Some(address), Some(base)) = (bed::var("BED_DOCKER28"), base()) else { return };
    let (dialer, cut) = bed::cuttable(&address);
    let error = ended_by(&cut, Build::new(bed::docker_api(dialer).await, &endless(&base))).await;
    assert!(matches!(error, SolveError::ConnectionLost { .. }), "{error:?}");
    assert!(error.is_retryable());
}

/// Begins an endless build, takes its connection away and returns what it ends with.
async fn ended_by(taken: &CancellationToken, mut build: Build) -> SolveError {
    let session = build.session().await;
    let spec = build.spec(&amd64(), oci());
    let (worker, sink) = (build.worker.clone(), build.sink.clone());
    let solve = worker.solve(&session, spec, &sink);
    tokio::pin!(solve);
    tokio::select! {
        result = &mut solve => panic!("{result:?}"),
        () = within(begun(&mut build)) => taken.cancel(),
    }
    within(solve).await.unwrap_err()
}

async fn a_silent_network_ends_the_build(daemon: &str, transport: fn(std::sync::Arc<dyn Dialer>) -> Transport) {
    let (Some(address), Some(base)) = (bed::var(daemon), base()) else { return };
    let (dialer, gone) = bed::silenceable(&address);
    let soon = Duration::from_millis(300);
    let limits = Limits { peer_silence: soon, peer_answer: soon, ..Limits::default() };
    let worker = Worker::connect(transport(dialer), &limits).await.unwrap();
    let error = ended_by(&gone, Build::new(worker, &endless(&base))).await;
    assert!(matches!(error, SolveError::ConnectionLost { .. }), "{error:?}");
}

#[tokio::test]
async fn a_silent_network_before_docker() {
    a_silent_network_ends_the_build("BED_DOCKER28", Transport::DockerApi).await;
}

#[tokio::test]
async fn a_silent_network_before_buildkit() {
    a_silent_network_ends_the_build("BED_BUILDKIT", Transport::BuildKit).await;
}

/// A store without space.
struct FullStore;

impl BlobStore for FullStore {
    fn stat<'a>(
        &'a self,
        _: &'a polyarch_registry::oci::Digest,
    ) -> futures::future::BoxFuture<'a, Result<Option<u64>, StoreError>> {
        Box::pin(async { Ok(None) })
    }

    fn open<'a>(
        &'a self,
        digest: &'a polyarch_registry::oci::Digest,
        _: u64,
    ) -> futures::future::BoxFuture<'a, Result<polyarch_registry::store::BlobReader, StoreError>> {
        Box::pin(async { Err(StoreError::NotFound(digest.clone())) })
    }

    fn writer(&self, _: Expect) -> futures::future::BoxFuture<'_, Result<Box<dyn BlobWriter>, StoreError>> {
        Box::pin(async { Err(StoreError::Full { path: "/store".into() }) })
    }

    fn remove<'a>(
        &'a self,
        _: &'a polyarch_registry::oci::Digest,
    ) -> futures::future::BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn a_full_disk_keeps_its_type() {
    use polyarch_builder::buildkit::Session;
    use polyarch_builder::buildkit::session::ContentStores;
    let (Some(worker), Some(base)) = (connect("BED_DOCKER28").await, base()) else { return };
    let build = Build::new(worker, &format!("FROM {base}\n"));
    let mut services = build.services();
    services.content = ContentStores::default().export(std::sync::Arc::new(FullStore));
    let session = Session::open(&build.worker, services, "full").await.unwrap();
    let error = build.solve(&session, &amd64(), oci()).await.unwrap_err();
    assert!(matches!(&error, SolveError::Store(fault) if matches!(**fault, StoreError::Full { .. })), "{error:?}");
}

#[tokio::test]
async fn what_a_daemon_cannot_do_comes_back_at_once() {
    let (Some(worker), Some(base)) = (connect("BED_DOCKER20").await, base()) else { return };
    assert_eq!(worker.info().await.unwrap(), None, "BuildKit 0.8 does not tell its version");
    let build = Build::new(worker, &format!("FROM {base}\n"));
    let session = build.session().await;
    let platform = amd64();
    let solve = build.solve(&session, &platform, oci());
    // Status of a solve without a job would block for 3 s.
    let error = tokio::time::timeout(Duration::from_secs(2), solve).await.unwrap().unwrap_err();
    assert!(matches!(&error, SolveError::Daemon(failure) if failure.message.contains("oci")), "{error:?}");
}
