//! What is known of a body on its way, besides what the transport says.
//!
//! Owns: how much went out, whether the source is waited for, why it failed. Never: reads or sends anything.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::payload::SourceFailed;

/// How far a request's body is.
#[derive(Debug)]
pub(crate) struct Meter {
    sent: AtomicU64,
    total: u64,
    /// Whether the transport wants bytes that the source does not have yet.
    starved: AtomicBool,
    failed: OnceLock<SourceFailed>,
}

impl Meter {
    /// Returns the meter of a body that will have `total` bytes.
    pub(super) fn new(total: u64) -> Self {
        Self { sent: AtomicU64::new(0), total, starved: AtomicBool::new(false), failed: OnceLock::new() }
    }

    /// Counts bytes that go out, and returns how many there are now.
    pub(super) fn add(&self, bytes: u64) -> u64 {
        self.sent.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Notes whether the source is waited for.
    pub(super) fn starve(&self, starved: bool) {
        self.starved.store(starved, Ordering::Relaxed);
    }

    pub(super) fn is_starved(&self) -> bool {
        self.starved.load(Ordering::Relaxed)
    }

    /// Notes why the body ends too early.
    pub(super) fn fail(&self, error: &SourceFailed) {
        // The first failure ends the body, so there is no other.
        let _ = self.failed.set(error.clone());
    }

    /// Returns why the body ended too early, if it did.
    pub(super) fn failure(&self) -> Option<io::Error> {
        self.failed.get().map(SourceFailed::to_io)
    }
}
