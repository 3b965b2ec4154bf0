//! Each rule on a file that has the mistake, and on one that has not.

use std::fmt::Write as _;

use polyarch_registry::oci::Platform;

use super::*;
use crate::dockerfile::parse;
use crate::plan::{ImageFacts, NodeFacts, PlatformImage, Problem, plan};

fn platforms(list: &str) -> Vec<Platform> {
    list.split_whitespace().map(|text| text.parse().unwrap()).collect()
}

fn laptop(list: &str) -> PlanInput {
    let native = platforms("linux/amd64 linux/386");
    let node = NodeFacts {
        name: "laptop".into(),
        build_platform: native[0].clone(),
        native,
        emulated: platforms("linux/arm64 linux/arm/v7 linux/arm/v6"),
        tried: Vec::new(),
    };
    PlanInput { platforms: platforms(list), nodes: vec![node], ..PlanInput::default() }
}

fn found(text: &str, input: &PlanInput, skip: &[String]) -> String {
    let file = parse(text.as_bytes()).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    let plan = plan(&file, input);
    assert!(plan.problems.iter().all(Problem::is_about_images), "{text}: {:?}", plan.problems);
    let mut out = String::new();
    for finding in check(&file, input, &plan, skip) {
        let on: Vec<String> = finding.platforms.iter().map(ToString::to_string).collect();
        writeln!(out, "{}:{} {} [{}]", finding.span.line, finding.span.column, finding.rule, on.join(" ")).unwrap();
    }
    out
}

fn both(text: &str) -> String {
    found(text, &laptop("linux/amd64 linux/arm64"), &[])
}

#[test]
fn the_result_on_the_builders_platform() {
    assert_eq!(
        both("FROM --platform=$BUILDPLATFORM alpine\nCOPY a b\n"),
        "1:6 FinalStageBuildPlatform [linux/arm64]\n"
    );
    assert_eq!(
        both("FROM --platform=linux/amd64 alpine AS base\nFROM base\nCOPY a b\n"),
        "1:6 FinalStageBuildPlatform [linux/arm64]\n"
    );
    assert_eq!(both("FROM --platform=$TARGETPLATFORM alpine\nCOPY a b\n"), "");
    let alone = found("FROM --platform=$BUILDPLATFORM alpine\n", &laptop("linux/amd64"), &[]);
    assert_eq!(alone, "1:6 FinalStageBuildPlatform []\n", "the next builder may be another machine");
}

#[test]
fn defaults_of_automatic_arguments() {
    let text = "ARG TARGETOS=linux\nARG BASE=a\nFROM $BASE\nARG X TARGETARCH=amd64\nARG TARGETVARIANT\nONBUILD ARG BUILDARCH=x\n";
    assert_eq!(both(text), "1:1 TargetArgDefault []\n4:7 TargetArgDefault []\n6:13 TargetArgDefault []\n");
}

#[test]
fn automatic_arguments_that_are_not_declared() {
    let text = "FROM a AS base\nRUN echo $TARGETARCH\nARG TARGETARCH\nRUN echo $TARGETARCH\nFROM base\n\
                COPY x-${TARGETARCH}${TARGETVARIANT:-} /\nCMD echo $TARGETOS\nRUN TARGETOS=x; echo $TARGETOS\n\
                RUN <<E\necho $BUILDARCH\nE\nCOPY <<\"F\" /f\n$BUILDOS\nF\n";
    assert_eq!(both(text), "2:11 TargetArgUndeclared []\n6:23 TargetArgUndeclared []\n9:1 TargetArgUndeclared []\n");
}

#[test]
fn architectures_in_downloads() {
    let text = "FROM a\nRUN curl -O https://x/tool-linux-amd64.tgz\nRUN curl x86_64 && uname -m\nADD https://x/aarch64 /\n\
                COPY amd64 /\n";
    assert_eq!(both(text), "2:34 HardCodedArchitecture [linux/arm64]\n4:15 HardCodedArchitecture [linux/amd64]\n");
    assert_eq!(both("FROM --platform=$BUILDPLATFORM a AS b\nRUN curl x86_64\nFROM c\nCOPY --from=b / /\n"), "");
}

#[test]
fn caches_of_several_platforms() {
    let text = "FROM a\nRUN --mount=type=cache,target=/var/cache/apt x\nARG TARGETARCH\n\
                RUN --mount=type=cache,id=c-$TARGETARCH,target=/c x\nRUN --mount=type=cache,target=/root/.cache/go-build x\n";
    assert_eq!(both(text), "2:5 SharedCacheMount [linux/amd64 linux/arm64]\n");
    assert_eq!(found(text, &laptop("linux/arm64"), &[]), "");
    let shared =
        "FROM --platform=$BUILDPLATFORM a AS b\nRUN --mount=type=cache,target=/c x\nFROM c\nCOPY --from=b / /\n";
    assert_eq!(both(shared), "");
}

#[test]
fn variants_that_come_out_equal() {
    let text = "FROM --platform=$BUILDPLATFORM go AS b\nARG TARGETARCH\nRUN GOARCH=$TARGETARCH build\nFROM scratch\nCOPY --from=b /a /a\n";
    let arm = found(text, &laptop("linux/amd64 linux/arm/v6 linux/arm/v7"), &[]);
    assert_eq!(arm, "4:1 IdenticalPlatforms [linux/arm/v6 linux/arm/v7]\n");
    assert_eq!(both(text), "");
    assert_eq!(both("FROM scratch\nCOPY site /\n"), "", "files alone may be the same for all");
}

#[test]
fn compilers_under_an_emulator() {
    let text = "FROM golang AS b\nRUN go build .\nRUN echo\nFROM alpine\nCOPY --from=b /a /a\nRUN make\n";
    assert_eq!(both(text), "2:5 EmulatedRun [linux/arm64]\n", "the target's own commands cannot move");
}

#[test]
fn platforms_that_do_nothing() {
    let text =
        "FROM a AS b\nFROM --platform=linux/amd64 b AS c\nFROM --platform=$BUILDPLATFORM scratch\nCOPY --from=c / /\n";
    assert_eq!(both(text), "2:6 IgnoredPlatform []\n3:6 IgnoredPlatform []\n");
}

#[test]
fn tools_of_the_wrong_platform() {
    let text =
        "FROM --platform=$BUILDPLATFORM a AS b\nCOPY --from=tools:1 /bin/t /bin/t\nRUN t\nFROM c\nCOPY --from=b / /\n";
    assert_eq!(both(text), "2:13 ForeignToolImage [linux/arm64]\n");
}

#[test]
fn what_a_registry_told() {
    let image =
        |platform: &str| PlatformImage { platform: platform.parse().unwrap(), digest: "sha256:1".into(), config: None };
    let mut input = laptop("linux/amd64 linux/arm64");
    let facts = |is_manifest, index: Option<&str>| ImageFacts {
        digest: "sha256:0".into(),
        is_manifest,
        index_of_tag: index.map(str::to_owned),
        platforms: vec![image("linux/amd64")],
    };
    input.images.insert("a:1".into(), facts(false, None));
    let pinned = format!("b:1@sha256:{}", "0".repeat(64));
    input.images.insert(pinned.clone(), facts(true, Some("sha256:9")));
    let text = &format!("FROM a:1 AS x\nFROM {pinned}\nCOPY --from=x / /\n");
    assert_eq!(
        found(text, &input, &[]),
        "1:6 MissingBasePlatform [linux/arm64]\n2:6 MissingBasePlatform [linux/arm64]\n2:6 PlatformDigestPin [linux/arm64]\n"
    );
}

#[test]
fn rules_can_be_skipped() {
    let text = "# check=skip=finalstagebuildplatform;error=true\nFROM --platform=$BUILDPLATFORM a\nARG TARGETARCH=x\n";
    assert_eq!(both(text), "3:5 TargetArgDefault []\n");
    assert_eq!(found(text, &laptop("linux/arm64"), &["TargetArgDefault".into()]), "");
    assert_eq!(both(&text.replace("finalstagebuildplatform", "all")), "");
}

#[test]
fn every_rule_has_its_page() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/lints");
    for rule in rules() {
        let page = std::fs::read_to_string(docs.join(format!("{}.md", rule.id))).unwrap_or_default();
        assert!(page.starts_with(&format!("# {}\n", rule.id)), "docs/lints/{}.md is missing", rule.id);
    }
    let mut ids: Vec<&str> = rules().iter().map(|rule| rule.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, rules().iter().map(|rule| rule.id).collect::<Vec<_>>());
}
