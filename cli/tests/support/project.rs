//! A build context, a store and a home of their own, and the command run on them.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Builder, DEADLINE};

/// Everything one test works on; it disappears with the test.
pub struct Project {
    dir: tempfile::TempDir,
    /// A name no other test has.
    pub name: String,
}

impl Project {
    /// Returns a project of one Dockerfile. `@` in it becomes the project's unique name.
    pub fn new(dockerfile: &str) -> Self {
        let project = Self { dir: tempfile::tempdir().unwrap(), name: super::unique() };
        for folder in ["ctx", "home", "tmp"] {
            std::fs::create_dir(project.path(folder)).unwrap();
        }
        let dockerfile = dockerfile.replace('@', &project.name);
        project.file("ctx/Dockerfile", dockerfile)
    }

    /// Returns a project whose Dockerfile begins with the stages `native` and `base` of a builder.
    pub fn on(builder: &Builder, dockerfile: &str) -> Self {
        Self::new(&format!("{}{dockerfile}", builder.stages()))
    }

    /// Writes a file; folders are made.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// Returns a path inside the project's directory. The build context is `ctx`.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Returns the command with an environment of its own; it runs in the context.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_polyarch"));
        command.args(args).env_clear().current_dir(self.path("ctx")).stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.path("home"));
        command.env("TMPDIR", self.path("tmp")).env("POLYARCH_STORE", self.path("store"));
        command
    }

    /// Returns `polyarch build .` on a builder.
    pub fn build(&self, builder: &Builder, args: &[&str]) -> Command {
        let mut command = self.command(&["build", "."]);
        command.args(["--builder", &builder.address]).args(args).envs(builder.env.clone());
        command
    }

    /// Asserts that everything in the store is what its digests say.
    #[track_caller]
    pub fn assert_store_valid(&self) {
        for row in self.stored() {
            let digest = row["descriptor"]["digest"].as_str().unwrap().to_owned();
            assert_eq!(row["complete"], true, "{row}");
            finish(self.command(&["verify", "--deep", &format!("store:{digest}")])).check(0);
        }
    }

    /// Returns the rows of `polyarch store ls`.
    #[track_caller]
    pub fn stored(&self) -> Vec<Value> {
        let listed = finish(self.command(&["store", "ls", "--format", "json"]));
        listed.check(0);
        serde_json::from_str::<Vec<Value>>(&listed.out).unwrap()
    }

    /// Asserts that a reference verifies, every byte of it.
    #[track_caller]
    pub fn assert_sound(&self, reference: &str, platforms: &str) {
        finish(self.command(&["verify", "--deep", reference, "--platform", platforms])).check(0);
    }
}

/// What a command came to.
pub struct Finished {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// The process it was.
    pub pid: u32,
    /// How long it ran.
    pub elapsed: Duration,
}

impl Finished {
    /// Asserts the exit code.
    #[track_caller]
    pub fn check(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "\n--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// Asserts that standard error has all of these.
    #[track_caller]
    pub fn says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(self.err.contains(text), "no {text:?} in\n{}", self.err);
        }
        self
    }

    /// Returns the events of `--progress json`.
    pub fn events(&self) -> Vec<Value> {
        self.err.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Returns how many blobs' bytes went to a registry, of the events.
    pub fn blobs_sent(&self) -> usize {
        let sent = |event: &&Value| event["event"] == "transfer-done" && event["how"] == "sent";
        self.events().iter().filter(sent).filter(|event| event["direction"] == "to-registry").count()
    }
}

/// Runs a command to its end.
#[track_caller]
pub fn finish(command: Command) -> Finished {
    Running::start(command).wait(Duration::from_secs(240))
}

/// A command that runs. Dropping it kills it.
pub struct Running {
    child: Child,
    start: Instant,
    lines: Receiver<String>,
    err: String,
    out: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts a command.
    pub fn start(mut command: Command) -> Self {
        let start = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stderr);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let _ = sender.send(String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned());
            }
        });
        let out = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, start, lines, err: String::new(), out: Some(out) }
    }

    /// Returns the process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns when standard error has had a line with `text`.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) {
        while !self.err.contains(text) {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => self.err.push_str(&line),
                Err(error) => panic!("{error}: no {text:?} in\n{}", self.err),
            }
        }
    }

    /// Returns after this time, or when it has ended.
    pub fn let_run(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.err.push_str(&line);
        }
    }

    /// Returns when standard error has had this many lines, or when it has ended.
    pub fn let_tell(&mut self, lines: u64) {
        for _ in 0..lines {
            let Ok(line) = self.lines.recv_timeout(DEADLINE) else { return };
            self.err.push_str(&line);
        }
    }

    /// Sends a signal, such as `-INT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.pid().to_string()]).status().unwrap();
        assert!(sent.success(), "kill {name}");
    }

    /// Waits for the end.
    #[track_caller]
    pub fn wait(mut self, deadline: Duration) -> Finished {
        let until = Instant::now() + deadline;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.err.push_str(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("still running after {deadline:?}:\n{}", self.err),
            }
        }
        let (code, elapsed) = (self.child.wait().unwrap().code(), self.start.elapsed());
        let out = self.out.take().unwrap().join().unwrap();
        Finished { code, out, err: std::mem::take(&mut self.err), pid: self.pid(), elapsed }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the number of a Dockerfile's first line with `text`, counted from 1.
pub fn line_of(dockerfile: &Path, text: &str) -> usize {
    let content = std::fs::read_to_string(dockerfile).unwrap();
    1 + content.lines().position(|line| line.contains(text)).unwrap()
}
