//! Requests per time, where a registry counts them.
//!
//! Owns: one bucket of tokens per host: a short burst is free, then requests come at the registry's rate. Being refused
//! costs more than waiting: some registries answer 429 for a minute. One that asks a request to wait is asked nothing else
//! meanwhile. Never: holds its lock while waiting.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Part of a minute's requests that may be made at once.
const BURST: f64 = 1.0 / 6.0;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Below zero: requests that wait already.
    tokens: f64,
    at: Instant,
}

#[derive(Default)]
pub(crate) struct Budget {
    hosts: Mutex<HashMap<String, Bucket>>,
    pauses: Mutex<HashMap<String, Instant>>,
}

impl Budget {
    /// Waits until the host may be asked again. A caller that gives up has used its turn.
    pub(crate) async fn turn(&self, host: &str, per_minute: u32) {
        let wait = self.take(host, per_minute.max(1), Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Nothing is asked of the host for a time, as it asked for.
    pub(crate) fn pause(&self, host: &str, time: Duration) {
        let until = Instant::now() + time;
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pauses.entry(host.to_owned()).or_insert(until);
        *known = until.max(*known);
    }

    /// Waits until the host may be asked again; it may have asked for more time meanwhile.
    pub(crate) async fn pause_over(&self, host: &str) {
        loop {
            let until = self.pauses.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied();
            match until.filter(|until| *until > Instant::now()) {
                Some(until) => tokio::time::sleep_until(until).await,
                None => return,
            }
        }
    }

    fn take(&self, host: &str, per_minute: u32, now: Instant) -> Duration {
        let per_second = f64::from(per_minute) / 60.0;
        let most = (f64::from(per_minute) * BURST).max(1.0);
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = hosts.entry(host.to_owned()).or_insert(Bucket { tokens: most, at: now });
        let since = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + since * per_second).min(most) - 1.0;
        bucket.at = now;
        Duration::try_from_secs_f64(-bucket.tokens / per_second).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_then_requests_come_at_the_rate() {
        let budget = Budget::default();
        let start = Instant::now();
        for _ in 0..10 {
            budget.turn("h", 60).await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..5 {
            budget.turn("h", 60).await;
        }
        let five = Duration::from_secs(5);
        assert!(
            start.elapsed() >= five && start.elapsed() < five + Duration::from_millis(100),
            "{:?}",
            start.elapsed()
        );
        let before = Instant::now();
        budget.turn("other", 60).await;
        assert_eq!(before.elapsed(), Duration::ZERO, "each host has its own");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_everybodys_and_only_grows() {
        let budget = Budget::default();
        let start = Instant::now();
        budget.pause("h", Duration::from_secs(5));
        budget.pause("h", Duration::from_secs(2));
        budget.pause_over("other").await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        let later = async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            budget.pause("h", Duration::from_secs(3));
        };
        tokio::join!(budget.pause_over("h"), budget.pause_over("h"), later);
        assert_eq!(start.elapsed().as_secs(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_requests_queue_up() {
        let budget = Budget::default();
        let now = Instant::now();
        let waits: Vec<u64> = (0..4).map(|_| budget.take("h", 6, now).as_secs()).collect();
        assert_eq!(waits, [0, 10, 20, 30]);
    }
}
