//! The lock file.

use super::*;
use crate::dockerfile::parse;
use crate::plan::NodeFacts;

fn input(platforms: &str) -> PlanInput {
    let list = |text: &str| text.split_whitespace().map(|one| one.parse().unwrap()).collect::<Vec<Platform>>();
    let native = list("linux/amd64 linux/arm64 linux/s390x");
    let build_platform = native[0].clone();
    let node = NodeFacts { name: "n".into(), native, emulated: Vec::new(), build_platform, tried: Vec::new() };
    PlanInput { platforms: list(platforms), nodes: vec![node], ..PlanInput::default() }
}

fn facts(text: &str) -> ImageFacts {
    let image = |platform: &str| PlatformImage {
        platform: platform.parse().unwrap(),
        digest: Digest::sha256(format!("{text} {platform}")).to_string(),
        config: Some(ImageConfig::default()),
    };
    ImageFacts {
        digest: Digest::sha256(text).to_string(),
        platforms: vec![image("linux/arm64"), image("linux/amd64")],
        ..ImageFacts::default()
    }
}

/// The lock of `FROM alpine` and `COPY --from=reg.lan/tool:1`.
fn locked() -> Lock {
    let mut input = input("linux/amd64");
    for name in ["alpine", "reg.lan/tool:1"] {
        input.images.insert(name.to_owned(), facts(name));
    }
    let file = parse(b"FROM alpine\nCOPY --from=reg.lan/tool:1 /t /t\n").unwrap();
    Lock::of(&plan(&file, &input), &input).unwrap()
}

fn check(text: &str, platforms: &str) -> Vec<String> {
    let file = parse(text.as_bytes()).unwrap();
    let found = locked().check(&plan(&file, &input(platforms)), &file);
    found.iter().map(|one| format!("{}:{} {one}", one.span.line, one.span.column)).collect()
}

#[test]
fn it_is_read_as_it_was_written() {
    let text = locked().render();
    assert_eq!(Lock::parse(text.as_bytes()).unwrap(), locked());
    insta::assert_snapshot!(text);
}

#[test]
fn what_is_not_covered_is_told_with_its_place() {
    let nobody = Digest::sha256("nobody");
    let alpine = Digest::sha256("alpine");
    assert_eq!(check("FROM docker.io/library/alpine:latest\n", "linux/amd64 linux/arm64"), Vec::<String>::new());
    assert_eq!(check("FROM alpine\nFROM alpine:3\n", "linux/amd64"), ["2:6 image alpine:3 is not in the lock file"]);
    let pinned = check(&format!("FROM alpine:latest@{nobody}\n"), "linux/amd64");
    assert_eq!(pinned, [format!("1:6 image alpine:latest@{nobody} is locked with {alpine}")]);
    assert_eq!(check("FROM alpine\n", "linux/s390x"), ["1:6 image alpine is not locked for linux/s390x"]);
    let same = check("FROM alpine AS alpine\n", "linux/amd64");
    assert_eq!(same, ["1:6 image alpine cannot be locked beside a stage of the same name"]);
}

fn images(plan: &Plan) -> Vec<&str> {
    plan.images.iter().map(|image| image.name.as_str()).collect()
}

#[test]
fn what_triggers_name_is_locked_and_found_again_without_a_registry() {
    let file = parse(b"FROM alpine\n").unwrap();
    let mut known = input("linux/amd64");
    let mut base = facts("alpine");
    base.platforms[1].config = Some(ImageConfig { env: None, on_build: vec!["COPY --from=tool:1 / /".into()] });
    known.images.insert("alpine".to_owned(), base);
    known.images.insert("tool:1".to_owned(), facts("tool"));
    let lock = Lock::of(&plan(&file, &known), &known).unwrap();
    let lock = Lock::parse(lock.render().as_bytes()).unwrap();
    let filled = lock.fill(&file, &input("linux/amd64"));
    let made = plan(&file, &filled);
    assert_eq!(images(&made), ["alpine", "tool:1"]);
    assert_eq!((made.problems.len(), lock.check(&made, &file)), (0, vec![]));
    assert!(lock.contexts(&made).contains_key("tool:1"));
    // Another platform of the image has no triggers.
    assert_eq!(images(&plan(&file, &lock.fill(&file, &input("linux/arm64")))), ["alpine"]);

    let without = lock.render().replace("tool:1", "other:1").replace("COPY --from=other:1", "COPY --from=tool:1");
    let lock = Lock::parse(without.as_bytes()).unwrap();
    let made = plan(&file, &lock.fill(&file, &input("linux/amd64")));
    let found: Vec<String> = lock.check(&made, &file).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["image tool:1 is not in the lock file"]);
}

#[test]
fn a_base_locked_without_its_triggers_is_refused() {
    let text = locked().render().replace(",\n      \"on_build\": {}", "");
    let lock = Lock::parse(text.as_bytes()).unwrap();
    let of = |text: &str| {
        let file = parse(text.as_bytes()).unwrap();
        let made = plan(&file, &lock.fill(&file, &input("linux/amd64")));
        lock.check(&made, &file).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let want = "image alpine is locked without its ONBUILD triggers, which may name more images";
    assert_eq!(of("FROM alpine\n"), [want]);
    assert_eq!(of("FROM scratch\nCOPY --from=alpine / /\n"), Vec::<String>::new());
    let mut known = input("linux/amd64");
    let mut unread = facts("alpine");
    unread.platforms[0].config = None;
    known.images.insert("alpine".to_owned(), unread);
    let file = parse(b"FROM alpine\n").unwrap();
    assert_eq!(Lock::of(&plan(&file, &known), &known), Err(vec!["alpine".to_owned()]));
}

#[test]
fn contexts_and_the_frontend_are_locked_too() {
    let file = parse(b"# syntax=docker/dockerfile:1\nFROM base AS alpine\n").unwrap();
    let mut known = input("linux/amd64");
    known.named_contexts.insert("base".into(), Some("alpine".into()));
    let made = plan(&file, &known);
    let found: Vec<String> = locked().check(&made, &file).iter().map(ToString::to_string).collect();
    // The context is pinned by its own name, so that no stage is replaced.
    assert_eq!(found, ["image docker/dockerfile:1 is not in the lock file"]);
    assert_eq!(locked().contexts(&made), BTreeMap::new());
}

#[test]
fn contexts_are_named_as_buildkit_compares_them() {
    let file = parse(b"FROM docker.io/library/alpine\nCOPY --from=reg.lan/tool:1 /t /t\n").unwrap();
    let contexts = locked().contexts(&plan(&file, &input("linux/amd64")));
    let want = [
        ("alpine".to_owned(), format!("docker.io/library/alpine:latest@{}", Digest::sha256("alpine"))),
        ("reg.lan/tool:1".to_owned(), format!("reg.lan/tool:1@{}", Digest::sha256("reg.lan/tool:1"))),
    ];
    assert_eq!(contexts.into_iter().collect::<Vec<_>>(), want);
    assert_eq!(locked().pin(&"alpine".parse().unwrap()).unwrap().digest(), Some(&Digest::sha256("alpine")));
    assert_eq!(locked().pin(&"alpine:3".parse().unwrap()), None);
}

#[test]
fn what_was_not_looked_up_cannot_be_locked() {
    let input = input("linux/amd64");
    let file = parse(b"FROM alpine\n").unwrap();
    assert_eq!(Lock::of(&plan(&file, &input), &input), Err(vec!["alpine".to_owned()]));
}

#[test]
fn other_files_are_refused() {
    let digest = Digest::sha256("");
    for (text, want) in [
        ("", "line 1"),
        ("{\"version\":2}", "its version is 2"),
        ("{\"version\":1,\"images\":{},\"more\":1}", "line 1"),
        ("{\"version\":1,\"images\":{\"a\":{\"digest\":\"sha256:x\",\"platforms\":{}}}}", "line 1"),
        (
            &format!("{{\"version\":1,\"images\":{{\"alpine\":{{\"digest\":\"{digest}\",\"platforms\":{{}}}}}}}}"),
            "full name",
        ),
    ] {
        let error = Lock::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(want), "{text}: {error}");
    }
    assert!(matches!(Lock::parse(&vec![b' '; LIMIT + 1]), Err(LockError::TooLarge)));
}
