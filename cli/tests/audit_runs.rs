//! Audits of many tags that are killed, interrupted, gone on with and shared out, as a user runs them.

#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};

use polyarch_testkit::Served;
use polyarch_testkit::script::{Reply, Server};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::runtime::Runtime;

const TAGS: usize = 120;
/// Tags that are answered before the registry asks to wait.
const ANSWERED: usize = 80;

struct Home {
    dir: tempfile::TempDir,
    served: Served,
    server: Server,
    _runtime: Runtime,
}

impl Home {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let served = runtime.block_on(Served::numbered(TAGS));
        let server = runtime.block_on(served.start());
        Self { dir: tempfile::tempdir().unwrap(), served, server, _runtime: runtime }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.arg("audit").arg(self.server.reference("app").name()).args(args);
        command.env_clear().env("HOME", self.dir.path()).current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.command(args).args(["--format", "json"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// After so many tags the registry asks to wait, and says so here.
    fn stall(&self) -> Receiver<()> {
        let (stalls, stalled) = channel();
        let tags = AtomicUsize::new(0);
        self.served.fail(move |seen| {
            let is_tag = seen.path.contains("/manifests/") && !seen.path.contains("sha256:");
            let is_late = is_tag && tags.fetch_add(1, Ordering::SeqCst) >= ANSWERED;
            is_late.then(|| {
                let _ = stalls.send(());
                Reply::status(429).with("retry-after", "30")
            })
        });
        stalled
    }

    fn start(&self) -> Child {
        let stalled = self.stall();
        let child = self.command(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        stalled.recv().unwrap();
        child
    }

    /// Goes on with what was stopped, and checks that only the rest is read.
    fn goes_on(&self) {
        self.served.heal();
        let before = self.server.lines().len();
        let report = self.json(&["--resume"]);
        let resumed = report["stats"]["resumed"].as_u64().unwrap() as usize;
        // The others were being read.
        assert!((ANSWERED - 40..=ANSWERED).contains(&resumed), "{resumed}");
        assert_eq!(report["images"].as_array().unwrap().len(), TAGS);
        let tags = self.server.lines().split_off(before).into_iter().filter(|line| !line.contains("sha256:"));
        assert_eq!(tags.count(), 1 + TAGS - resumed);
        assert_eq!(self.json(&["--resume"])["stats"]["resumed"], 0, "a finished audit leaves nothing to go on with");
    }
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_killed_audit_goes_on_where_it_was() {
    let home = Home::new();
    let mut child = home.start();
    child.kill().unwrap();
    child.wait().unwrap();
    home.goes_on();
}

#[test]
fn an_interrupted_audit_says_how_to_go_on() {
    let home = Home::new();
    let child = home.start();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(130), 0), "{}", err(&output));
    assert!(err(&output).contains("images are done; the same command with --resume goes on with the others"));
    home.served.heal();
    let again = home.command(&[]).output().unwrap();
    assert!(err(&again).starts_with("note: an audit of the same was interrupted "), "{}", err(&again));
    let quiet = home.command(&["-q"]).output().unwrap();
    assert_eq!(err(&quiet), "");
    home.goes_on();
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let home = Home::new();
    for (args, want) in [
        (&["--shard", "3/2"][..], "a shard is written I/N"),
        (&["--trust-for", "1 day"], "--trust-for"),
        (&["--trust-for", "1h", "--recheck"], "cannot be used with"),
    ] {
        let output = home.command(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(err(&output).contains(want), "{args:?}: {}", err(&output));
    }
    assert_eq!(home.server.lines(), [""; 0]);
}

#[test]
fn children_are_asked_for_again_when_it_is_asked_for() {
    let home = Home::new();
    let count = |args: &[&str]| {
        let report = home.json(args);
        ["fetched", "asked"].map(|field| report["stats"][field].as_u64().unwrap() as usize)
    };
    assert_eq!(count(&[]), [5 * TAGS, 0]);
    assert_eq!(count(&[]), [0, TAGS]);
    assert_eq!(count(&["--trust-for", "1h"]), [0, TAGS]);
    assert_eq!(count(&["--recheck"]), [0, 5 * TAGS]);
    let shards = ["1/2", "2/2"].map(|shard| count(&["--shard", shard])[1]);
    assert!(shards[0] + shards[1] == TAGS && shards[0] > 0 && shards[1] > 0, "{shards:?}");
}
