//! Whole command lines, resolved as a user would type them.

use clap::Parser;

use super::export::Dest;
use super::output::Output;
use super::*;
use crate::args::{Cli, Command};
use crate::diagnostics::Diagnostic;
use crate::report::Mode;
use polyarch_builder::request::{ContextSource, DockerfileSource, Format, Network, NoCache};

/// A directory with a context in it, and what surrounds a command line.
struct Bench {
    dir: tempfile::TempDir,
    env: Env,
    stdin: Vec<u8>,
    terminals: Terminals,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for sub in ["app", "empty", "lower"] {
            std::fs::create_dir(dir.path().join(sub)).unwrap();
        }
        for file in ["app/Dockerfile", "app/Dockerfile.prod", "lower/dockerfile"] {
            std::fs::write(dir.path().join(file), "FROM scratch\n").unwrap();
        }
        Self { dir, env: Env::default(), stdin: Vec::new(), terminals: Terminals::default() }
    }

    fn build(&self, line: &str) -> Result<BuildSettings, SettingsError> {
        let words = std::iter::once("polyarch").chain(std::iter::once("build")).chain(line.split_whitespace());
        let Command::Build(args) = Cli::try_parse_from(words).unwrap().command else { panic!("not a build") };
        let mut around = Surroundings {
            env: self.env.clone(),
            cwd: self.dir.path().to_owned(),
            stdin: Box::new(std::io::Cursor::new(self.stdin.clone())),
            terminals: self.terminals,
            spool: Spool::default(),
        };
        build::resolve(&args, &mut around)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// What the user sees, with the temporary directory replaced.
    fn error(&self, line: &str) -> String {
        let text = Diagnostic::from(self.build(line).unwrap_err()).render(crate::style::Style::plain());
        text.replace(&self.dir.path().display().to_string(), "/work")
    }
}

#[test]
fn the_everyday_build() {
    let bench = Bench::new();
    let got = bench
        .build("app --platform linux/amd64,linux/arm64 -t localhost:5000/hello:1 -t r.example/hello --push=true --pull")
        .unwrap();
    assert_eq!(got.request.context, ContextSource::Dir(bench.path("app")));
    assert_eq!(got.request.dockerfile, DockerfileSource::File(bench.path("app/Dockerfile")));
    assert_eq!(got.request.platforms.len(), 2);
    assert!(got.request.pull);
    assert_eq!(got.outputs, [Output::Registry { by_digest: false }]);
    let tags: Vec<String> = got.tags.iter().map(ToString::to_string).collect();
    assert_eq!(tags, ["localhost:5000/hello:1", "r.example/hello:latest"]);
    assert_eq!(got.builders, ["docker"]);
    assert_eq!(got.progress, Mode::Plain);
    assert_eq!(got.request.format, Format::Oci);
}

#[test]
fn nothing_named_means_nothing_assumed() {
    let bench = Bench::new();
    let got = bench.build("lower").unwrap();
    assert!(got.request.platforms.is_empty() && got.outputs.is_empty() && got.tags.is_empty());
    assert_eq!(got.request.dockerfile, DockerfileSource::File(bench.path("lower/dockerfile")));
    assert_eq!(got.request.no_cache, NoCache::Allow);
    assert!(got.request.attestations.is_empty());
}

#[test]
fn the_environment_fills_in() {
    let mut bench = Bench::new();
    bench.env = Env::of([
        ("DOCKER_DEFAULT_PLATFORM", "linux/arm64"),
        ("POLYARCH_BUILDER", "unix:///a, dind"),
        ("SOURCE_DATE_EPOCH", "1700000000"),
        ("BUILDKIT_PROGRESS", "rawjson"),
    ]);
    let got = bench.build("app").unwrap();
    assert_eq!(got.request.platforms[0].to_string(), "linux/arm64");
    assert_eq!(got.builders, ["unix:///a", "dind"]);
    assert_eq!(got.request.build_args["SOURCE_DATE_EPOCH"], "1700000000");
    assert_eq!(got.progress, Mode::Json);
    let named = bench.build("app --platform linux/amd64 --build-arg SOURCE_DATE_EPOCH=1 --progress plain").unwrap();
    assert_eq!(named.request.platforms[0].to_string(), "linux/amd64");
    assert_eq!(named.request.build_args["SOURCE_DATE_EPOCH"], "1");
    assert_eq!(named.progress, Mode::Plain);
}

#[test]
fn auto_progress_redraws_on_a_terminal_outside_ci() {
    let mut bench = Bench::new();
    bench.terminals.stderr = true;
    assert_eq!(bench.build("app").unwrap().progress, Mode::Tty);
    bench.env = Env::of([("CI", "true")]);
    assert_eq!(bench.build("app").unwrap().progress, Mode::Plain);
    assert_eq!(bench.build("app -q").unwrap().progress, Mode::Quiet);
}

#[test]
fn a_terminal_gets_no_tar() {
    let mut bench = Bench::new();
    let lines = ["app -o -", "app -o type=oci,dest=-", "app -o type=docker,dest=-", "app -o type=tar,dest=-"];
    for line in lines {
        assert!(bench.build(line).is_ok(), "{line}");
    }
    bench.terminals.stdout = true;
    for line in lines {
        let shown = bench.error(line);
        assert!(shown.starts_with("error: a tar would go to standard output, which is a terminal\nhint: "), "{shown}");
    }
    assert!(bench.build("app -o out").is_ok());
}

#[test]
fn a_file_that_cannot_be_written_is_found_before_the_build() {
    let bench = Bench::new();
    for option in ["--metadata-file", "--iidfile"] {
        let want = format!("error: `{option} no/x` cannot be used\n  caused by: there is no directory /work/no\n");
        assert_eq!(bench.error(&format!("app {option} no/x")), want);
    }
}

#[test]
fn a_variable_is_shown_as_one_writes_it() {
    let mut bench = Bench::new();
    bench.env = Env::of([("POLYARCH_PROGRESS", "bogus")]);
    assert!(bench.error("app").starts_with("error: `POLYARCH_PROGRESS=bogus` cannot be used\n"));
}

#[test]
fn standard_input_is_a_dockerfile_or_a_tar() {
    let mut bench = Bench::new();
    bench.stdin = b"FROM scratch\n".to_vec();
    let text = bench.build("-").unwrap();
    assert_eq!(text.request.dockerfile, DockerfileSource::Text(b"FROM scratch\n".to_vec()));
    assert!(matches!(&text.request.context, ContextSource::Dir(dir) if dir.read_dir().unwrap().next().is_none()));
    let piped = bench.build("app -f -").unwrap();
    assert_eq!(piped.request.dockerfile, DockerfileSource::Text(b"FROM scratch\n".to_vec()));
    bench.stdin = vec![0x1f, 0x8b, 0x08, 0, 1, 2, 3];
    let tar = bench.build("- -f sub/Dockerfile").unwrap();
    assert_eq!(tar.request.dockerfile, DockerfileSource::InContext("sub/Dockerfile".into()));
    let ContextSource::Tar(path) = &tar.request.context else { panic!("not a tar") };
    assert_eq!(std::fs::read(path).unwrap(), bench.stdin);
    let spooled = path.clone();
    drop(tar);
    assert!(!spooled.exists());
}

#[test]
fn remote_contexts_are_fetched_by_the_daemon() {
    let bench = Bench::new();
    let git = bench.build("https://example.org/a.git#main:sub -f deploy/Dockerfile").unwrap();
    assert_eq!(git.request.context, ContextSource::Git("https://example.org/a.git#main:sub".into()));
    assert_eq!(git.request.dockerfile, DockerfileSource::InContext("deploy/Dockerfile".into()));
    let http = bench.build("https://example.org/ctx.tar.gz").unwrap();
    assert_eq!(http.request.context, ContextSource::Http("https://example.org/ctx.tar.gz".into()));
}

#[test]
fn named_contexts_have_their_kinds() {
    let bench = Bench::new();
    std::fs::write(bench.path("empty/oci-layout"), "{}").unwrap();
    let got = bench
        .build("app --build-context a=empty --build-context docker.io/library/alpine:latest=docker-image://alpine:3 --build-context o=oci-layout://empty:1.0 --build-context t=target:base")
        .unwrap();
    let contexts = got.request.build_contexts;
    assert_eq!(contexts["a"], ContextSource::Dir(bench.path("empty")));
    assert_eq!(contexts["alpine"], ContextSource::Image("alpine:3".into()));
    let layout = ContextSource::OciLayout { path: bench.path("empty"), reference: Some("1.0".into()) };
    assert_eq!(contexts["o"], layout);
    assert_eq!(contexts["t"], ContextSource::Verbatim("target:base".into()));
}

#[test]
fn outputs_find_their_place() {
    let bench = Bench::new();
    let outputs = |line: &str| bench.build(&format!("app {line}")).unwrap().outputs;
    assert_eq!(outputs("-o oci:out"), [Output::OciDir(bench.path("out"))]);
    assert_eq!(outputs("-o type=oci,dest=out.tar"), [Output::OciTar(Dest::File(bench.path("out.tar")))]);
    assert_eq!(outputs("-o type=oci,dest=empty"), [Output::OciDir(bench.path("empty"))]);
    assert_eq!(outputs("-o type=oci,dest=new/"), [Output::OciDir(bench.path("new/"))]);
    assert_eq!(outputs("-o -"), [Output::Tar(Dest::Stdout)]);
    assert_eq!(outputs("-t a/b --push -o type=registry --load"), [Output::Registry { by_digest: false }, Output::Load]);
    assert_eq!(outputs("-o out"), [Output::Local { dest: bench.path("out"), split: None }]);
}

#[test]
fn the_host_network_brings_its_entitlement() {
    let got = Bench::new().build("app --network host --allow security.insecure").unwrap();
    assert_eq!(got.request.network, Network::Host);
    assert_eq!(got.request.allow, ["security.insecure", "network.host"]);
}

#[test]
fn errors_as_the_user_sees_them() {
    let bench = Bench::new();
    let lines = [
        "nowhere",
        "ap",
        "app/Dockerfile",
        "empty",
        "app -f Dockerfile.prod",
        "app -f app/Dockerfile.pord",
        "app --platform linux/amd64,linux/amr64",
        "app --platform arm64",
        "app -t localhost:5000/Hello:1",
        "app -t a/b@sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "app --push",
        "app -o type=regsitry",
        "app -o type=oci,dest=x,tra=false",
        "app --secret id=a,env=NOT_SET",
        "app --secret src=x",
        "app --ssh default",
        "app --cache-to type=local,src=x",
        "app --annotation manfest:a=b",
        "app --build-context x=nowhere",
        "app --add-host a:1.2.3",
        "app --shm-size 64q",
        "app --ulimit nofile=2:1",
        "app --provenance max",
        "app --network hots",
        "app --no-cache --no-cache-filter a",
        "app --compression zstd --compression-level 23",
        "- -f -",
        "-",
        "app -f https://example.org/Dockerfile",
    ];
    let shown: Vec<String> =
        lines.iter().map(|line| format!("$ polyarch build {line}\n{}", bench.error(line))).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn what_the_docker_format_cannot_hold_is_said_at_once() {
    let bench = Bench::new();
    for (option, want) in [
        ("--annotation index:a=1 --annotation b=2", "--annotation index:a, --annotation manifest:b"),
        ("--annotation manifest-descriptor[linux/amd64]:a=1", "--annotation manifest-descriptor:a"),
        ("--provenance=true --sbom=true", "--provenance, --sbom"),
        ("--compression zstd", "--compression zstd"),
    ] {
        let text = bench.error(&format!("app --format docker {option}"));
        assert!(text.contains(&format!("the docker format cannot hold {want}\n")), "{text}");
        assert!(bench.build(&format!("app {option}")).is_ok());
    }
    for held in ["--annotation index-descriptor:a=1", "--compression gzip", "--label a=1"] {
        assert!(bench.build(&format!("app --format docker {held}")).is_ok(), "{held}");
    }
}
