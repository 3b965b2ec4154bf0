//! Ctrl-C: the first one cancels and lets the work clean up, the second one ends it at once, the third one the process.
//!
//! Owns: the watch over signals, on a thread of its own: work that blocks cannot keep a user from ending it. Never: knows what
//! is cleaned up; guards do that when the work is dropped.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// After the second signal: guards remove what they started at a daemon, which is bounded by `Limits::grace` each and
/// done at once by most. Then the process ends whatever it does.
const PATIENCE: Duration = Duration::from_secs(15);

/// How a process ends that does not end by itself.
pub struct Ending<T, E> {
    /// Says that the work is given up.
    pub told: T,
    /// Ends the process.
    pub exit: E,
}

/// Runs `work` to its end, cancelling `token` at the first signal. Returns `None` if a second one came first;
/// the work is dropped then, which is always safe.
///
/// # Errors
/// Signals cannot be listened to.
pub async fn run<F: Future>(
    token: &CancellationToken,
    work: F,
    ending: Ending<impl FnOnce(), impl FnOnce() + Send + 'static>,
) -> io::Result<Option<F::Output>> {
    let signals = stream::unfold(Signals::listen()?, |mut signals| async {
        signals.next().await;
        Some(((), signals))
    });
    Ok(watched(token, work, signals.boxed(), ending).await)
}

async fn watched<F: Future>(
    token: &CancellationToken,
    work: F,
    signals: impl Stream<Item = ()> + Send + Unpin + 'static,
    ending: Ending<impl FnOnce(), impl FnOnce() + Send + 'static>,
) -> Option<F::Output> {
    let second = CancellationToken::new();
    // Declared before the work, so that it watches until the work is dropped.
    let mut watch = JoinSet::new();
    watch.spawn(watching(signals, token.clone(), second.clone(), ending.exit));
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => Some(done),
        () = second.cancelled() => {
            (ending.told)();
            None
        }
    }
}

async fn watching(
    mut signals: impl Stream<Item = ()> + Unpin,
    first: CancellationToken,
    second: CancellationToken,
    exit: impl FnOnce(),
) {
    for token in [first, second] {
        signals.next().await;
        // Who has a display tells it there: beside a display that redraws, words are lost.
        token.cancel();
    }
    // A third one does not even wait for the guards.
    let _ = tokio::time::timeout(PATIENCE, signals.next()).await;
    exit();
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, channel};

    use futures::channel::mpsc::{UnboundedSender, unbounded};

    use super::*;

    /// What was called, in order.
    fn recorded() -> (Ending<impl FnOnce(), impl FnOnce() + Send + 'static>, Receiver<&'static str>) {
        let (calls, called) = channel();
        let exits = calls.clone();
        let (told, exit) = (move || calls.send("told").unwrap(), move || exits.send("exit").unwrap());
        (Ending { told, exit }, called)
    }

    fn signals(count: usize) -> (UnboundedSender<()>, impl Stream<Item = ()> + Send + Unpin) {
        let (sender, signals) = unbounded();
        (0..count).for_each(|_| sender.unbounded_send(()).unwrap());
        (sender, signals)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_first_signal_lets_the_work_end() {
        let (token, (ending, called)) = (CancellationToken::new(), recorded());
        let work = async {
            token.cancelled().await;
            "cleaned"
        };
        let (_sender, signals) = signals(1);
        assert_eq!(watched(&token, work, signals, ending).await, Some("cleaned"));
        assert_eq!(called.iter().collect::<Vec<_>>(), [""; 0]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_second_drops_it_and_its_guards_run() {
        struct Guard(std::sync::mpsc::Sender<()>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        let (token, (ending, called), (dropped, guards)) = (CancellationToken::new(), recorded(), channel());
        let guard = Guard(dropped);
        let work = async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        };
        let (_sender, signals) = signals(2);
        assert_eq!(watched(&token, work, signals, ending).await, None);
        assert!(token.is_cancelled());
        assert_eq!(called.iter().collect::<Vec<_>>(), ["told"]);
        assert_eq!(guards.try_recv(), Ok(()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_third_ends_work_that_blocks() {
        let (token, (ending, called)) = (CancellationToken::new(), recorded());
        let (_sender, signals) = signals(3);
        // As a write to a terminal that was stopped: nothing else is polled until it returns.
        let work = async { called.recv().unwrap() };
        assert_eq!(watched(&token, work, signals, ending).await, Some("exit"));
    }
}
