//! What makes an audit of many tags fast, flat and honest.
//!
//! Owns: the objects that were read, what was seen in each repository, the reports that are done, and which tags are this
//! run's. Never: judges, and never fails: whatever these files lost is asked for again.

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
