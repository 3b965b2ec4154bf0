//! What registries say on the side.
//!
//! Owns: `Warning` headers (distribution-spec, "Warnings") and rate limits, bounded. Never: acts on them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::HeaderMap;

use super::text::untrusted;

/// Longest warning, in bytes (distribution-spec, "Warnings").
const MAX_WARNING: usize = 4096;

/// How many requests a registry still allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests allowed in a window, if it was said.
    pub limit: Option<u64>,
    /// Requests left.
    pub remaining: u64,
}

#[derive(Default)]
pub(crate) struct Notes {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    warnings: BTreeSet<(String, String)>,
    rates: BTreeMap<String, RateLimit>,
}

impl Notes {
    /// Reads the headers of one answer of `host`.
    pub(crate) fn take(&self, host: &str, headers: &HeaderMap, max_warnings: usize) {
        let warnings: Vec<String> =
            headers.get_all("warning").iter().filter_map(|v| warning(v.to_str().ok()?)).collect();
        let rate = rate(headers);
        if warnings.is_empty() && rate.is_none() {
            return;
        }
        let mut state = self.lock();
        for text in warnings {
            if state.warnings.len() < max_warnings {
                state.warnings.insert((host.to_owned(), text));
            }
        }
        if let Some(rate) = rate {
            state.rates.insert(host.to_owned(), rate);
        }
    }

    /// Returns host and text of every distinct warning, sorted.
    pub(crate) fn warnings(&self) -> Vec<(String, String)> {
        self.lock().warnings.iter().cloned().collect()
    }

    pub(crate) fn rate(&self, host: &str) -> Option<RateLimit> {
        self.lock().rates.get(host).copied()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the text of `299 - "text"`; other codes are not for us.
fn warning(value: &str) -> Option<String> {
    let rest = value.strip_prefix("299 ")?;
    let (_, quoted) = rest.split_once(' ')?;
    let inner = quoted.trim().strip_prefix('"')?.strip_suffix('"')?;
    (value.len() <= MAX_WARNING).then(|| untrusted(&inner.replace("\\\"", "\""), MAX_WARNING))
}

/// `ratelimit-limit: 100;w=21600` and `ratelimit-remaining: 97;w=21600`, as Docker Hub writes them.
fn rate(headers: &HeaderMap) -> Option<RateLimit> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.split(';').next()?.trim().parse().ok();
    Some(RateLimit { limit: number("ratelimit-limit"), remaining: number("ratelimit-remaining")? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn warnings_are_distinct_bounded_and_escaped() {
        let notes = Notes::default();
        let mut headers = HeaderMap::new();
        for value in ["299 - \"old\"", "299 - \"old\"", "199 - \"other\"", "299 - bare", "299 - \"a \\\"b\\\"\""] {
            headers.append("warning", HeaderValue::from_static(value));
        }
        headers.append("warning", HeaderValue::from_str(&format!("299 - \"{}\"", "x".repeat(MAX_WARNING))).unwrap());
        notes.take("h", &headers, 10);
        let texts: Vec<_> = notes.warnings().into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["a \"b\"", "old"]);

        for n in 0..1000 {
            let mut headers = HeaderMap::new();
            headers.append("warning", HeaderValue::from_str(&format!("299 - \"{n}\"")).unwrap());
            notes.take("h", &headers, 10);
        }
        assert_eq!(notes.warnings().len(), 10);
    }

    #[test]
    fn reads_docker_hubs_rate_limit() {
        let notes = Notes::default();
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit-limit", HeaderValue::from_static("100;w=21600"));
        headers.insert("ratelimit-remaining", HeaderValue::from_static("97;w=21600"));
        notes.take("docker.io", &headers, 10);
        assert_eq!(notes.rate("docker.io"), Some(RateLimit { limit: Some(100), remaining: 97 }));
        assert_eq!(notes.rate("ghcr.io"), None);
    }
}
