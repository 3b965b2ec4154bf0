//! What is in layers.
//!
//! Owns: reading a layer once, from its start as far as it is needed; what it puts where; what layers come to on top of one
//! another. Never: writes to disk, keeps a file's content, runs over its bounds.

pub mod facts;
mod inflate;
pub(super) mod library;
mod observe;
pub(super) mod read;
pub mod stack;
pub mod tree;

pub use facts::{Ended, LayerFacts, Noted, Oddity};
