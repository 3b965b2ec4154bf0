//! What makes an audit of many tags fast, flat and honest.
//!
//! Owns: the objects that were read, what was seen in each repository, the reports that are done, and which tags are this
//! run's. Never: judges, and never fails: whatever these files lost is asked for again.

use std::path::{Path, PathBuf};

mod journal;
mod objects;
mod seen;
mod shard;
mod spool;

pub(super) use objects::Objects;
pub(super) use seen::{Kind, Seen};
pub use shard::{Shard, ShardError};
pub use spool::Checkpoint;
pub(super) use spool::Spool;

/// The directory of what was seen in repositories, in a store's `cache`.
pub(crate) const SEEN: &str = "audit/seen";
/// That of the reports of unfinished runs.
const RUNS: &str = "audit/runs";

/// Returns the directories of a store in which an audit remembers what it saw, and keeps reports until it ends.
pub fn dirs(store: &Path) -> (PathBuf, PathBuf) {
    let cache = store.join("cache");
    (cache.join(SEEN), cache.join(RUNS))
}
