//! Recorded runs, replayed into every display; results, rendered.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use polyarch_builder::event::{Direction, Event, EventKind};
use polyarch_registry::oci::{Descriptor, Digest, media_type};

use super::display::Reader;
use super::model::Model;
use super::plain::Plain;
use super::result::*;
use super::tty::{Size, Tty, frame};
use super::*;
use crate::exit_code::ExitCode;
use crate::style::Style;

const LOOK: Look = Look { style: Style::plain(), reader: Reader::Github };
const SIZE: Size = Size { width: 79, height: 24 };

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn recorded(name: &str) -> Vec<Event> {
    let path = format!("{}/../testdata/events/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn replay(name: &str, mode: Mode) -> String {
    let screen = Screen::default();
    let mut shown = display(mode, Box::new(screen.clone()), LOOK);
    for event in recorded(name) {
        shown.event(&event).unwrap();
    }
    shown.finish().unwrap();
    screen.text()
}

/// The frame after each second of a run, and the last one.
fn frames(name: &str) -> String {
    let mut model = Model::default();
    let mut out = String::new();
    let mut next = Duration::from_millis(500);
    for event in recorded(name) {
        while event.at >= next {
            model.now = next;
            out.push_str(&format!("--- {next:?}\n{}\n", frame(&model, LOOK, SIZE).join("\n")));
            next += Duration::from_millis(500);
        }
        model.apply(&event);
    }
    out + "--- end\n" + &frame(&model, LOOK, SIZE).join("\n")
}

#[test]
fn plain_prints_whole_prefixed_lines() {
    insta::assert_snapshot!("plain_two_platforms", replay("two-platforms", Mode::Plain));
    insta::assert_snapshot!("plain_one_fails", replay("one-fails", Mode::Plain));
}

#[test]
fn tty_shows_a_row_per_platform() {
    insta::assert_snapshot!("tty_two_platforms", frames("two-platforms"));
    insta::assert_snapshot!("tty_one_fails", frames("one-fails"));
}

#[test]
fn json_repeats_the_recording() {
    for name in ["two-platforms", "one-fails"] {
        let again: Vec<Event> =
            replay(name, Mode::Json).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(again, recorded(name));
    }
    assert!(replay("one-fails", Mode::Json).lines().all(|line| line.starts_with("{\"version\":1,\"at\":")));
}

#[test]
fn quiet_is_quiet() {
    assert_eq!(replay("two-platforms", Mode::Quiet), "");
}

#[test]
fn nothing_shown_can_control_a_terminal_or_a_runner() {
    for mode in [Mode::Plain, Mode::Json] {
        let text = replay("two-platforms", mode);
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("::")));
    }
}

#[test]
fn frames_fit_any_terminal() {
    let mut model = Model::default();
    for event in recorded("one-fails") {
        model.apply(&event);
        for (width, height) in [(20, 3), (40, 5), (79, 24), (200, 2)] {
            let lines = frame(&model, LOOK, Size { width, height });
            assert!(lines.len() <= height.saturating_sub(1).max(1), "{lines:?}");
            assert!(lines.iter().all(|line| console::measure_text_width(line) <= width), "{lines:?}");
        }
    }
}

#[test]
fn a_narrower_window_is_redrawn_from_where_its_text_went() {
    let screen = Screen::default();
    let width = Arc::new(Mutex::new(80));
    let asked = Arc::clone(&width);
    let size = move || Size { width: *asked.lock().unwrap(), height: 24 };
    let mut tty = Tty::sized(Box::new(screen.clone()), LOOK, Box::new(size));
    let events = recorded("two-platforms");
    for event in &events[..4] {
        tty.event(event).unwrap();
    }
    tty.tick(Duration::from_millis(100)).unwrap();
    // A header and two full rows of 79 columns.
    *width.lock().unwrap() = 40;
    screen.0.lock().unwrap().clear();
    tty.tick(Duration::from_millis(200)).unwrap();
    // The rows now take two lines each.
    assert!(screen.text().starts_with("\u{1b}[5A\r"), "{:?}", screen.text());
}

fn digest(letter: char) -> Digest {
    format!("sha256:{}", letter.to_string().repeat(64)).parse().unwrap()
}

fn built(platform: &str, letter: char) -> PlatformRow {
    PlatformRow {
        platform: platform.parse().unwrap(),
        result: RowResult::Built(BuiltImage {
            manifest: Descriptor::new(media_type::OCI_MANIFEST, digest(letter), 1024),
            config: digest('0'),
            size: 3_104_123,
            layers: 4,
            verified: Verified::Everything,
        }),
        elapsed: Duration::from_millis(12_340),
        cached: 3,
        executed: 4,
        node: Some("docker".into()),
        builder: Some("docker".into()),
    }
}

fn failed(platform: &str) -> PlatformRow {
    let failure = Failure {
        message: "process \"/bin/sh -c make test\" did not complete successfully: exit code: 137".into(),
        vertex: Some("[test 3/3] RUN make test".into()),
        exit_code: Some(137),
        source: Some(SourceSnippet {
            file: "Dockerfile".into(),
            text: "FROM scratch AS base\n\nFROM base AS test\nCOPY . .\nRUN make test\nCMD [\"x\"]\n".into(),
            ranges: vec![(5, 5)],
        }),
        log_tail: vec!["test a ... ok".into(), "::error::\u{1b}[31mKilled".into()],
        hint: None,
        code: None,
    };
    PlatformRow { result: RowResult::Failed(Box::new(failure)), ..built(platform, 'a') }
}

fn report(platforms: Vec<PlatformRow>) -> BuildReport {
    BuildReport {
        root: Some(Descriptor::new(media_type::OCI_INDEX, digest('f'), 688)),
        platforms,
        elapsed: Duration::from_secs(13),
        ..BuildReport::default()
    }
}

#[test]
fn summaries_fit_and_say_what_is_next() {
    let in_store = report(vec![built("linux/amd64", 'a'), built("linux/arm64", 'b')]);
    let mut pushed = in_store.clone();
    let moved = TagOutcome { reference: "localhost:5000/hello:1".into(), result: Ok(digest('f')) };
    let stuck = TagOutcome { reference: "r.example/hello:1".into(), result: Err("403 Forbidden".into()) };
    pushed.tags = vec![moved, stuck];
    pushed.outputs = vec![OutputOutcome {
        what: "loaded into docker".into(),
        notes: vec!["linux/arm64: the classic image store holds one platform per name".into()],
        failure: None,
    }];
    let mut partial = report(vec![built("windows(10.0.17763)/amd64", 'a'), failed("linux/arm64"), failed("linux/386")]);
    partial.platforms.push(PlatformRow { result: RowResult::Cancelled, ..built("linux/s390x", 'c') });
    partial.root = None;
    for (name, report, code) in [
        ("store", &in_store, ExitCode::Done),
        ("pushed", &pushed, ExitCode::Publish),
        ("partial", &partial, ExitCode::Build),
    ] {
        let text = summary::render(report, Style::plain());
        assert!(text.lines().all(|line| console::measure_text_width(line) <= 80), "{text}");
        assert_eq!(report.exit_code(), code);
        insta::assert_snapshot!(format!("summary_{name}"), text);
    }
}

#[test]
fn a_warning_names_its_line_once() {
    for (message, line, want) in [
        ("'as' and 'FROM' keywords' casing do not match (line 1)", Some(1), ""),
        ("'as' and 'FROM' keywords' casing do not match (line 1)", Some(11), " (line 11)"),
        ("casing", Some(1), " (line 1)"),
        ("casing", None, ""),
    ] {
        assert_eq!(super::model::warning(message, line), format!("{message}{want}"));
    }
}

#[test]
fn equal_failures_are_told_once() {
    let report = report(vec![failed("linux/amd64"), failed("linux/arm64")]);
    insta::assert_snapshot!("failure", failure::render(&report, LOOK));
}

#[test]
fn ranges_outside_the_file_show_nothing() {
    let mut row = failed("linux/amd64");
    let RowResult::Failed(failure) = &mut row.result else { panic!("built") };
    failure.source.as_mut().unwrap().ranges = vec![(0, 1), (99, 120), (4, 2), (u32::MAX, u32::MAX)];
    assert!(!failure::render(&report(vec![row]), LOOK).contains("Dockerfile:"));
}

#[test]
fn metadata_has_both_sets_of_keys() {
    let mut result = report(vec![built("linux/amd64", 'a'), failed("linux/arm64")]);
    result.tags = vec![TagOutcome { reference: "localhost:5000/hello:1".into(), result: Ok(digest('f')) }];
    insta::assert_snapshot!("metadata", serde_json::to_string_pretty(&metadata::document(&result)).unwrap());
}

#[test]
fn an_image_is_named_by_what_was_asked_and_done() {
    let name = |report: &BuildReport| metadata::document(report).get("image.name").cloned();
    let stored = BuildReport { stored_as: Some("localhost:5000/hello:1".into()), ..report(Vec::new()) };
    assert_eq!(name(&stored).unwrap(), "localhost:5000/hello:1");
    let tag = |result| TagOutcome { reference: "localhost:5000/hello:1".into(), result };
    let pushed = BuildReport { tags: vec![tag(Ok(digest('f')))], ..stored.clone() };
    assert_eq!(name(&pushed).unwrap(), "localhost:5000/hello:1");
    let failed = BuildReport { tags: vec![tag(Err("403".into()))], ..stored };
    assert_eq!(name(&failed), None, "the tag did not move");
}

#[test]
fn a_single_manifest_is_not_called_an_index() {
    let mut single = report(vec![built("linux/amd64", 'a')]);
    assert!(summary::render(&single, Style::plain()).starts_with("index sha256:fff"));
    single.root = Some(Descriptor::new(media_type::OCI_MANIFEST, digest('f'), 688));
    assert!(summary::render(&single, Style::plain()).starts_with("image sha256:fff"));
}

#[tokio::test]
async fn a_display_that_fails_does_not_stop_the_run() {
    struct Broken;
    impl Display for Broken {
        fn event(&mut self, _event: &Event) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn finish(&mut self) -> io::Result<()> {
            panic!("was dropped")
        }
    }
    let (sink, receiver) = polyarch_builder::event_sink::EventSink::channel();
    for event in recorded("one-fails") {
        sink.send(event.kind);
    }
    drop(sink);
    show(receiver, Box::new(Broken)).await;
}

#[test]
fn a_copy_shows_bytes_and_rate() {
    let fetched = |at: u64, current: u64| Event {
        at: Duration::from_secs(at),
        platform: None,
        kind: EventKind::Transfer { digest: digest('a'), direction: Direction::IntoStore, current, total: 50_000_000 },
    };
    let (screen, mut model) = (Screen::default(), Model::default());
    let mut plain = Plain::new(Box::new(screen.clone()), LOOK);
    for event in [fetched(0, 0), fetched(4, 20_000_000)] {
        model.apply(&event);
        plain.event(&event).unwrap();
        plain.tick(event.at).unwrap();
    }
    assert_eq!(frame(&model, LOOK, SIZE), ["4.0s", "fetch  20.0 MB of 50.0 MB, 5.0 MB/s"]);
    assert_eq!(screen.text(), "", "not every moment");
    plain.tick(Duration::from_secs(5)).unwrap();
    plain.tick(Duration::from_secs(6)).unwrap();
    assert_eq!(screen.text(), "fetch 20.0 MB of 50.0 MB, 4.0 MB/s\n");
}
