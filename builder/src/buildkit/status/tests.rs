use bollard_buildkit_proto::pb;

use super::*;

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 500_000_000 })
}

fn vertex(digest: &str, started: Option<Timestamp>, completed: Option<Timestamp>) -> proto::Vertex {
    let name = format!("[build 1/1] RUN {digest}");
    proto::Vertex { digest: digest.into(), name, started, completed, ..proto::Vertex::default() }
}

fn vertexes(vertexes: Vec<proto::Vertex>) -> proto::StatusResponse {
    proto::StatusResponse { vertexes, ..proto::StatusResponse::default() }
}

fn id(digest: &str) -> VertexId {
    VertexId(digest.into())
}

#[test]
fn a_vertex_is_seen_started_and_finished_once() {
    let mut mapper = StatusMapper::default();
    assert!(mapper.is_empty());
    let seen = EventKind::VertexSeen { vertex: id("a"), name: "[build 1/1] RUN a".into() };
    assert_eq!(mapper.apply(vertexes(vec![vertex("a", None, None)])), [seen]);
    let started = EventKind::VertexStarted { vertex: id("a") };
    assert_eq!(mapper.apply(vertexes(vec![vertex("a", at(1), None), vertex("a", at(1), None)])), [started]);
    let elapsed = Duration::from_secs(3);
    let finished = EventKind::VertexFinished { vertex: id("a"), cached: false, error: None, elapsed };
    assert_eq!(mapper.apply(vertexes(vec![vertex("a", at(1), at(4))])), [finished]);
    assert_eq!(mapper.apply(vertexes(vec![vertex("a", at(5), at(6))])), []);
    let steps = mapper.into_steps();
    assert_eq!((steps.cached(), steps.executed()), (0, 1));
}

#[test]
fn an_error_after_a_completion_is_still_told() {
    let mut mapper = StatusMapper::default();
    mapper.apply(vertexes(vec![vertex("a", at(1), at(2))]));
    let failed = proto::Vertex { error: "boom".into(), ..vertex("a", at(3), at(4)) };
    let events = mapper.apply(vertexes(vec![failed.clone(), failed]));
    let error = Some("boom".to_owned());
    let elapsed = Duration::from_secs(1);
    assert_eq!(events, [EventKind::VertexFinished { vertex: id("a"), cached: false, error, elapsed }]);
    assert_eq!(mapper.into_steps().executed(), 0);
}

#[test]
fn only_instructions_are_counted() {
    let mut mapper = StatusMapper::default();
    let named = |name: &str| proto::Vertex { name: name.into(), ..vertex(name, at(1), at(1)) };
    let cached = proto::Vertex { cached: true, ..named("[2/3] COPY . .") };
    mapper.apply(vertexes(vec![
        named("[internal] load build definition from Dockerfile"),
        named("[auth] library/busybox:pull token for registry"),
        named("[linux/arm64 build 1/3] FROM docker.io/library/busybox"),
        named("exporting to oci image format"),
        named("[linux/arm64 build 3/3] RUN make"),
        cached,
    ]));
    let steps = mapper.into_steps();
    assert_eq!((steps.0.len(), steps.cached(), steps.executed()), (6, 1, 1));
}

#[test]
fn a_download_inside_a_cached_vertex_leaves_it_cached() {
    let mut mapper = StatusMapper::default();
    let cached = |completed| proto::Vertex { cached: true, ..vertex("a", at(1), completed) };
    let messages = vec![cached(None), vertex("a", at(2), None), vertex("a", at(2), at(3)), cached(at(4))];
    let events = mapper.apply(vertexes(messages));
    let elapsed = Duration::from_secs(1);
    let finished = EventKind::VertexFinished { vertex: id("a"), cached: true, error: None, elapsed };
    assert_eq!(events[2..], [finished]);
    assert_eq!(mapper.into_steps().cached(), 1);
}

#[test]
fn a_clock_that_runs_backwards_gives_no_time() {
    let events = StatusMapper::default().apply(vertexes(vec![vertex("a", at(9), at(2))]));
    assert!(matches!(events[2], EventKind::VertexFinished { elapsed: Duration::ZERO, .. }), "{events:?}");
}

#[test]
fn repeated_progress_is_told_once_and_negative_numbers_are_zero() {
    let status = |current, total| proto::StatusResponse {
        statuses: vec![proto::VertexStatus {
            id: "sha256:1".into(),
            vertex: "a".into(),
            current,
            total,
            ..proto::VertexStatus::default()
        }],
        ..proto::StatusResponse::default()
    };
    let mut mapper = StatusMapper::default();
    let progress =
        |current, total| EventKind::VertexProgress { vertex: id("a"), id: "sha256:1".into(), current, total };
    assert_eq!(mapper.apply(status(5, 10)), [progress(5, 10)]);
    assert_eq!(mapper.apply(status(5, 10)), []);
    assert_eq!(mapper.apply(status(10, -1)), [progress(10, 0)]);
    let mut ended = status(12, 0);
    ended.statuses[0].completed = Some(Default::default());
    assert_eq!(mapper.apply(ended), [progress(12, 12)], "a total that was not known is known at the end");
}

#[test]
fn logs_keep_their_stream_and_characters() {
    let log = |stream, msg: &[u8]| proto::StatusResponse {
        logs: vec![proto::VertexLog { vertex: "a".into(), stream, msg: msg.to_vec(), timestamp: None }],
        ..proto::StatusResponse::default()
    };
    let mut mapper = StatusMapper::default();
    let text = |stream, text: &str| EventKind::VertexLog { vertex: id("a"), stream, text: text.into() };
    assert_eq!(mapper.apply(log(1, b"\xe2\x82")), []);
    assert_eq!(mapper.apply(log(2, b"oops")), [text(Stream::Stderr, "oops")]);
    assert_eq!(mapper.apply(log(1, b"\xac!")), [text(Stream::Stdout, "\u{20ac}!")]);
}

#[test]
fn warnings_carry_the_rule_s_page_and_the_first_line() {
    let start = Some(pb::Position { line: 3, character: 0 });
    let message = proto::StatusResponse {
        warnings: vec![proto::VertexWarning {
            short: b"StageNameCasing".to_vec(),
            detail: vec![b"Stage names should be lowercase".to_vec()],
            url: "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/".into(),
            ranges: vec![pb::Range { start, end: start }],
            ..proto::VertexWarning::default()
        }],
        ..proto::StatusResponse::default()
    };
    let expected = EventKind::Warning {
        message: "StageNameCasing".into(),
        detail: vec!["Stage names should be lowercase".into()],
        url: Some("https://docs.docker.com/go/dockerfile/rule/stage-name-casing/".into()),
        line: Some(3),
    };
    assert_eq!(StatusMapper::default().apply(message), [expected]);
}
