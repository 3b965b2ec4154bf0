//! What the user is told: displays over the event stream, and reports of the result.
//!
//! ```text
//! events ─→ Display: tty (model + draw), plain, json, quiet      → stderr
//! BuildReport ─→ summary, failure, metadata                       → stdout, stderr, file
//! ```
//!
//! Never: knows how a build runs. [`result::BuildReport`] and the event are its whole input, so a
//! recorded stream replays into any display.

pub mod audit;
pub mod display;
pub mod failure;
pub mod gc_plan;
pub mod json;
pub mod lines;
pub mod metadata;
pub mod model;
pub mod moving;
pub mod plain;
pub mod result;
pub mod sarif;
pub mod summary;
#[cfg(test)]
mod tests;
pub mod tty;

pub use display::{Display, Look, Mode, display, show};
pub use result::BuildReport;
