//! Whole plans, as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use polyarch_registry::oci::Platform;
use proptest::prelude::*;

use super::*;
use crate::dockerfile::parse;

fn platforms(list: &str) -> Vec<Platform> {
    list.split_whitespace().map(|text| text.parse().unwrap()).collect()
}

fn node(name: &str, native: &str, emulated: &str) -> NodeFacts {
    let native = platforms(native);
    NodeFacts {
        name: name.into(),
        build_platform: native[0].clone(),
        native,
        emulated: platforms(emulated),
        tried: Vec::new(),
    }
}

fn input(list: &str, nodes: &[NodeFacts]) -> PlanInput {
    PlanInput { platforms: platforms(list), nodes: nodes.to_vec(), ..PlanInput::default() }
}

fn laptop() -> NodeFacts {
    node("laptop", "linux/amd64 linux/386", "linux/arm64 linux/arm/v7")
}

fn run(text: &str, input: &PlanInput) -> String {
    let file = parse(text.as_bytes()).unwrap();
    let plan = plan(&file, input);
    let mut out = String::new();
    for platform in &plan.platforms {
        let PlatformPlan { platform, node, stages, emulated_runs } = platform;
        writeln!(out, "{platform} on {node}, {emulated_runs} emulated").unwrap();
        for s in stages {
            let base = match &s.base {
                Base::Stage(name) => format!("stage {name}"),
                Base::Scratch => "scratch".to_owned(),
                Base::Image(name) => name.clone(),
                Base::Context(name) => format!("context {name}"),
            };
            let shared = if s.shared { ", shared" } else { "" };
            let (runs, same) = (s.run_steps, s.shared_run_steps);
            writeln!(out, "  {} from {base} ({}) {}, runs {runs} ({same} shared){shared}", s.name, s.platform, s.mode)
                .unwrap();
        }
    }
    for problem in &plan.problems {
        let line = problem.span.map_or(0, |span| span.line);
        writeln!(out, "! {line}: {problem}").unwrap();
    }
    out
}

const GO: &str = "\
FROM --platform=$BUILDPLATFORM golang:1.25 AS deps
WORKDIR /src
COPY go.mod ./
RUN go mod download

FROM deps AS build
RUN go vet ./...
ARG TARGETOS TARGETARCH
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /out/app .

FROM alpine:3.22 AS debug
RUN apk add strace
COPY --from=build /out/app /app

FROM scratch
COPY --from=build /out/app /app
ENTRYPOINT [\"/app\"]
";

#[test]
fn cross_compiles_without_emulation() {
    insta::assert_snapshot!(run(GO, &input("linux/amd64 linux/arm64 linux/riscv64", &[laptop()])), @r#"
    linux/amd64 on laptop, 0 emulated
      deps from golang:1.25 (linux/amd64) native, runs 1 (1 shared), shared
      build from stage deps (linux/amd64) native, runs 2 (1 shared)
      3 from scratch (linux/amd64) files, runs 0 (0 shared)
    linux/arm64 on laptop, 0 emulated
      deps from golang:1.25 (linux/amd64) native, runs 1 (1 shared), shared
      build from stage deps (linux/amd64) cross, runs 2 (1 shared)
      3 from scratch (linux/arm64) files, runs 0 (0 shared)
    linux/riscv64 on laptop, 0 emulated
      deps from golang:1.25 (linux/amd64) native, runs 1 (1 shared), shared
      build from stage deps (linux/amd64) cross, runs 2 (1 shared)
      3 from scratch (linux/riscv64) files, runs 0 (0 shared)
    "#);
}

#[test]
fn a_target_reaches_only_what_it_needs() {
    let input = PlanInput { target: Some("Debug".into()), ..input("linux/arm64", &[laptop()]) };
    insta::assert_snapshot!(run(GO, &input), @r#"
    linux/arm64 on laptop, 1 emulated
      deps from golang:1.25 (linux/amd64) native, runs 1 (0 shared)
      build from stage deps (linux/amd64) cross, runs 2 (0 shared)
      debug from alpine:3.22 (linux/arm64) emulated, runs 1 (0 shared)
    "#);
}

#[test]
fn emulates_where_the_stage_is_the_targets() {
    let text = "FROM debian:13 AS base\nRUN apt-get update\nONBUILD RUN echo trigger\nFROM base\nRUN make\nRUN <<E\nmake install\nE\n";
    insta::assert_snapshot!(run(text, &input("linux/amd64 linux/arm/v7", &[laptop()])), @r#"
    linux/amd64 on laptop, 0 emulated
      base from debian:13 (linux/amd64) native, runs 1 (0 shared)
      1 from stage base (linux/amd64) native, runs 3 (0 shared)
    linux/arm/v7 on laptop, 4 emulated
      base from debian:13 (linux/arm/v7) emulated, runs 1 (0 shared)
      1 from stage base (linux/arm/v7) emulated, runs 3 (0 shared)
    "#);
}

#[test]
fn copies_need_no_emulation() {
    let text = "FROM scratch\nCOPY hello-$TARGETARCH /hello\nADD x.tar /\nWORKDIR /x\n";
    insta::assert_snapshot!(run(text, &input("linux/amd64 linux/s390x", &[laptop()])), @r#"
    linux/amd64 on laptop, 0 emulated
      0 from scratch (linux/amd64) files, runs 0 (0 shared), shared
    linux/s390x on laptop, 0 emulated
      0 from scratch (linux/s390x) files, runs 0 (0 shared), shared
    "#);
}

#[test]
fn the_same_files_are_shared_but_not_what_runs_on_them() {
    let text = "FROM scratch\nADD rootfs.tar /\nRUN x\n";
    insta::assert_snapshot!(run(text, &input("linux/amd64 linux/arm64", &[laptop()])), @r#"
    linux/amd64 on laptop, 0 emulated
      0 from scratch (linux/amd64) native, runs 1 (0 shared)
    linux/arm64 on laptop, 1 emulated
      0 from scratch (linux/arm64) emulated, runs 1 (0 shared)
    "#);
}

#[test]
fn chooses_the_native_node() {
    let arm = node("arm", "linux/arm64 linux/arm/v7", "");
    insta::assert_snapshot!(
        run("FROM alpine\nRUN x\n", &input("linux/amd64 linux/arm64 linux/arm/v6", &[laptop(), arm])), @r#"
    linux/amd64 on laptop, 0 emulated
      0 from alpine (linux/amd64) native, runs 1 (0 shared)
    linux/arm64 on arm, 0 emulated
      0 from alpine (linux/arm64) native, runs 1 (0 shared)
    linux/arm/v6 on arm, 0 emulated
      0 from alpine (linux/arm/v6) native, runs 1 (0 shared)
    "#);
}

#[test]
fn says_what_no_node_can_run() {
    let text = "FROM --platform=$BUILDPLATFORM a AS b\nRUN x\nFROM c\nCOPY --from=b / /\nRUN y\n";
    insta::assert_snapshot!(run(text, &input("linux/amd64 linux/s390x", &[laptop()])), @r#"
    linux/amd64 on laptop, 0 emulated
      b from a (linux/amd64) native, runs 1 (1 shared), shared
      1 from c (linux/amd64) native, runs 1 (0 shared)
    linux/s390x on laptop, 0 emulated
      b from a (linux/amd64) native, runs 1 (1 shared), shared
      1 from c (linux/s390x) impossible, runs 1 (0 shared)
    ! 3: stage "1" needs linux/s390x, which node "laptop" cannot run
    "#);
}

#[test]
fn follows_buildkits_rules_for_from() {
    let text = "\
ARG BASE=alpine
ARG TARGETVARIANT=none
FROM --platform=linux/arm64 ${BASE}:${TAG:-3} AS one
RUN x
FROM --platform=linux/386 one AS Two
RUN x
FROM --platform=arm64 scratch AS three
COPY --from=TWO / /
COPY --from=0 / /
COPY --from=busybox:1 / /
RUN --mount=type=bind,from=other,target=/x x
FROM other:${TARGETVARIANT} AS unreached
FROM base-${TARGETARCH}
COPY --from=three / /
";
    let mut input = input("linux/amd64", &[laptop()]);
    input.build_args.insert("BASE".into(), "debian".into());
    insta::assert_snapshot!(run(text, &input), @r#"
    linux/amd64 on laptop, 2 emulated
      one from debian:3 (linux/arm64) emulated, runs 1 (0 shared)
      two from stage one (linux/arm64) emulated, runs 1 (0 shared)
      three from scratch (linux/amd64) native, runs 1 (0 shared)
      4 from base-amd64 (linux/amd64) files, runs 0 (0 shared)
    "#);
}

#[test]
fn arguments_decide_what_is_shared() {
    // The same step, with variables that do and do not differ by platform in its environment.
    let text = "\
FROM --platform=$BUILDPLATFORM a AS plain
ARG V=1
RUN x
FROM --platform=$BUILDPLATFORM a AS fixed
ARG TARGETARCH=amd64
RUN x
FROM --platform=$BUILDPLATFORM a AS undeclared
RUN echo $TARGETARCH
FROM --platform=$BUILDPLATFORM a AS env
ARG TARGETARCH
ENV A=$TARGETARCH
RUN x
FROM --platform=$BUILDPLATFORM a AS metadata
ARG TARGETARCH
LABEL arch=$TARGETARCH
FROM --platform=$BUILDPLATFORM a AS copied
COPY --from=env / /
FROM scratch
COPY --from=plain / /
COPY --from=fixed / /
COPY --from=undeclared / /
COPY --from=metadata / /
COPY --from=copied / /
";
    insta::assert_snapshot!(run(text, &input("linux/amd64 linux/arm64", &[laptop()])), @r#"
    linux/amd64 on laptop, 0 emulated
      plain from a (linux/amd64) native, runs 1 (1 shared), shared
      fixed from a (linux/amd64) native, runs 1 (1 shared), shared
      undeclared from a (linux/amd64) native, runs 1 (1 shared), shared
      env from a (linux/amd64) native, runs 1 (0 shared)
      metadata from a (linux/amd64) files, runs 0 (0 shared), shared
      copied from a (linux/amd64) files, runs 0 (0 shared)
      6 from scratch (linux/amd64) files, runs 0 (0 shared)
    linux/arm64 on laptop, 0 emulated
      plain from a (linux/amd64) native, runs 1 (1 shared), shared
      fixed from a (linux/amd64) native, runs 1 (1 shared), shared
      undeclared from a (linux/amd64) native, runs 1 (1 shared), shared
      env from a (linux/amd64) cross, runs 1 (0 shared)
      metadata from a (linux/amd64) files, runs 0 (0 shared), shared
      copied from a (linux/amd64) files, runs 0 (0 shared)
      6 from scratch (linux/arm64) files, runs 0 (0 shared)
    "#);
}

#[test]
fn named_contexts_replace_stages_and_images() {
    let text = "FROM a AS build\nRUN x\nFROM docker.io/library/alpine:latest\nRUN y\nCOPY --from=build / /\n";
    let names = BTreeMap::from([("build".to_owned(), None), ("alpine".to_owned(), None)]);
    let input = PlanInput { named_contexts: names, ..input("linux/amd64", &[laptop()]) };
    insta::assert_snapshot!(run(text, &input), @r#"
    linux/amd64 on laptop, 0 emulated
      build from context build (linux/amd64) files, runs 0 (0 shared)
      1 from context docker.io/library/alpine:latest (linux/amd64) native, runs 1 (0 shared)
    "#);
}

#[test]
fn reports_problems_with_their_lines() {
    let text = "\
FROM $NONE AS a
FROM --platform=$NONE x AS b
FROM --platform=a/b/c/d x AS c
FROM ${ AS d
FROM x AS e
COPY --from=later / /
COPY --from=e / /
COPY --from=99 / /
FROM e
FROM x AS later
FROM x
COPY --from=e / /
";
    insta::assert_snapshot!(run(text, &input("linux/amd64 linux/arm64", &[laptop()])), @r#"
    linux/amd64 on laptop, 0 emulated
      e from x (linux/amd64) files, runs 0 (0 shared)
      7 from x (linux/amd64) files, runs 0 (0 shared)
    linux/arm64 on laptop, 0 emulated
      e from x (linux/arm64) files, runs 0 (0 shared)
      7 from x (linux/arm64) files, runs 0 (0 shared)
    ! 1: base name "$NONE" is blank after expansion
    ! 2: platform "$NONE" is empty after expansion
    ! 3: "a/b/c/d" is not a platform
    ! 4: cannot expand "${"
    ! 7: circular dependency: e → e
    ! 8: stage index 99 does not exist
    "#);
    let file = parse(b"FROM a AS builder\nFROM b AS runtime\n").unwrap();
    let unknown = PlanInput { target: Some("runtme".into()), ..input("linux/amd64", &[laptop()]) };
    let want = ProblemKind::UnknownTarget {
        name: "runtme".into(),
        near: vec!["runtime".into()],
        stages: vec!["builder".into(), "runtime".into()],
    };
    assert_eq!(plan(&file, &unknown).problems[0].kind, want);
    assert_eq!(plan(&file, &input("linux/amd64", &[])).problems[0].kind, ProblemKind::NoNode);
}

#[test]
fn is_the_same_every_time() {
    let file = parse(GO.as_bytes()).unwrap();
    let input = input("linux/arm64 linux/amd64", &[laptop()]);
    let first = serde_json::to_string(&plan(&file, &input)).unwrap();
    assert!((0..10).all(|_| serde_json::to_string(&plan(&file, &input)).unwrap() == first));
}

proptest! {
    #[test]
    fn never_panics(lines in prop::collection::vec(
        "(FROM [ab]( AS [ab])?|FROM --platform=[$a-z/]{0,9} [ab$]|COPY --from=[ab0-3] x y|RUN x|ARG [AB]=?|ONBUILD COPY --from=[ab0-3] x y|ENV A=\\$A\\$B)",
        1..14)
    ) {
        let text = format!("FROM a\n{}", lines.join("\n"));
        if let Ok(file) = parse(text.as_bytes()) {
            plan(&file, &input("linux/amd64 linux/arm64", &[laptop()]));
        }
    }
}

#[test]
fn the_target_s_base_is_found_through_its_stages() {
    let base = |text: &str| {
        let plan = plan(&parse(text.as_bytes()).unwrap(), &input("linux/arm64", &[laptop()]));
        plan.platforms[0].base().map(|(name, platform)| format!("{name} {platform}"))
    };
    let through = "FROM debian AS a\nFROM --platform=$BUILDPLATFORM golang AS tools\nFROM a AS b\nFROM b\nCOPY --from=tools / /\n";
    assert_eq!(base(through).as_deref(), Some("debian linux/arm64"));
    assert_eq!(base("FROM debian AS a\nFROM scratch\nCOPY --from=a / /\n"), None);
}

fn stage<'a>(plan: &'a Plan, platform: usize, name: &str) -> &'a StagePlan {
    plan.platforms[platform].stages.iter().find(|stage| stage.name == name).unwrap()
}

#[test]
fn says_why_and_what_would_change_it() {
    let text = "FROM golang AS build\nRUN go build\nFROM --platform=linux/s390x tool AS tool\nRUN x\nFROM debian\nRUN apt\nCOPY --from=build / /\nCOPY --from=tool / /\n";
    let made = plan(&parse(text.as_bytes()).unwrap(), &input("linux/amd64 linux/arm64", &[laptop()]));
    let build = stage(&made, 1, "build");
    assert_eq!(build.mode, Mode::Emulated);
    assert_eq!(build.why.as_ref().unwrap().because, Because::Target { line: 1 });
    let edit = Change::BuildPlatform { line: 1, edit: "FROM --platform=$BUILDPLATFORM golang AS build".into() };
    assert_eq!(build.change[0], edit);
    assert_eq!(stage(&made, 0, "build").why, None);
    let tool = stage(&made, 0, "tool");
    assert_eq!(tool.mode, Mode::Impossible);
    assert_eq!(tool.why.as_ref().unwrap().because, Because::Flag { platform: "linux/s390x".into(), line: 3 });
    let emulator = Change::RegisterEmulator { node: "laptop".into(), architecture: "s390x".into() };
    assert_eq!(tool.change.last(), Some(&emulator));
    assert_eq!(
        stage(&made, 1, "2").change[0],
        Change::MoveCommands { line: 6 },
        "the result's own files stay where they are"
    );
    assert_eq!((made.totals.run_steps, made.totals.native, made.totals.emulated, made.totals.impossible), (5, 2, 2, 1));
    assert_eq!(made.totals.saved, 1, "the tool is the same for both");
}

#[test]
fn says_what_makes_a_stage_differ() {
    let text = "ARG SUFFIX=-$TARGETARCH\nFROM --platform=$BUILDPLATFORM a$SUFFIX AS named\nRUN x\nFROM --platform=$BUILDPLATFORM b AS used\nRUN x\nARG TARGETOS\nRUN y\nFROM scratch\nCOPY --from=named / /\nCOPY --from=used / /\n";
    let made = plan(&parse(text.as_bytes()).unwrap(), &input("linux/arm64 linux/riscv64", &[laptop()]));
    let taint = |name: &str| stage(&made, 0, name).taint.clone().map(|taint| (taint.argument, taint.line));
    assert_eq!(taint("named"), Some(("TARGETARCH".into(), 2)));
    assert_eq!(taint("used"), Some(("TARGETOS".into(), 7)));
    // Both are Linux: what only looks at the system is the same for both.
    assert_eq!(stage(&made, 0, "used").shared_with.len(), 1);
    assert!(!stage(&made, 0, "named").shared);
}

#[test]
fn external_images_have_their_platforms() {
    let text = "FROM --platform=$BUILDPLATFORM golang:1 AS build\nCOPY --from=tool:1 /t /t\nRUN --mount=from=data,target=/d x\nFROM never\nFROM alpine:3\nCOPY --from=build / /\nCOPY --from=ctx / /\n";
    let mut input = input("linux/amd64 linux/arm64", &[laptop()]);
    input.named_contexts.insert("ctx".into(), None);
    let image = |platform: &str, digest: &str| PlatformImage {
        platform: platform.parse().unwrap(),
        digest: digest.into(),
        config: None,
    };
    let facts = ImageFacts {
        digest: "sha256:i".into(),
        platforms: vec![image("linux/amd64", "sha256:m")],
        ..ImageFacts::default()
    };
    input.images.insert("alpine:3".into(), facts);
    let made = plan(&parse(text.as_bytes()).unwrap(), &input);
    let shown: Vec<String> = made
        .images
        .iter()
        .flat_map(|image| {
            image.platforms.iter().map(move |used| {
                format!("{} {} {:?} {}", image.name, used.platform, used.available, used.stages.join("+"))
            })
        })
        .collect();
    assert_eq!(
        shown,
        [
            "golang:1 linux/amd64 None build",
            "tool:1 linux/amd64 None build",
            "tool:1 linux/arm64 None build",
            "data linux/amd64 None build",
            "data linux/arm64 None build",
            "alpine:3 linux/amd64 Some(true) 2",
            "alpine:3 linux/arm64 Some(false) 2",
        ]
    );
    assert_eq!(made.images[3].digest.as_deref(), Some("sha256:i"));
}

#[test]
fn a_missing_platform_is_told_where_it_is_wanted() {
    let text = "FROM --platform=$BUILDPLATFORM alpine AS build\nRUN x\nFROM alpine\nCOPY --from=build / /\n";
    let mut input = input("linux/amd64 linux/arm64", &[laptop()]);
    let has = PlatformImage { platform: "linux/amd64".parse().unwrap(), digest: "sha256:m".into(), config: None };
    input.images.insert("alpine".into(), ImageFacts { platforms: vec![has], ..ImageFacts::default() });
    let made = plan(&parse(text.as_bytes()).unwrap(), &input);
    let told: Vec<String> = made.problems.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["image alpine is not there for linux/arm64"]);
    assert_eq!(made.problems[0].span.map(|span| (span.line, span.column)), Some((3, 6)));
}

#[test]
fn a_base_images_config_counts() {
    let text = "FROM other AS src\nFROM base\nRUN own\nWORKDIR $HOME/$NONE\nENV X=${NEEDED:?no}\n";
    let mut input = input("linux/amd64", &[laptop()]);
    let file = parse(text.as_bytes()).unwrap();
    assert!(plan(&file, &input).problems.is_empty(), "the base may have NEEDED");
    let config = ImageConfig {
        env: Some(vec![("HOME".into(), "/root".into())]),
        on_build: vec!["COPY --from=src /a /a".into(), "RUN <<E\ntrigger\nE".into()],
    };
    let image = PlatformImage { platform: input.platforms[0].clone(), digest: "d".into(), config: Some(config) };
    input.images.insert("base".into(), ImageFacts { platforms: vec![image], ..ImageFacts::default() });
    let made = plan(&file, &input);
    let last = stage(&made, 0, "1");
    assert_eq!((last.run_steps, last.steps, last.needs.as_slice()), (2, 5, &["src".to_owned()][..]));
    assert!(
        matches!(&made.problems[0].kind, ProblemKind::Expand { .. }),
        "now it is known that it has not: {:?}",
        made.problems
    );
    let config = |text: &str| ImageConfig { on_build: vec![text.into()], ..ImageConfig::default() };
    input.images.get_mut("base").unwrap().platforms[0].config = Some(config("ONBUILD RUN x"));
    assert!(matches!(&plan(&file, &input).problems[0].kind, ProblemKind::BadTrigger { .. }));
}

#[test]
fn a_foreign_frontend_makes_it_a_guess() {
    let of = |text: &str, args: &[(&str, &str)]| {
        let mut input = input("linux/amd64", &[laptop()]);
        input.build_args = args.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        plan(&parse(text.as_bytes()).unwrap(), &input).confidence
    };
    assert_eq!(of("FROM a\n", &[]), Confidence::Exact);
    assert_eq!(of("# syntax=docker/dockerfile:1\nFROM a\n", &[]), Confidence::Exact);
    assert_eq!(of("# syntax=example.org/other\nFROM a\n", &[]), Confidence::Guess);
    assert_eq!(of("FROM a\n", &[("BUILDKIT_SYNTAX", "example.org/other")]), Confidence::Guess);
}

#[test]
fn wrong_names_and_mounts_are_problems() {
    let text = "FROM a AS builder\nFROM Builder AS x\nFROM b\nRUN --mount=type=chache x\nCOPY --from=Bad:Name: / /\nENV A=\"x\nCOPY --from=x / /\n";
    let made = plan(&parse(text.as_bytes()).unwrap(), &input("linux/amd64", &[laptop()]));
    let shown: Vec<String> =
        made.problems.iter().map(|p| format!("{}:{} {p}", p.span.unwrap().line, p.span.unwrap().column)).collect();
    assert_eq!(
        shown,
        [
            "2:6 \"Builder\" is neither a stage nor the name of an image",
            "4:5 the mount \"type=chache\" cannot be used",
            "5:13 \"Bad:Name:\" is neither a stage nor the name of an image",
            "6:7 cannot expand \"\\\"x\"",
        ]
    );
    let ProblemKind::BadImage { stage, .. } = &made.problems[0].kind else { panic!("{:?}", made.problems[0]) };
    assert_eq!(stage.as_deref(), Some("builder"));
}

#[test]
fn a_circle_is_told_with_its_path() {
    let text = "FROM a AS one\nCOPY --from=three / /\nFROM one AS two\nFROM b AS three\nRUN --mount=from=two,target=/t x\nFROM c\nRUN y\n";
    let made = plan(&parse(text.as_bytes()).unwrap(), &input("linux/amd64", &[laptop()]));
    assert_eq!(made.problems[0].to_string(), "circular dependency: one → three → two → one");
    let forward = "FROM a AS one\nCOPY --from=two / /\nFROM b AS two\nFROM one\n";
    let made = plan(&parse(forward.as_bytes()).unwrap(), &input("linux/amd64", &[laptop()]));
    assert_eq!(made.problems[0].to_string(), "stage \"two\" is used in stage \"one\" before it is defined");
    assert_eq!(made.problems[0].span.map(|span| (span.line, span.column)), Some((2, 13)));
}

#[test]
fn a_large_file_in_the_dockerfile_is_planned() {
    let line = "# a line of a file that is written here\n".repeat(5_000);
    let text = format!("FROM a\nARG TARGETARCH\nCOPY <<EOF /f\n{line}$TARGETARCH\nEOF\nRUN <<EOF\n{line}EOF\nRUN x\n");
    let made = plan(&parse(text.as_bytes()).unwrap(), &input("linux/amd64", &[laptop()]));
    assert_eq!(made.problems, []);
    assert_eq!((made.confidence, made.doubts.len()), (Confidence::Exact, 0));
    let taint = made.platforms[0].stages[0].taint.as_ref().map(|taint| (taint.argument.as_str(), taint.line));
    assert_eq!(taint, Some(("TARGETARCH", 3)));
}

#[test]
fn what_is_too_large_to_follow_is_a_doubt_and_stops_nothing() {
    let text = format!("FROM a\nENV A={}\nENV B=$A$A\nRUN x\n", "x".repeat(40_000));
    let made = plan(&parse(text.as_bytes()).unwrap(), &input("linux/amd64", &[laptop()]));
    assert_eq!((made.problems.len(), made.confidence), (0, Confidence::Guess));
    let doubts: Vec<_> = made.doubts.iter().map(|one| (one.span.unwrap().line, one.to_string())).collect();
    assert_eq!(doubts, [(3, "cannot expand \"$A$A\"".to_owned())]);
    assert_eq!(made.platforms[0].stages[0].run_steps, 1);
}

#[test]
fn images_of_contexts_and_the_frontend_are_images_of_the_plan() {
    let text = "# syntax = reg/front:1 more\nFROM --platform=$BUILDPLATFORM base AS one\nCOPY --from=tool / /\nFROM plain\nCOPY --from=one / /\n";
    let mut input = input("linux/arm64", &[laptop()]);
    for (name, image) in [("base", Some("reg/base:2")), ("tool", Some("reg/tool:1")), ("plain", None)] {
        input.named_contexts.insert(name.into(), image.map(str::to_owned));
    }
    let config = ImageConfig { on_build: vec!["COPY --from=hidden:1 / /".into()], ..ImageConfig::default() };
    let image = |platform: &str| PlatformImage {
        platform: platform.parse().unwrap(),
        digest: "sha256:1".into(),
        config: Some(config.clone()),
    };
    let facts = ImageFacts { platforms: vec![image("linux/amd64"), image("linux/arm64")], ..ImageFacts::default() };
    input.images.insert("reg/base:2".into(), facts);
    let made = plan(&parse(text.as_bytes()).unwrap(), &input);
    assert_eq!(made.problems, []);
    let shown: Vec<String> = made
        .images
        .iter()
        .flat_map(|image| {
            let of = |used: &ImageUse| {
                let (stages, line) = (used.stages.join(","), used.span.line);
                format!(
                    "{line}:{} {} {} [{stages}] {} {} {}",
                    used.span.column, image.name, used.platform, image.is_frontend, image.by_name, used.is_base
                )
            };
            image.platforms.iter().map(of).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(
        shown,
        [
            "1:12 reg/front:1 linux/amd64 [] true false false",
            "2:13 hidden:1 linux/arm64 [one] false true false",
            "2:32 reg/base:2 linux/amd64 [one] false false true",
            "3:13 reg/tool:1 linux/arm64 [one] false false false",
        ]
    );
}

#[test]
fn flags_of_copies_are_judged_where_their_values_are_known() {
    let text = "FROM a\nARG MODE=10000\nCOPY --chmod=$MODE a /\nCOPY --chmod=0$UNKNOWN a /\nADD --checksum=x $UNKNOWN /\n\
                FROM scratch AS other\nADD --checksum=x --chmod=u+q b /\nFROM a\nCOPY --from=0 / /\nCOPY --from=other / /\n";
    let made = plan(&parse(text.as_bytes()).unwrap(), &input("linux/amd64 linux/arm64", &[laptop()]));
    let shown: Vec<String> =
        made.problems.iter().map(|p| format!("{}:{} {p}", p.span.unwrap().line, p.span.unwrap().column)).collect();
    assert_eq!(
        shown,
        [
            "3:6 COPY --chmod cannot be \"10000\": it is no octal number from 0 to 07777",
            "7:5 ADD --checksum cannot be \"x\": only what ADD downloads has one",
            "7:18 ADD --chmod cannot be \"u+q\": it is neither an octal number nor a list like u=rwX,go=rX",
        ]
    );
}
