//! When to try again, as data.
//!
//! Owns: which statuses are worth another attempt, the delay before it, `Retry-After`.
//! Never: sleeps, reads a clock or rolls dice; the caller passes time and randomness in.

use std::time::{Duration, SystemTime};

use http::StatusCode;

/// Bounded exponential backoff with full jitter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included. At least one is made.
    pub attempts: u32,
    /// Upper bound of the first delay; it doubles each time.
    pub base: Duration,
    /// Largest delay that is chosen here.
    pub cap: Duration,
    /// Largest `Retry-After` that is honoured; a longer one ends the attempts.
    pub retry_after_cap: Duration,
    /// Time after which no new attempt starts.
    pub total: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            base: Duration::from_millis(500),
            cap: Duration::from_secs(20),
            retry_after_cap: Duration::from_secs(60),
            total: Duration::from_secs(300),
        }
    }
}

/// What is known when an attempt has failed in a retryable way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attempt {
    /// Number of this attempt, from 1.
    pub number: u32,
    /// Time since the first attempt began; of a blob, since the first failure after progress.
    pub elapsed: Duration,
    /// The registry's `Retry-After`.
    pub retry_after: Option<Duration>,
    /// A random number in `0.0..1.0`.
    pub jitter: f64,
}

impl RetryPolicy {
    /// Returns a policy that never tries again.
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// Returns how long to wait before the next attempt, or `None` to give up.
    ///
    /// `Retry-After` is a lower bound, with jitter of up to `base` on top, so that many clients do
    /// not come back at the same moment.
    pub fn delay(&self, attempt: Attempt) -> Option<Duration> {
        if attempt.number >= self.attempts {
            return None;
        }
        let jitter = attempt.jitter.clamp(0.0, 1.0);
        let delay = match attempt.retry_after {
            Some(asked) if asked > self.retry_after_cap => return None,
            Some(asked) => asked + self.base.mul_f64(jitter),
            None => self.ceiling(attempt.number).mul_f64(jitter),
        };
        (attempt.elapsed.saturating_add(delay) <= self.total).then_some(delay)
    }

    fn ceiling(&self, number: u32) -> Duration {
        let doubled = self.base.checked_mul(1_u32.checked_shl(number.saturating_sub(1)).unwrap_or(u32::MAX));
        doubled.unwrap_or(self.cap).min(self.cap)
    }
}

/// Returns whether another attempt may succeed after this status (RFC 9110, section 15; 429 is RFC 6585).
pub fn is_retryable_status(status: StatusCode) -> bool {
    match status.as_u16() {
        408 | 425 | 429 => true,
        501 | 505 | 507 | 508 | 511 => false,
        code => (500..600).contains(&code),
    }
}

/// Parses `Retry-After`: seconds or an HTTP date (RFC 9110, section 10.2.3). A past date is zero.
pub fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // Digits that overflow are still a number: a very long wait.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy() -> RetryPolicy {
        RetryPolicy { attempts: 5, base: SECOND, cap: SECOND * 3, retry_after_cap: SECOND * 30, total: SECOND * 60 }
    }

    fn attempt(number: u32, jitter: f64) -> Attempt {
        Attempt { number, elapsed: Duration::ZERO, retry_after: None, jitter }
    }

    #[test]
    fn doubles_up_to_the_cap_and_then_stops() {
        let delays: Vec<_> = (1..=5).map(|n| policy().delay(attempt(n, 1.0))).collect();
        assert_eq!(delays, [Some(SECOND), Some(SECOND * 2), Some(SECOND * 3), Some(SECOND * 3), None]);
        assert_eq!(policy().delay(attempt(1, 0.5)), Some(SECOND / 2));
        assert_eq!(policy().delay(attempt(1, 0.0)), Some(Duration::ZERO));
        assert_eq!(RetryPolicy::never().delay(attempt(1, 1.0)), None);
    }

    #[test]
    fn retry_after_is_a_lower_bound_and_capped() {
        let with = |seconds, elapsed| {
            let retry_after = Some(Duration::from_secs(seconds));
            policy().delay(Attempt { number: 1, elapsed, retry_after, jitter: 0.5 })
        };
        assert_eq!(with(10, Duration::ZERO), Some(Duration::from_millis(10_500)));
        assert_eq!(with(99_999_999, Duration::ZERO), None);
        assert_eq!(with(u64::MAX, Duration::ZERO), None);
        assert_eq!(with(10, SECOND * 55), None, "would pass the total time");
    }

    #[test]
    fn reads_seconds_and_dates() {
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:00 GMT").unwrap();
        for (text, want) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(59)),
            ("Thu, 31 Dec 1998 23:59:59 GMT", Some(0)),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999999", Some(u64::MAX)),
        ] {
            assert_eq!(parse_retry_after(text, now), want.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn only_passing_troubles_are_retried() {
        for code in [408, 425, 429, 500, 502, 503, 504, 520, 599] {
            assert!(is_retryable_status(StatusCode::from_u16(code).unwrap()), "{code}");
        }
        for code in [200, 307, 400, 401, 403, 404, 405, 409, 411, 413, 416, 422, 501, 505, 507] {
            assert!(!is_retryable_status(StatusCode::from_u16(code).unwrap()), "{code}");
        }
    }

    proptest! {
        #[test]
        fn never_waits_past_its_bounds(
            number in 0u32..100, elapsed in 0u64..1000, after in proptest::option::of(any::<u64>()), jitter in any::<f64>()
        ) {
            let attempt = Attempt {
                number,
                elapsed: Duration::from_secs(elapsed),
                retry_after: after.map(Duration::from_secs),
                jitter: if jitter.is_nan() { 0.0 } else { jitter },
            };
            if let Some(delay) = policy().delay(attempt) {
                prop_assert!(number < 5);
                prop_assert!(delay + attempt.elapsed <= policy().total);
                prop_assert!(delay <= policy().retry_after_cap + policy().base);
            }
        }

        #[test]
        fn retry_after_never_panics(text in "\\PC*") {
            let _ = parse_retry_after(&text, SystemTime::UNIX_EPOCH);
        }
    }
}
