//! Asking on a terminal.
//!
//! Owns: one line of standard input, with or without echo; the terminal is as it was afterwards, however it ends.
//! Never: asks where nobody can answer; the caller looks first.

use std::io::{self, BufRead, Write};

use polyarch_registry::client::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// Longest answer, in bytes.
const LIMIT: u64 = 64 << 10;

/// Asks for a line.
///
/// # Errors
/// Standard input cannot be read.
pub async fn line(question: &str) -> io::Result<String> {
    say(question);
    answer().await
}

/// Asks for a line that is not shown.
///
/// # Errors
/// Standard input cannot be read, or is no terminal.
pub async fn hidden(question: &str) -> io::Result<Secret> {
    // Dropped with this future, so that Ctrl-C leaves a terminal that echoes.
    let _silent = Silent::start()?;
    say(question);
    let answer = answer().await;
    say("\n");
    answer.map(Secret::new)
}

fn say(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

async fn answer() -> io::Result<String> {
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::Read::take(io::stdin().lock(), LIMIT).read_line(&mut line)?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    });
    read.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// A terminal that does not echo, until it is dropped.
struct Silent(Termios);

impl Silent {
    fn start() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
