//! What several solves export as build cache, as one cache.
//!
//! Owns: a name of its own for each platform's export, and joining the exports. polyarch sends a solve per platform, and each
//! exports what it knows; under one name the last platform's would be all that is left. Never: changes a layer.

mod merge;
mod publish;
mod specs;

pub use merge::{Export, MergeError, merge};
pub use publish::{CacheError, publish, record};
pub use specs::{exports, imports, is_joined, reference_for};
