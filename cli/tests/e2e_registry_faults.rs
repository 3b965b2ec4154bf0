//! A registry that breaks connections, is overloaded, refuses: what the command makes of it, through a scripted proxy.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};

use polyarch_testkit::proxy::{Act, Seen};
use polyarch_testkit::{Proxy, TestRegistry};
use support::project::{Finished, finish};
use support::{Builder, Cell, Project, Published};

/// A build published through a proxy that follows a script.
struct Bench {
    builder: Builder,
    registry: TestRegistry,
    project: Project,
}

impl Bench {
    /// Two layers large enough to be cut in the middle.
    fn new() -> Option<Self> {
        let builder = Builder::of(Cell::Docker28)?;
        let project = Project::new("FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /own\n");
        let project = project.file("ctx/amd64", support::noise(200 << 10)).file("ctx/arm64", support::noise(200 << 10));
        Some(Self { builder, registry: TestRegistry::start(), project })
    }

    fn push(&self, script: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> (Finished, Vec<Seen>) {
        let proxy = Proxy::start(self.registry.addr(), script);
        let tag = proxy.reference("app:1");
        let args = ["--platform", "linux/amd64,linux/arm64", "-t", &tag, "--push", "--progress", "json"];
        let finished = finish(self.project.build(&self.builder, &args));
        (finished, proxy.seen())
    }

    /// Returns whether the tag is there; if it is, everything behind it is, too.
    fn is_published(&self) -> bool {
        let published = Published::new(self.registry.addr(), "app");
        let there = published.manifest("1").is_some();
        assert!(!there || published.images("1").len() == 2);
        there
    }

    /// Asserts that the fault left a valid store and no tag, and that another run ends well; returns that run.
    fn assert_recovers(&self) -> Finished {
        assert!(!self.is_published(), "a tag moved");
        self.project.assert_store_valid();
        let (again, _) = self.push(|_| Act::Pass);
        again.check(0);
        assert!(self.is_published());
        again
    }
}

fn is_upload(seen: &Seen) -> bool {
    seen.method != "POST" && seen.path.contains("/blobs/uploads/")
}

/// A script that acts on the first `count` requests that match.
fn first(count: usize, matches: fn(&Seen) -> bool, act: Act) -> impl Fn(&Seen) -> Act + Send + Sync {
    let met = AtomicUsize::new(0);
    move |seen| match matches(seen) && met.fetch_add(1, Ordering::SeqCst) < count {
        true => act.clone(),
        false => Act::Pass,
    }
}

fn retries(finished: &Finished) -> usize {
    finished.events().iter().filter(|event| event["event"] == "retry").count()
}

#[test]
fn a_connection_that_breaks_in_a_blob_is_made_again() {
    let Some(bench) = Bench::new() else { return };
    let (finished, _) = bench.push(first(2, is_upload, Act::CutBody(10_000)));
    finished.check(0);
    assert!(retries(&finished) >= 1, "{}", finished.err);
    assert!(bench.is_published());
}

#[test]
fn an_answer_that_breaks_off_is_asked_for_again() {
    let Some(bench) = Bench::new() else { return };
    let (finished, _) = bench.push(first(2, |seen| seen.path.contains("/manifests/"), Act::CutAnswer(20)));
    finished.check(0);
    assert!(retries(&finished) >= 1, "{}", finished.err);
    assert!(bench.is_published());
}

#[test]
fn too_many_requests_are_waited_out() {
    let Some(bench) = Bench::new() else { return };
    let (finished, _) = bench.push(first(3, |_| true, Act::Answer(429, &["Retry-After: 1"])));
    finished.check(0);
    let waits = finished.events().into_iter().filter(|event| event["event"] == "retry");
    let waits: Vec<u64> = waits.map(|event| event["wait"]["secs"].as_u64().unwrap()).collect();
    assert!(!waits.is_empty() && waits.iter().all(|secs| *secs >= 1), "{waits:?}");
    assert!(bench.is_published());
}

#[test]
fn a_wait_of_an_hour_is_not_waited() {
    let Some(bench) = Bench::new() else { return };
    let (finished, _) = bench.push(|_| Act::Answer(429, &["Retry-After: 3600"]));
    finished.check(6).says(&["429", "hint: wait, or log in for a higher limit"]);
    assert!(finished.elapsed.as_secs() < 60, "{:?}", finished.elapsed);
    bench.assert_recovers();
}

#[test]
fn a_tag_that_cannot_be_put_costs_no_blob_a_second_time() {
    let Some(bench) = Bench::new() else { return };
    let is_tag = |seen: &Seen| seen.method == "PUT" && seen.path.ends_with("/manifests/1");
    let (finished, seen) = bench.push(move |seen| if is_tag(seen) { Act::Answer(500, &[]) } else { Act::Pass });
    finished.check(6).says(&["500", "hint: run the same command again: only what is missing is sent"]);
    let attempts = seen.iter().filter(|seen| is_tag(seen)).count();
    assert!((2..=10).contains(&attempts), "{attempts}");
    let again = bench.assert_recovers();
    assert_eq!(again.blobs_sent(), 0, "{}", again.err);
}

#[test]
fn a_refusal_is_final_and_says_what_helps() {
    let Some(bench) = Bench::new() else { return };
    let cases: [(u16, &[&str]); 3] = [
        (401, &["401", "hint: log in: polyarch login"]),
        (403, &["403", "hint: the account is known but may not do this"]),
        (404, &["404", "hint: check the name"]),
    ];
    for (status, says) in cases {
        let uploads = |seen: &Seen| seen.method == "POST" && seen.path.contains("/blobs/uploads/");
        let (finished, seen) = bench.push(move |seen| if uploads(seen) { Act::Answer(status, &[]) } else { Act::Pass });
        finished.check(6).says(says);
        assert_eq!(retries(&finished), 0, "{status} is not worth another attempt: {}", finished.err);
        assert!(seen.iter().all(|seen| !seen.path.ends_with("/manifests/1") || seen.method != "PUT"), "{seen:?}");
        bench.project.assert_store_valid();
    }
    bench.assert_recovers();
}
