//! Ctrl-C: the first one cancels and lets the work clean up, the second one ends it at once.

use std::future::Future;
use std::io;
use std::pin::pin;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Runs `work` to its end, cancelling `token` at the first signal. Returns `None` if a second one came first;
/// the work is dropped then, which is always safe.
///
/// # Errors
/// Signals cannot be listened to.
pub async fn run<F: Future>(token: &CancellationToken, work: F) -> io::Result<Option<F::Output>> {
    let mut signals = Signals::listen()?;
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => return Ok(Some(done)),
        // Who has a display tells it there: beside a display that redraws, words are lost.
        () = signals.next() => token.cancel(),
    }
    tokio::select! {
        done = &mut work => Ok(Some(done)),
        () = signals.next() => Ok(None),
    }
}

/// What asks a process to end: a user (SIGINT), a supervisor or CI (SIGTERM), a closed terminal (SIGHUP).
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
