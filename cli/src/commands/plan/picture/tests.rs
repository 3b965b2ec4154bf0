use polyarch_builder::dockerfile::parse;
use polyarch_builder::plan::{ImageFacts, NodeFacts, PlanInput, PlatformImage, plan};
use polyarch_registry::oci::Platform;

use super::*;

const FILE: &str = "\
FROM --platform=$BUILDPLATFORM golang:1 AS tools
RUN go install x
FROM --platform=$BUILDPLATFORM golang:1 AS build
ARG TARGETARCH
COPY --from=tools /go /go
RUN GOARCH=$TARGETARCH go build
FROM scratch AS data
COPY . /data
FROM alpine:3
COPY --from=build /app /app
COPY --from=data /data /data
RUN adduser app
";

fn picture(text: &str, change: impl FnOnce(&mut PlanInput)) -> Picture {
    let list = |text: &str| text.split_whitespace().map(|one| one.parse().unwrap()).collect::<Vec<Platform>>();
    let node = NodeFacts {
        name: "laptop".into(),
        native: list("linux/amd64"),
        emulated: list("linux/arm64"),
        build_platform: "linux/amd64".parse().unwrap(),
        tried: Vec::new(),
    };
    let mut input =
        PlanInput { platforms: list("linux/amd64 linux/arm64 linux/s390x"), nodes: vec![node], ..PlanInput::default() };
    change(&mut input);
    Picture::of(&plan(&parse(text.as_bytes()).unwrap(), &input), "Dockerfile")
}

type Render = fn(&Picture) -> String;

fn formats() -> [(&'static str, Render); 4] {
    [("dot", dot), ("mermaid", mermaid), ("svg", svg), ("html", html)]
}

#[test]
fn all_modes_in_every_format() {
    let picture = picture(FILE, |input| {
        let image = PlatformImage {
            platform: "linux/amd64".parse().unwrap(),
            digest: format!("sha256:{}", "ab".repeat(32)),
            config: None,
        };
        let facts = ImageFacts { digest: "sha256:i".into(), platforms: vec![image], ..ImageFacts::default() };
        input.images.insert("golang:1".into(), facts);
    });
    for (name, render) in formats() {
        insta::assert_snapshot!(name, render(&picture));
    }
}

#[test]
fn a_shared_stage_is_one_box_and_every_arrow_goes_right() {
    let picture = picture(FILE, |_| {});
    let of = |name: &str| picture.boxes.iter().filter(|stage| stage.name == name).count();
    // What serves all is there once; what differs is there for each of the three platforms.
    assert_eq!((of("tools"), of("build"), of("stage 3")), (1, 3, 3));
    assert_eq!(picture.lanes.len(), 4);
    assert!(picture.boxes.iter().all(|stage| (stage.lane == 0) == (stage.hover.iter().any(|l| l.starts_with("once")))));
    assert!(picture.arrows.iter().all(|(from, to)| picture.boxes[*from].rank < picture.boxes[*to].rank));
}

#[test]
fn text_from_a_dockerfile_is_escaped() {
    let mut picture =
        picture("FROM a AS app\nRUN x\n", |input| input.nodes[0].name = "a\u{202e}\u{7}<script>b".to_owned());
    // No reference can be this, but a name from elsewhere may come here one day.
    picture.boxes[0].base = "<script>alert('1')</script>\\\"&\\ #quot; ]]> %%{init}".to_owned();
    for (name, render) in formats() {
        let shown = render(&picture);
        assert!(!shown.contains(['\u{202e}', '\u{7}']), "{name}: {shown}");
        assert!(name == "dot" || !shown.contains("<script"), "{name}: {shown}");
    }
    let shown = dot(&picture);
    // Each quote inside a string has a backslash of its own before it.
    let line = shown.lines().find(|line| line.contains("<script>")).unwrap();
    let plain = line.replace("\\\\", "").replace("\\\"", "");
    assert_eq!(plain.matches('"').count() % 2, 0, "{line}");
    assert!(!mermaid(&picture).contains("%%{"), "{}", mermaid(&picture));
}

#[test]
fn nothing_is_nothing() {
    let empty = picture("FROM scratch\n", |input| input.platforms.clear());
    for (name, render) in formats() {
        assert!(render(&empty).ends_with('\n'), "{name}");
    }
}
