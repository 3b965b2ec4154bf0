//! Every number that bounds what a registry can make this process do.
//!
//! Owns: timeouts, byte budgets, counts. Never: retry behaviour, which is [`super::retry`].

use std::time::Duration;

/// Bounds of one [`super::Registry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time to connect, TLS included.
    pub connect_timeout: Duration,
    /// Time from the last byte sent to the answer's headers. Some registries copy a whole blob before they answer a PUT.
    pub response_timeout: Duration,
    /// Longest silence of the registry while a body is sent or received; waiting for the bytes to send is none.
    pub idle_timeout: Duration,
    /// Bytes that must arrive while [`Limits::idle_timeout`] is waited for: a byte now and then is silence, too.
    pub idle_bytes: u64,
    /// Largest manifest, in bytes. 4 MiB is what the distribution-spec calls portable.
    pub manifest_bytes: usize,
    /// Largest token answer, in bytes.
    pub token_bytes: usize,
    /// Largest part of an error body that is read, in bytes.
    pub error_bytes: usize,
    /// Largest page of a list, in bytes.
    pub page_bytes: usize,
    /// Pages of a list that are followed.
    pub pages: usize,
    /// Tags, or repositories, that are collected.
    pub tags: usize,
    /// Referrers of one manifest that are collected.
    pub referrers: usize,
    /// Redirects that are followed.
    pub redirects: usize,
    /// Requests in flight to one host.
    pub per_host: usize,
    /// Bytes per PATCH where a blob is sent in chunks.
    pub chunk_bytes: u64,
    /// Blobs larger than this are sent in chunks wherever the registry can: it keeps what it acknowledged.
    pub chunk_above: u64,
    /// Bytes that must arrive before a broken download gets its attempts back: one byte at a time is not progress.
    pub progress_bytes: u64,
    /// Warnings kept per process.
    pub warnings: usize,
    /// Time a credential helper may take; some ask the user.
    pub helper_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(15),
            response_timeout: Duration::from_secs(180),
            idle_timeout: Duration::from_secs(60),
            idle_bytes: 1024,
            manifest_bytes: 4 << 20,
            token_bytes: 1 << 20,
            error_bytes: 64 << 10,
            page_bytes: 4 << 20,
            pages: 1000,
            tags: 100_000,
            referrers: 10_000,
            redirects: 5,
            per_host: 6,
            chunk_bytes: 16 << 20,
            chunk_above: 1 << 30,
            progress_bytes: 1 << 20,
            warnings: 32,
            helper_timeout: Duration::from_secs(60),
        }
    }
}
