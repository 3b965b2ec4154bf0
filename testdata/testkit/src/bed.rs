//! Where the test bed's daemons and tools are.
//!
//! Owns: the `BED_*` variables that `testdata/bed` writes, and the rule that a test which lacks one
//! says so. Never: starts anything.

use std::process::Command;

/// Set to `1` where every test must run: a missing daemon or tool is then a failure.
const REQUIRED: &str = "POLYARCH_BED_REQUIRED";

/// Access to the test bed.
#[derive(Debug)]
pub struct Bed;

impl Bed {
    /// Returns the value of a `BED_*` variable, if it is set and not empty.
    pub fn get(key: &str) -> Option<String> {
        std::env::var(key).ok().filter(|value| !value.is_empty())
    }

    /// Returns a variable's value, or says on stderr that the test is skipped. Prefer [`require!`](crate::require).
    ///
    /// # Panics
    /// If the variable is not set and `POLYARCH_BED_REQUIRED=1`.
    pub fn require(key: &str) -> Option<String> {
        Self::get(key).or_else(|| skip(&format!("{key} is not set")))
    }

    /// Returns a command for an installed tool, or says on stderr that the test is skipped. Prefer
    /// [`require_tool!`](crate::require_tool).
    ///
    /// # Panics
    /// If the tool cannot be started and `POLYARCH_BED_REQUIRED=1`.
    pub fn tool(name: &str) -> Option<Command> {
        let works = Command::new(name).arg("--version").output().is_ok();
        works.then(|| Command::new(name)).or_else(|| skip(&format!("{name} is not installed")))
    }
}

/// The test harness names each test's thread after the test.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip<T>(reason: &str) -> Option<T> {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("test");
    assert!(std::env::var(REQUIRED).as_deref() != Ok("1"), "{test}: {reason}, and {REQUIRED}=1");
    eprintln!("skipped: {test}: {reason}");
    None
}

/// Evaluates to the value of a `BED_*` variable, or returns from the test saying that it is skipped.
#[macro_export]
macro_rules! require {
    ($key:expr) => {
        match $crate::Bed::require($key) {
            Some(value) => value,
            None => return,
        }
    };
}

/// Evaluates to a [`Command`](std::process::Command) for a tool, or returns from the test saying that it is skipped.
#[macro_export]
macro_rules! require_tool {
    ($name:expr) => {
        match $crate::Bed::tool($name) {
            Some(command) => command,
            None => return,
        }
    };
}

/// Runs a command to its end and returns its stdout.
///
/// # Panics
/// If it cannot be started or fails; the message has its output.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout
}
