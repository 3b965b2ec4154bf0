use bollard_buildkit_proto::google::protobuf::Any;

use super::*;
use crate::steps::{Step, Steps};

fn status(code: Code, details: &[(&str, &str)]) -> Status {
    let details = details.iter().map(|(name, json)| Any {
        type_url: format!("github.com/moby/buildkit/{name}+json"),
        value: json.as_bytes().to_vec(),
    });
    let inner = rpc::Status { code: 2, message: "boom".into(), details: details.collect() };
    Status::with_details(code, "boom", inner.encode_to_vec().into())
}

/// `FROM x\nRUN y\n`, as Docker 28.5 sends it.
const SOURCE: (&str, &str) = (
    "errdefs.Source",
    r#"{"info":{"filename":"Dockerfile","data":"RlJPTSB4ClJVTiB5Cg==","definition":{"def":["WgA="]},"language":"Dockerfile"},"ranges":[{"start":{"line":2},"end":{"line":2}}]}"#,
);
const VERTEX: (&str, &str) = ("errdefs.Vertex", r#"{"digest":"sha256:aa"}"#);
const FRONTEND: (&str, &str) = ("errdefs.Frontend", r#"{"name":"dockerfile.v0"}"#);
const STACK: (&str, &str) = ("stack.Stack", r#"{"frames":[]}"#);

fn failure() -> Failure {
    let ranges = vec![SourceRange { start: 2, end: 2 }];
    let source = SourceExcerpt { file: "Dockerfile".into(), text: "FROM x\nRUN y\n".into(), ranges };
    Failure { message: "boom".into(), vertex: Some(VertexId("sha256:aa".into())), sources: vec![source] }
}

#[test]
fn an_exit_code_is_a_failed_step_with_its_place() {
    let error = classify(&status(Code::Unknown, &[STACK, SOURCE, VERTEX, ("gatewayapi.ExitMessage", r#"{"Code":7}"#)]));
    let SolveError::StepFailed { code, failure: got } = error else { panic!("{error:?}") };
    assert_eq!((code, *got), (7, failure()));
}

#[test]
fn a_vertex_without_an_exit_code_is_a_step_that_could_not_run() {
    let error = classify(&status(Code::Unknown, &[STACK, SOURCE, VERTEX]));
    assert!(matches!(&error, SolveError::Step(got) if **got == failure()), "{error:?}");
    assert_eq!(error.failure(), Some(&failure()));
}

#[test]
fn the_frontend_s_errors_are_the_definition_s() {
    let error = classify(&status(Code::Unknown, &[FRONTEND, SOURCE]));
    let SolveError::Definition(got) = error else { panic!("{error:?}") };
    assert_eq!((got.vertex, got.sources), (None, failure().sources));
}

#[test]
fn an_unknown_question_is_not_the_dockerfile_s_fault() {
    let error = classify(&status(Code::Unknown, &[FRONTEND, ("errdefs.Subrequest", r#"{"name":"frontend.x"}"#)]));
    assert!(matches!(error, SolveError::Unsupported(_)), "{error:?}");
}

#[test]
fn codes_decide_where_there_are_no_details() {
    let kind = |code| classify(&Status::new(code, "boom"));
    assert!(matches!(kind(Code::Unknown), SolveError::Daemon(_)));
    assert!(matches!(kind(Code::Cancelled), SolveError::Cancelled));
    assert!(matches!(kind(Code::Unavailable), SolveError::ConnectionLost { .. }));
    assert!(matches!(kind(Code::Unimplemented), SolveError::Unsupported(_)));
    assert!(kind(Code::Unavailable).is_retryable() && !kind(Code::Unknown).is_retryable());
}

#[test]
fn details_that_make_no_sense_are_left_out() {
    let bad = [
        ("errdefs.Source", r#"{"info":{"filename":"D","data":"***"},"ranges":[{"start":{"line":0}},{}]}"#),
        ("errdefs.Vertex", r#"{"digest":7}"#),
        ("gatewayapi.ExitMessage", "not json"),
        ("errdefs.Unheard", "{}"),
    ];
    let error = classify(&status(Code::Unknown, &bad));
    let SolveError::Daemon(got) = error else { panic!("{error:?}") };
    let source = SourceExcerpt { file: "D".into(), text: String::new(), ranges: vec![] };
    assert_eq!(*got, Failure { message: "boom".into(), vertex: None, sources: vec![source] });
    let garbage = Status::with_details(Code::Unknown, "boom", b"\xff\xff\xff".to_vec().into());
    assert!(matches!(classify(&garbage), SolveError::Daemon(_)));
}

#[test]
fn without_details_the_status_stream_tells_the_vertex() {
    let step = |error: Option<&str>| Step { error: error.map(str::to_owned), ..Step::default() };
    let id = |text: &str| VertexId(text.into());
    let failed = "executor failed running [/bin/sh -c false]: exit code: 1";
    let steps =
        Steps([(id("a"), step(None)), (id("b"), step(Some("context canceled"))), (id("c"), step(Some(failed)))].into());
    let error = classify(&Status::new(Code::Unknown, failed)).locate(&steps);
    let is_of = |got: &Failure| got.vertex == Some(id("c"));
    assert!(matches!(&error, SolveError::StepFailed { code: 1, failure } if is_of(failure)), "{error:?}");
    let other = classify(&Status::new(Code::Unknown, "boom")).locate(&steps);
    assert!(matches!(other, SolveError::Daemon(_)), "{other:?}");
}
