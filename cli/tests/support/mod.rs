//! What the end-to-end tests share: a project to build, the command, the builders of the test bed, what is read back.

#![allow(dead_code, unused_imports, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a failing helper is a failing test")]

pub mod builders;
pub mod docker;
pub mod home;
pub mod processes;
pub mod project;
pub mod published;

use std::time::{Duration, Instant};

pub use builders::{Builder, Cell};
pub use docker::Docker;
pub use project::{Finished, Project, Running};
pub use published::Published;

/// Patience for what takes seconds on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Returns when `condition` holds.
#[track_caller]
pub fn until(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(DEADLINE, condition), "after {DEADLINE:?}: not yet {what}");
}

/// Asks again and again until `condition` holds or the time is over.
pub fn holds_within(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > deadline {
            return false;
        }
        // Leaves the processor to what is waited for.
        std::thread::park_timeout(Duration::from_millis(20));
    }
    true
}

/// A name no other test and no cache has seen.
pub fn unique() -> String {
    let hex: String = noise(8).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("e2e{hex}")
}

/// A length of time in seconds, far beyond any test, that only one test's steps sleep for.
pub fn long_time() -> u32 {
    let random: [u8; 4] = noise(4).try_into().unwrap();
    1_000_000 + u32::from_ne_bytes(random) % 1_000_000_000
}

/// Bytes that no compression makes small.
pub fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom").unwrap(), &mut bytes).unwrap();
    bytes
}
