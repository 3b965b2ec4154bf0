//! What of a repository can be deleted without taking anything from what is kept.
//!
//! Owns: reading a repository as a graph ([`read`]), and the plan (pure): from the tags that are kept everything is kept that they
//! reach, and what refers to that. Never: deletes anything, or plans on what could not be read.
//!
//! The distribution API lists no manifest without a tag: such are not seen, and neither is what only they reach.

mod dot;
mod graph;
mod plan;
mod read;

pub use dot::dot;
pub use graph::{Graph, Kind, Manifest, Tag};
pub use plan::{Deletable, Keep, Kept, PLAN_VERSION, Plan, plan};
pub use read::read;
