//! Last-resort clean-up of things left in a daemon, when a guard is dropped and nothing can be awaited.
//!
//! Owns: one bounded, blocking attempt on a thread and a runtime of its own, so that it works while the caller's runtime
//! unwinds. The ordinary way is the guard's own async method; what even this misses is found by label or name later.

use std::future::Future;
use std::time::Duration;

/// Runs `work` to its end or for `limit`, blocking the caller.
pub(crate) fn block_briefly<F>(what: &'static str, limit: Duration, work: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => {
                if runtime.block_on(async { tokio::time::timeout(limit, work).await }).is_err() {
                    tracing::warn!(what, "clean-up did not end in time");
                }
            }
            Err(error) => tracing::warn!(what, %error, "clean-up could not start"),
        }
    };
    match std::thread::Builder::new().name("cleanup".to_owned()).spawn(run) {
        Ok(thread) => drop(thread.join()),
        Err(error) => tracing::warn!(what, %error, "clean-up could not start"),
    }
}
